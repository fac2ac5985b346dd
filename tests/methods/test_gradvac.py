"""GradVac against the algorithm carried out on the gradients themselves, one pair after the other."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import equipoise as eq
from equipoise.errors import SettingError
from equipoise.solve import Status

from .matrices import gradients, run, take


def slow_step(rows, targets, beta, generator):
    """The published loop in parameter space; `targets` is changed in place."""
    k = len(rows)
    orders = [generator.permutation([j for j in range(k) if j != i]) for i in range(k)]
    turned = []
    for i in range(k):
        p = rows[i].copy()
        for j in orders[i]:
            c = p @ rows[j] / (np.linalg.norm(p) * np.linalg.norm(rows[j]))
            t = targets[i, j]
            if c < t:
                size = np.linalg.norm(p) * (t * np.sqrt(1 - c**2) - c * np.sqrt(1 - t**2))
                p = p + size / (np.linalg.norm(rows[j]) * np.sqrt(1 - t**2)) * rows[j]
                assert p @ rows[j] / (np.linalg.norm(p) * np.linalg.norm(rows[j])) == pytest.approx(t, abs=1e-9)
            targets[i, j] = (1 - beta) * t + beta * c
        turned.append(p)
    return np.mean(turned, axis=0)


@given(k=st.integers(2, 6), seed=st.integers(0, 10_000), beta=st.sampled_from([0.0, 0.01, 0.3, 0.9]))
@settings(max_examples=40, deadline=None)
def test_directions_and_targets_are_those_of_the_published_loop(k, seed, beta):
    history = [gradients(k, seed + 7 * t, columns=4) + 0.3 for t in range(4)]
    found = run(eq.GradVac(beta=beta, seed=seed), history)
    targets = np.zeros((k, k))
    for t, rows in enumerate(history):
        wanted = slow_step(rows, targets, beta, np.random.default_rng([seed, t]))
        scale = np.linalg.norm(rows, axis=1).max()
        np.testing.assert_allclose(found[t].direction, wanted, atol=1e-8 * scale)
        np.testing.assert_allclose(found[t].state["targets"], targets, atol=1e-9)


def test_the_first_step_and_every_step_with_beta_zero_are_pcgrads():
    history = [gradients(5, t, columns=4) for t in range(3)]
    np.testing.assert_allclose(run(eq.GradVac(), history)[0].direction, run(eq.PCGrad(), history)[0].direction)
    for ours, theirs in zip(run(eq.GradVac(beta=0.0), history), run(eq.PCGrad(), history), strict=True):
        np.testing.assert_allclose(ours.direction, theirs.direction, atol=1e-12)


def test_two_tasks_by_hand():
    # target .5 for both pairs, orthogonal gradients of length 2 and 1: each turns to 60 degrees from the other
    method = eq.GradVac(beta=0.5)
    state = {**method.init(2), "targets": np.array([[0, 0.5], [0.5, 0]])}
    import torch

    state["targets"] = torch.from_numpy(state["targets"])
    found = take(method, [[2.0, 0.0], [0.0, 1.0]], state=state)
    pull = 0.5 / np.sqrt(0.75)  # t / sqrt(1 - t^2)
    np.testing.assert_allclose(found.direction, [(2 + pull) / 2, (2 * pull + 1) / 2])
    np.testing.assert_allclose(found.state["targets"], [[0, 0.25], [0.25, 0]])


def test_identical_gradients_stay_whole_when_their_target_has_come_near_one():
    rows = np.tile(gradients(1, 0), (3, 1))
    for outcome in run(eq.GradVac(beta=0.9), [rows] * 60):
        np.testing.assert_allclose(outcome.direction, rows[0], rtol=1e-9)
    assert outcome.state["targets"][0, 1] > 1 - 1e-9


def test_opposite_gradients_cancel_and_stay_finite():
    rows = np.array([[1.0, 2.0], [-1.0, -2.0]])
    for outcome in run(eq.GradVac(beta=0.5), [rows] * 30):
        assert np.isfinite(outcome.direction.numpy()).all()
        assert np.isfinite(outcome.state["targets"].numpy()).all()


@given(seed=st.integers(0, 10_000), longer=st.floats(0.1, 3.0))
@settings(max_examples=20, deadline=None)
def test_what_is_left_of_a_cancelled_gradient_is_no_angle(seed, longer):
    # the second gradient is opposite to the first, so that p_1 becomes zero to rounding; what rounding leaves has some
    # angle to the third gradient, another one in other coordinates, and must not enter the targets
    draw = np.random.default_rng(seed)
    turn, _ = np.linalg.qr(draw.normal(size=(7, 7)))
    history = [gradients(3, seed + t, columns=7) for t in range(3)]
    for rows in history:
        rows[1] = -longer * rows[0]
    plain, turned = run(eq.GradVac(beta=0.3), history), run(eq.GradVac(beta=0.3), [rows @ turn for rows in history])
    for one, other in zip(plain, turned, strict=True):
        np.testing.assert_allclose(one.state["targets"], other.state["targets"], atol=1e-6)
        np.testing.assert_allclose(one.weights, other.weights, atol=1e-6)


@pytest.mark.parametrize("method", [eq.GradVac(), eq.PCGrad(), eq.AlignedMTL()], ids=repr)
def test_a_stationary_point_is_reported(method):
    assert take(method, [[1.0, 0.0, 0.0], [-2.0, 0.0, 0.0], [0.0, 1.0, 0.0]]).status is Status.STATIONARY
    assert take(method, [[1.0, 0.0], [-1.0, 1.0]]).status is Status.SOLVED


def test_absent_and_finished_tasks_keep_their_targets():
    method = eq.GradVac(beta=0.5)
    first = take(method, gradients(3, 0))
    second = take(method, gradients(3, 1), state=first.state, present=(0, 2))
    before, after = first.state["targets"].numpy(), second.state["targets"].numpy()
    np.testing.assert_array_equal(before[1], after[1])
    np.testing.assert_array_equal(before[:, 1], after[:, 1])
    assert before[0, 2] != after[0, 2]
    rows = gradients(3, 2)
    rows[1] = 0
    third = take(method, rows, state=first.state)
    np.testing.assert_array_equal(before[1], third.state["targets"].numpy()[1])


@pytest.mark.parametrize("beta", [-0.1, 1.0, float("nan")])
def test_a_speed_outside_its_range_is_refused(beta):
    with pytest.raises(SettingError, match="`beta`"):
        eq.GradVac(beta=beta)
