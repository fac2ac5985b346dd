"""GradDrop coordinate by coordinate."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import equipoise as eq
from equipoise.errors import SettingError, TaskError

from .matrices import gradients, run, take


def test_purity_decides_how_often_the_positive_sign_survives():
    # 3, 1: always; 7, -3: seven times of ten, d = 3.5, else -1.5; 0, 0: nothing
    rows = np.hstack([np.tile([[3.0], [1.0]], 500), np.tile([[7.0], [-3.0]], 4000), np.zeros((2, 5))])
    found = take(eq.GradDrop(), rows).direction.numpy()
    assert (found[:500] == 2.0).all()
    mixed = found[500:4500]
    assert set(mixed) == {3.5, -1.5}
    assert (mixed > 0).mean() == pytest.approx(0.7, abs=0.03)
    assert (found[4500:] == 0).all()


@given(k=st.integers(1, 6), seed=st.integers(0, 10_000), leak=st.sampled_from([0.0, 0.3, 1.0]))
@settings(max_examples=30, deadline=None)
def test_each_coordinate_is_one_of_the_two_signed_sums(k, seed, leak):
    rows = gradients(k, seed)
    found = take(eq.GradDrop(leak=leak, seed=seed), rows).direction.numpy()
    for column, value in zip(rows.T, found, strict=True):
        upward = sum(g if g > 0 else leak * g for g in column) / k
        downward = sum(g if g < 0 else leak * g for g in column) / k
        assert min(abs(value - upward), abs(value - downward)) < 1e-12
    if leak == 1.0:
        np.testing.assert_allclose(found, rows.mean(axis=0), atol=1e-12)


def test_the_mean_over_draws_is_the_expectation():
    rows = gradients(3, 2, columns=6)
    total = sum(outcome.direction.numpy() for outcome in run(eq.GradDrop(), [rows] * 3000)) / 3000
    positive, negative = rows.clip(min=0).sum(axis=0), -rows.clip(max=0).sum(axis=0)
    purity = positive / (positive + negative)
    np.testing.assert_allclose(total, (purity * positive - (1 - purity) * negative) / 3, atol=0.06)


def test_leaks_by_name_follow_their_tasks():
    rows = np.tile([[2.0], [-1.0]], 50)
    found = take(eq.GradDrop(leak={"a": 1.0, "b": 0.0}), rows).direction.numpy()
    assert set(found) == {1.0, 0.5}  # a always passes; b only with the negative sign
    with pytest.raises(TaskError, match="`leak` must name every task once"):
        take(eq.GradDrop(leak={"a": 1.0}), rows)


def test_draws_change_with_the_step_and_resume():
    rows = gradients(2, 0, columns=200)
    first, second = run(eq.GradDrop(seed=5), [rows, rows])
    assert not torch.equal(first.direction, second.direction)
    again = take(eq.GradDrop(seed=5), rows, state=first.state)
    assert torch.equal(again.direction, second.direction)


def test_absent_tasks_do_not_count_in_the_mean():
    rows = np.array([[2.0, 2.0], [5.0, 5.0], [4.0, 4.0]])
    assert take(eq.GradDrop(), rows, present=(0, 2)).direction.tolist() == [3.0, 3.0]


@pytest.mark.parametrize("leak", [-0.1, 1.1, float("nan"), (0.5, 2.0)])
def test_a_leak_outside_the_unit_interval_is_refused(leak):
    with pytest.raises(SettingError, match="`leak`"):
        eq.GradDrop(leak=leak)
