"""GradNorm against the gradient of its criterion taken by autograd."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import equipoise as eq
from equipoise.errors import LossError, SettingError

from .matrices import gradients, run, take


def slow_run(history, losses, alpha, lr):
    """The published loop, weights of sum k, gradient by autograd; returns the weights of each step over k."""
    k = len(history[0])
    weights = torch.ones(k, dtype=torch.float64, requires_grad=True)
    used = []
    for rows, values in zip(history, losses, strict=True):
        used.append(weights.detach().numpy() / k)
        norms = weights * torch.as_tensor(np.linalg.norm(rows, axis=1))
        progress = torch.as_tensor(np.array(values) / np.array(losses[0]))
        target = (norms.mean() * (progress / progress.mean()) ** alpha).detach()
        (slope,) = torch.autograd.grad((norms - target).abs().sum(), weights)
        moved = (weights.detach() - lr * slope).clamp(min=0)
        weights = (moved * k / moved.sum()).requires_grad_()
    return used


@given(k=st.integers(2, 6), seed=st.integers(0, 10_000), alpha=st.sampled_from([0.0, 0.5, 1.5]))
@settings(max_examples=30, deadline=None)
def test_weights_follow_the_gradient_of_the_criterion(k, seed, alpha):
    draw = np.random.default_rng(seed)
    history = [gradients(k, seed + t) * np.arange(1, k + 1)[:, None] for t in range(5)]
    losses = [draw.uniform(0.5, 2.0, size=k) for _ in range(5)]
    found = run(eq.GradNorm(alpha=alpha, lr=0.01), history, losses)
    for outcome, wanted in zip(found, slow_run(history, losses, alpha, 0.01), strict=True):
        np.testing.assert_allclose(outcome.weights, wanted, atol=1e-12)


def test_with_alpha_zero_the_weighted_norms_become_equal():
    rows = np.diag([1.0, 2.0, 4.0])
    outcome = run(eq.GradNorm(alpha=0.0, lr=1e-3), [rows] * 2000)[-1]
    norms = outcome.weights.numpy() * np.array([1.0, 2.0, 4.0])
    assert norms.max() - norms.min() < 0.02 * norms.max()  # a constant step hovers about the solution


def test_a_task_that_falls_slowly_gets_more_weight():
    rows = np.eye(2)
    losses = [[1.0, 1.0]] + [[1.0, 0.2]] * 20
    weights = run(eq.GradNorm(), [rows] * 21, losses)[-1].weights
    assert weights[0] > 0.6


def test_absent_tasks_keep_their_share_and_the_others_share_the_rest():
    method = eq.GradNorm(lr=0.05)
    state = run(method, [gradients(3, t) for t in range(3)])[-1].state
    outcome = take(method, gradients(3, 9), state=state, present=(0, 2))
    before, after = state["task_weights"], outcome.state["task_weights"]
    assert after[1] == before[1]
    assert float(after.sum()) == pytest.approx(1)
    assert float(outcome.weights.sum()) == pytest.approx(1)
    assert not torch.equal(before, after)


def test_first_losses_are_those_of_each_tasks_first_step():
    method = eq.GradNorm()
    first = take(method, gradients(3, 0), [1.0, 2.0, 3.0], present=(0, 1))
    assert first.state["first"].tolist() == [1, 2, 0]
    second = take(method, gradients(3, 1), [4.0, 5.0, 6.0], state=first.state)
    assert second.state["first"].tolist() == [1, 2, 6]


def test_huge_gradients_leave_weights_on_the_simplex():
    for outcome in run(eq.GradNorm(lr=1.0), [1e6 * gradients(4, t) for t in range(10)]):
        assert outcome.weights.min() >= 0
        assert float(outcome.weights.sum()) == pytest.approx(1)


def test_losses_without_a_rate_are_refused_by_name():
    with pytest.raises(LossError, match=r"b = 0 \(first 0\)"):
        take(eq.GradNorm(), gradients(2, 0), [1.0, 0.0])
    with pytest.raises(LossError, match=r"a = -1"):
        take(eq.GradNorm(), gradients(2, 0), [-1.0, 1.0])


def test_settings_outside_their_range_are_refused():
    for wrong in ({"alpha": -1.0}, {"lr": 0.0}, {"alpha": float("inf")}, {"lr": float("inf")}):
        with pytest.raises(SettingError):
            eq.GradNorm(**wrong)


def test_steps_of_the_weights_grow_with_the_gradients_so_there_is_no_degree():
    rows, losses = [gradients(3, t) for t in range(3)], [[1.0, 1.0, 1.0], [0.9, 0.5, 0.2], [0.8, 0.4, 0.1]]
    plain, tenfold = run(eq.GradNorm(), rows, losses)[-1], run(eq.GradNorm(), [10 * r for r in rows], losses)[-1]
    ratio = (tenfold.direction / plain.direction).numpy()
    assert ratio.std() > 0.1
    assert eq.GradNorm().degree() is None


def test_heads_are_weighted_as_published():
    assert eq.GradNorm().heads == "weighted"
