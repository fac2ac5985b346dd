"""Nash-MTL: the equation, the clip, the clock, and points without solution."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import equipoise as eq
from equipoise.errors import SettingError
from equipoise.laws import check_method
from equipoise.solve import Status

from .matrices import gradients, run, take


@pytest.mark.parametrize("method", [eq.NashMTL(), eq.NashMTL(max_norm=None), eq.NashMTL(every=3)], ids=repr)
def test_the_laws_hold_for_every_kind_of_setting(method):
    assert check_method(method, sizes=(1, 2, 3, 5)).checks > 0


@given(k=st.integers(1, 8), seed=st.integers(0, 10_000))
@settings(max_examples=40, deadline=None)
def test_the_length_is_sqrt_k_before_the_clip_and_the_clip_keeps_the_direction(k, seed):
    rows = gradients(k, seed)
    free = take(eq.NashMTL(max_norm=None), rows)
    assert torch.linalg.norm(free.direction) == pytest.approx(np.sqrt(k), rel=1e-9)
    np.testing.assert_allclose(free.weights * (torch.from_numpy(rows) @ free.direction), 1.0, rtol=1e-8)
    clipped = take(eq.NashMTL(max_norm=0.5), rows)
    np.testing.assert_allclose(clipped.direction, 0.5 * free.direction / np.sqrt(k), rtol=1e-9)
    assert clipped.status is free.status is Status.SOLVED


def test_a_clip_above_the_length_does_nothing():
    rows = gradients(3, 0)
    assert torch.equal(take(eq.NashMTL(max_norm=2.0), rows).weights, take(eq.NashMTL(max_norm=None), rows).weights)


def test_weights_are_kept_between_recomputations_and_clipped_at_each_step():
    history = [gradients(3, seed) for seed in range(4)]
    found = run(eq.NashMTL(every=3), history)
    fresh = [take(eq.NashMTL(max_norm=None), rows).weights for rows in history]
    for step, source in ((0, 0), (1, 0), (2, 0), (3, 3)):
        direction = fresh[source] @ torch.from_numpy(history[step])
        expected = direction / max(float(torch.linalg.norm(direction)), 1.0)
        np.testing.assert_allclose(found[step].direction, expected, rtol=1e-12)


def test_without_a_solution_the_direction_is_zero_and_old_weights_are_not_used():
    opposite = np.array([[1.0, 0.0], [-1.0, 0.0]])
    found = run(eq.NashMTL(every=5), [np.eye(2), opposite, np.eye(2)])
    assert found[0].status is Status.SOLVED
    found = run(eq.NashMTL(), [np.eye(2), opposite, np.eye(2)])
    assert [one.status for one in found] == [Status.SOLVED, Status.NO_SOLUTION, Status.SOLVED]
    assert not found[1].direction.any()
    np.testing.assert_allclose(found[2].direction, np.sqrt([0.5, 0.5]))


def test_a_step_without_solution_is_made_up_for_at_the_next_one():
    found = run(eq.NashMTL(every=100), [np.array([[1.0, 0.0], [-1.0, 0.0]]), np.eye(2)])
    assert found[0].status is Status.NO_SOLUTION
    np.testing.assert_allclose(found[1].direction, np.sqrt([0.5, 0.5]))


def test_a_task_that_was_absent_at_the_recomputation_gets_its_weight_when_it_comes():
    rows = gradients(3, 1)
    method = eq.NashMTL(every=10)
    first = take(method, rows, present=(0, 2))
    assert first.state["weights"][1] == 0
    second = take(method, rows, state=first.state)
    np.testing.assert_allclose(second.direction, take(eq.NashMTL(), rows).direction, rtol=1e-10)


@pytest.mark.parametrize("settings_", [{"max_norm": 0.0}, {"max_norm": -1.0}, {"every": 0}, {"every": 1.5}])
def test_settings_outside_their_range_are_refused(settings_):
    with pytest.raises(SettingError, match="must be"):
        eq.NashMTL(**settings_)
