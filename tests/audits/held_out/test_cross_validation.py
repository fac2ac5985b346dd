"""Losses on new rows against a slow refit on the rows themselves: scikit-learn's ridge, no moments."""

from itertools import combinations

import numpy as np
import pytest
from scipy.stats import t as student

from equipoise.audits.held_out.cross_validation import MOST_TASKS, measure
from equipoise.audits.widths.optima import RESAMPLED, Shares, Solutions
from equipoise.linear.held_out.row_blocks import row_blocks

from .refits import TASKS, Refit, table


def test_losses_agree_with_refits_of_every_fold(refitted):
    X, Y, blocks, penalties, measured = refitted
    folds = blocks.block // 2
    sums = {name: np.zeros(3) for name in ("separate", 1, 2)}
    for fold in range(10):
        train = folds != fold
        model = Refit(X[train], Y[train], penalties[fold])
        sums["separate"] += model.errors(X[~train], Y[~train])
        for width in (1, 2):
            sums[width] += model.errors(X[~train], Y[~train], model.equal(width))
    scale = len(Y) * Y.var(axis=0)
    assert measured.about.penalties == (min(penalties), max(penalties))
    assert measured.about.separate == pytest.approx(sums["separate"] / scale, rel=1e-8)
    for width in (1, 2):
        found = measured.rungs["equal_weights", width]
        assert found.losses == pytest.approx(sums[width] / scale, rel=1e-8)
        assert found.differences == pytest.approx((sums[width] - sums["separate"]) / scale, abs=1e-8)


def test_margins_agree_with_a_jackknife_of_refits(refitted, overall):
    X, Y, blocks, _, measured = refitted
    sums = np.zeros((20, 3))
    for pair in combinations(range(20), 2):
        train = ~np.isin(blocks.block, pair)
        model = Refit(X[train], Y[train], overall)
        for tested, without in (pair, pair[::-1]):
            rows = blocks.block == tested
            shared = model.errors(X[rows], Y[rows], model.equal(1))
            sums[without] += shared - model.errors(X[rows], Y[rows])
    rows_left = np.array([(blocks.block != block).sum() for block in range(20)])
    values = sums / rows_left[:, None] / Y.var(axis=0)
    error = np.sqrt(19 / 20 * ((values - values.mean(axis=0)) ** 2).sum(axis=0))
    expected = student.ppf(1 - 0.05 / 6, 19) * np.maximum(error, np.median(error))
    assert error.min() < 0.9 * np.median(error)
    assert measured.rungs["equal_weights", 1].margins == pytest.approx(expected, rel=1e-8)


@pytest.mark.parametrize("kind", ["best_weights", "tchebycheff", "mixture"])
def test_searched_remedies_are_fitted_on_the_training_part_alone(refitted, kind):
    X, Y, blocks, penalties, measured = refitted
    folds, sums = blocks.block // 2, np.zeros(3)
    for fold in range(10):
        train = folds != fold
        model = Refit(X[train], Y[train], penalties[fold])
        shares = Shares(model.fitted.T @ model.fitted, model.unexplained, TASKS, 3, 0)
        here = Solutions(shares, None, RESAMPLED).at(1)
        layers = {
            "best_weights": [(1.0, here.best.directions)],
            "tchebycheff": [(1.0, here.point.directions)],
            "mixture": list(zip(here.point.mixture_weights, here.point.mixture_directions, strict=True)),
        }[kind]
        for share, directions in layers:
            sums += share * model.errors(X[~train], Y[~train], model.projected(directions))
    assert measured.rungs[kind, 1].losses == pytest.approx(sums / len(Y) / Y.var(axis=0), abs=1e-6)


def test_a_layer_as_wide_as_the_rank_is_the_same_as_separate_models(refitted):
    *_, measured = refitted
    for kind in ("equal_weights", "best_weights", "tchebycheff", "mixture"):
        found = measured.rungs[kind, 3]
        assert found.losses == measured.about.separate
        assert found.told == "the same"


def test_tasks_that_share_nothing_are_told_to_lose():
    generator = np.random.default_rng(1)
    X = generator.normal(size=(300, 3))
    measured = measure(X, X + 0.3 * generator.normal(size=(300, 3)), row_blocks(300), tasks=TASKS, widths=[1])
    found = measured.rungs["tchebycheff", 1]
    assert found.told == "worse"
    assert found.interval[0] < 2 / 3 < found.interval[1] + 0.1  # one of three equal directions is kept
    assert found.interval[0] > 0.4


def test_tasks_of_one_signal_with_few_rows_are_told_to_gain():
    generator = np.random.default_rng(0)
    X = generator.normal(size=(60, 30))
    Y = (X @ generator.normal(size=30))[:, None] + 8.0 * generator.normal(size=(60, 3))
    found = measure(X, Y, row_blocks(60), tasks=TASKS, widths=[1]).rungs["equal_weights", 1]
    assert sum(found.differences) < 0
    assert not found.worse


def test_finished_parts_are_not_computed_again():
    X, Y = table(2)
    parts = {}
    first = measure(X, Y, row_blocks(60), tasks=TASKS, widths=[1], parts=parts)
    parts["new rows, fold 1"] = [[0.0] * 3 for _ in parts["new rows, fold 1"]]
    again = measure(X, Y, row_blocks(60), tasks=TASKS, widths=[1], parts=parts)
    assert sum(again.about.separate) < sum(first.about.separate)
    del parts["new rows, fold 1"]
    assert measure(X, Y, row_blocks(60), tasks=TASKS, widths=[1], parts=parts).rungs == first.rungs


def test_many_tasks_are_measured_without_searches():
    X, Y = table(3, rows=80, inputs=12, tasks=MOST_TASKS + 1)
    names = [f"t{i}" for i in range(MOST_TASKS + 1)]
    measured = measure(X, Y, row_blocks(80), tasks=names, widths=[2], searched=False)
    assert set(measured.rungs) == {("separate", 1), ("equal_weights", 2)}
    assert not measured.about.searched
