"""Two entrants held against each other: which seeds and targets count, and how often a verdict errs."""

import math

import numpy as np
import pytest

from equipoise.comparison.contrast import contrast, losses_of, overlap_of, selected_losses, single_model
from tests.report.fitted.constructed import entrant, losses, record

TIMES = 800


def simulated(generator, k, seeds, overlap, shift=0.0):
    """Losses of two entrants in k targets, correlated over seeds as splits of the same rows are."""
    rho = overlap / (1 + overlap)
    shared, own = generator.standard_normal((2, k, 1)), generator.standard_normal((2, k, seeds))
    logs = 0.1 * (math.sqrt(rho) * shared + math.sqrt(1 - rho) * own)
    logs[0] += shift
    names = [f"t{i}" for i in range(k)]
    return names, *(
        {s: {name: math.exp(one[i, s]) for i, name in enumerate(names)} for s in range(seeds)} for one in logs
    )


@pytest.mark.parametrize(("k", "seeds"), [(2, 3), (5, 5)])
def test_a_false_better_is_as_rare_as_the_page_says(k, seeds):
    generator, average, anywhere = np.random.default_rng(k), 0, 0
    for _ in range(TIMES):
        names, first, second = simulated(generator, k, seeds, 0.2)
        found = contrast(names, first, second, 0.2)
        average += found.finding == "better"
        anywhere += bool(found.found("better"))
    allowed = 0.025 + 3 * math.sqrt(0.025 * 0.975 / TIMES)
    assert average / TIMES <= allowed
    assert anywhere / TIMES <= allowed


def test_a_true_difference_is_found_for_the_target_that_has_it_and_rarely_for_others():
    generator, truly, falsely, covered, times = np.random.default_rng(0), 0, 0, 0, 400
    for _ in range(times):
        names, first, second = simulated(generator, 3, 8, 0.0)
        for seed in first:
            first[seed]["t1"] *= 0.4
        found = contrast(names, first, second, 0.0)
        better = {task.task for task in found.found("better")}
        truly, falsely = truly + ("t1" in better), falsely + bool(better - {"t1"})
        covered += found.tasks[1].logs.low < math.log(0.4) < found.tasks[1].logs.high
    assert truly == times
    assert falsely / times <= 0.025 + 3 * math.sqrt(0.025 * 0.975 / times)
    assert covered / times == pytest.approx(0.95, abs=3 * math.sqrt(0.05 * 0.95 / times))


def test_turning_the_two_around_turns_every_finding_around():
    names, first, second = simulated(np.random.default_rng(5), 3, 6, 0.2, shift=-0.3)
    one, other = contrast(names, first, second, 0.2), contrast(names, second, first, 0.2)
    assert one.finding == "better"
    assert other.finding == "worse"
    assert one.average.mean == pytest.approx(-other.average.mean)
    assert [task.adjusted for task in one.tasks] == pytest.approx([task.adjusted for task in other.tasks])


def test_the_unit_of_a_loss_does_not_matter():
    names, first, second = simulated(np.random.default_rng(6), 2, 5, 0.2)
    scaled = [{s: {"t0": 1e6 * row["t0"], "t1": row["t1"]} for s, row in losses.items()} for losses in (first, second)]
    assert contrast(names, *scaled, 0.2).average.mean == pytest.approx(contrast(names, first, second, 0.2).average.mean)


def test_only_seeds_that_both_finished_are_paired_and_the_average_needs_every_target():
    first = {0: {"a": 0.5, "b": 0.5}, 1: {"a": 0.25, "b": None}, 2: {"a": 0.5, "b": 0.5}}
    second = {0: {"a": 1.0, "b": 1.0}, 1: {"a": 1.0, "b": 1.0}, 3: {"a": 9.0, "b": 9.0}}
    found = contrast(["a", "b"], first, second, 0.0)
    assert [task.logs.n for task in found.tasks] == [2, 1]
    assert found.tasks[0].logs.mean == pytest.approx(math.log(0.5 * 0.25) / 2)
    assert found.average.n == 1  # seed 0
    assert found.average.mean == pytest.approx(math.log(0.5))


def test_a_loss_of_zero_leaves_its_target_out_by_name():
    found = contrast(["a", "b"], {0: {"a": 0.0, "b": 1.0}}, {0: {"a": 1.0, "b": 2.0}}, 0.0)
    assert found.tasks[0].logs is None
    assert "a loss is 0 in 1 of 1 seeds" in found.tasks[0].absent
    assert found.average.mean == pytest.approx(math.log(0.5))


def test_no_common_seed_leaves_nothing():
    found = contrast(["a"], {0: {"a": 1.0}}, {1: {"a": 1.0}}, 0.0)
    assert (found.average, found.finding, found.tasks[0].finding) == (None, "open", "open")


def test_one_model_is_chosen_by_validation_losses_alone():
    worse_in_test = entrant("joint", losses(2.0), val=losses(0.5))
    better_in_test = entrant("weights", losses(0.5), val=losses(2.0))
    separate = entrant("separate", losses(1.0))
    assert single_model(record(worse_in_test, better_in_test, separate)).name == "joint"


def test_one_model_that_failed_in_a_seed_gives_way():
    failed = entrant("joint", {"a": [0.1, None], "b": [0.1, None]})
    whole = entrant("weights", {"a": [0.5, 0.5], "b": [0.5, 0.5]})
    assert single_model(record(failed, whole)).name == "weights"
    assert single_model(record(entrant("separate", losses(1.0)))) is None


def test_what_was_selected_has_the_losses_of_the_entrant_of_each_target():
    one, other = entrant("joint", losses(0.5)), entrant("separate", {"a": [1.0] * 5, "b": [2.0] * 4 + [None]})
    mixed = record(one, other).model_copy(update={"selected": {"a": "joint", "b": "separate"}})
    chosen = selected_losses(mixed)
    assert chosen[0] == {"a": losses_of(one)[0]["a"], "b": 2.0}
    assert chosen[4]["b"] is None


def test_splits_overlap_only_where_each_seed_draws_its_own():
    assert overlap_of(record(entrant("joint", losses(1.0)), rows=(700, 150, 150))) == pytest.approx(150 / 700)
    assert overlap_of(record(entrant("joint", losses(1.0)), redrawn=False)) == 0.0
