"""What did nothing is said, what did something is not."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import equipoise as eq
from equipoise.core.records.training import GradientLine, StepLine, TrainingConfig, TrainingRecord
from equipoise.training.recording.run_checks import ONE_METHOD, identical_runs, notices

TASKS = ("depth", "rotation")


def config(method="RLW()", tasks=TASKS):
    return TrainingConfig(
        method=method, kind="loss method", tasks=tasks, heads="weighted", scale="mean", nonfinite="raise", every=50,
        gradients=50, versions={},
    )  # fmt: skip


def gradients(shares, norms=(1.0, 1e-4)):
    return GradientLine(
        at="shared parameters", measured="by the record", norms=norms, shares=shares, to_update=(1.0, 0.1),
        cosines=(0.1,), conflicting=0.0,
    )  # fmt: skip


def line(step, *, weights=(0.4, 0.6), losses=None, shares=(0.5, 0.5), norms=(1.0, 1.0), counts=None):
    return StepLine(
        step=step, seconds=step / 10, step_seconds=0.1, balancer_seconds=0.01, record_seconds=0.001,
        raw_losses=losses or (1.0 / step, 2.0 / step), weighted_losses=(0.1, 0.1), weights=weights,
        gradients=None if shares is None else gradients(shares, norms), status="SOLVED", certificate=0.0,
        counts=counts or {"SOLVED": step},
    )  # fmt: skip


def record(lines, replaced=0, **more):
    return TrainingRecord(config=config(**more), lines=tuple(lines), torn=False, replaced=replaced)


def kinds(found):
    return [notice.kind for notice in found]


def test_a_run_that_moves_gives_no_notice():
    assert notices(record([line(step) for step in (1, 50, 100)])) == ()


def test_weights_that_never_left_uniform_are_noticed():
    found = notices(record([line(step, weights=(0.5, 0.5)) for step in (1, 50, 100)]))
    assert kinds(found) == ["uniform weights"]
    assert "3 recorded steps up to step 100" in found[0].words
    assert "end_epoch" in found[0].remedy


@given(st.floats(1e-3, 1e3), st.integers(0, 4), st.floats(1e-5, 1.0))
@settings(deadline=None, max_examples=40)
def test_one_step_of_other_weights_is_enough_to_have_moved(scale, moved, amount):
    lines = [line(step, weights=(scale, scale)) for step in (1, 50, 100, 150, 200)]
    assert kinds(notices(record(lines))) == ["uniform weights"]
    lines[moved] = line(lines[moved].step, weights=(scale, scale * (1 + amount)))
    assert notices(record(lines)) == ()


def test_equal_weights_that_were_asked_for_are_no_news():
    lines = [line(step, weights=(0.5, 0.5)) for step in (1, 50, 100)]
    assert notices(record(lines, method="LinearScalarization(weights=None)")) == ()


def test_a_task_alone_in_its_steps_does_not_count_as_uniform():
    assert notices(record([line(step, weights=(1.0, None), shares=(1.0, None)) for step in (1, 50, 100)])) == ()


def test_uniform_weights_wait_while_the_run_is_young():
    lines = [line(step, weights=(0.5, 0.5)) for step in range(1, 32)]
    assert notices(record(lines), running=True) == ()
    assert kinds(notices(record([*lines, line(40, weights=(0.5, 0.5))]), running=True)) == ["uniform weights"]


def test_too_few_lines_say_nothing():
    assert notices(record([line(step, weights=(0.5, 0.5), shares=(1.0, 0.0)) for step in (1, 50)])) == ()


def test_a_task_without_part_in_the_update_is_named_with_a_way_out():
    found = notices(record([line(step, shares=(0.9995, 0.0005), norms=(2.0, 1e-3)) for step in (1, 50, 100)]))
    assert [(notice.kind, notice.subject) for notice in found] == [("small share", "rotation")]
    assert "0.05 %" in found[0].words
    assert "'depth': 0.0005, 'rotation': 1" in found[0].remedy


def test_one_step_above_the_threshold_is_enough_to_take_part():
    shares = [(0.9995, 0.0005), (0.9995, 0.0005), (0.999, 0.001)]
    assert notices(record([line(step, shares=share) for step, share in zip((1, 50, 100), shares, strict=True)])) == ()


def test_a_gradient_of_zero_has_another_cure():
    found = notices(record([line(step, shares=(1.0, 0.0), norms=(2.0, 0.0)) for step in (1, 50, 100)]))
    assert "exactly zero" in found[0].remedy


@pytest.mark.parametrize(("failed", "said"), [(1, False), (2, True)])
def test_more_than_one_failed_solve_in_a_hundred_marks_the_run(failed, said):
    counts = {"SOLVED": 100 - failed, "ITERATION_LIMIT": failed, "skipped depth": 50}
    found = notices(record([line(step, counts=counts) for step in (1, 50, 100)]))
    assert kinds(found) == (["failed solves"] if said else [])


def test_good_outcomes_do_not_count_as_failures():
    counts = {"SOLVED": 10, "STATIONARY": 80, "RANK_DEFICIENT": 10}
    assert notices(record([line(step, counts=counts) for step in (1, 50, 100)])) == ()


def test_repeated_steps_are_mentioned():
    assert kinds(notices(record([line(1)], replaced=4))) == ["restarted"]


def test_runs_of_two_methods_with_the_same_losses_are_noticed():
    mine = record([line(step) for step in (1, 50, 100)])
    same = record([line(step) for step in (1, 50, 100, 150)], method="CAGrad()")
    found = identical_runs("a", mine, {"b": same})
    assert kinds(found) == ["identical runs"]
    assert "all 3 common recorded steps" in found[0].words


def test_runs_that_differ_in_one_bit_are_not_the_same():
    mine = record([line(step) for step in (1, 50, 100)])
    lines = [line(1), line(50), line(100, losses=(0.01 + 1e-17, 0.02 + 4e-18))]
    assert lines[2].raw_losses != mine.lines[2].raw_losses
    assert identical_runs("a", mine, {"b": record(lines, method="CAGrad()")}) == ()


def test_the_same_method_other_tasks_and_short_runs_are_not_compared():
    mine = record([line(step) for step in (1, 50, 100)])
    others = {
        "again": record([line(step) for step in (1, 50, 100)]),
        "other tasks": record([line(step) for step in (1, 50, 100)], method="CAGrad()", tasks=("a", "b")),
        "short": record([line(step) for step in (1, 50)], method="CAGrad()"),
    }
    assert identical_runs("a", mine, others) == ()


PAIRS = [
    (eq.FairGrad(alpha=1.0), eq.NashMTL(max_norm=None)),
    (eq.CappedMGDA(cap=1.0), eq.MGDA()),
]


@pytest.mark.parametrize("pair", PAIRS, ids=str)
def test_two_names_of_one_method_may_train_the_same_model(pair):
    one, other = map(repr, pair)
    mine = record([line(step) for step in (1, 50, 100)], method=one)
    theirs = record([line(step) for step in (1, 50, 100)], method=other)
    assert identical_runs("a", mine, {"b": theirs}) == ()
    assert kinds(identical_runs("a", mine, {"b": record(theirs.lines, method="CAGrad()")})) == ["identical runs"]
    for k in (2, 3, 4):
        rows = np.random.default_rng(k).normal(size=(k, 9))
        assert torch.equal(*(eq.direction(method, rows) for method in pair))  # to the bit


def test_every_pair_of_names_is_shown_to_coincide():
    assert {frozenset(map(repr, pair)) for pair in PAIRS} == set(ONE_METHOD)
