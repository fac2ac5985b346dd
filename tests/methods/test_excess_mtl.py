"""Weights that climb with estimated excess risk."""

import numpy as np
import pytest
import torch

import equipoise as eq
from equipoise.methods.run import run_method

from .histories import step_of


def run(method: eq.ExcessMTL, jacobians: np.ndarray, presents: list[tuple[int, ...]] | None = None) -> list:
    k, n = jacobians.shape[1:]
    state, found = method.init(k, n), []
    for number, rows in enumerate(jacobians):
        step = step_of(k, presents[number] if presents else ())
        outcome = run_method(method, torch.from_numpy(rows[list(step.tasks.present)]), state, step)
        state = outcome.state
        found.append(outcome)
    return found


def test_a_history_equals_the_formula_written_out():
    jacobians = np.random.default_rng(0).normal(size=(15, 3, 8)) * np.linspace(1, 0.2, 15)[:, None, None]
    jacobians[:, 1] *= 100
    jacobians[:, :, 4] = 0  # a coordinate that never moves
    weights, squares, first = np.full(3, 1 / 3), np.zeros((3, 8)), None
    for rows, outcome in zip(jacobians, run(eq.ExcessMTL(0.5), jacobians), strict=True):
        squares += rows**2
        excess = np.array(
            [sum(g * g / s**0.5 for g, s in zip(*pair, strict=True) if s) for pair in zip(rows, squares, strict=True)]
        )
        first = excess if first is None else first
        weights = weights * np.exp(0.5 * excess / first)
        weights /= weights.sum()
        assert outcome.direction.numpy() == pytest.approx(weights @ rows, rel=1e-9)


def test_the_first_step_is_the_mean_and_a_task_that_stays_steep_gains():
    jacobians = np.ones((30, 2, 4))
    jacobians[:, 0] *= np.exp(-0.5 * np.arange(30))[:, None]  # the first task has converged
    played = run(eq.ExcessMTL(0.2), jacobians)
    assert played[0].direction.numpy() == pytest.approx(np.ones(4))
    shares = torch.softmax(played[-1].state["log_weights"], 0)
    assert shares[1] > 0.7


def test_absent_and_finished_tasks_keep_weight_and_history():
    jacobians = np.random.default_rng(1).normal(size=(4, 3, 5))
    jacobians[2, 0] = 0
    played = run(eq.ExcessMTL(1.0), jacobians, presents=[(0, 1, 2), (0, 2), (0, 1, 2), (0, 1, 2)])
    assert torch.equal(played[1].state["squares"][1], played[0].state["squares"][1])
    assert torch.equal(played[1].state["log_weights"][1], played[0].state["log_weights"][1])
    assert torch.equal(played[2].state["log_weights"][0], played[1].state["log_weights"][0])
    assert torch.equal(played[2].state["first"], played[0].state["first"])
    for outcome in played:
        assert float(outcome.state["log_weights"].exp().sum()) == pytest.approx(1.0)


def test_a_first_gradient_of_zero_waits_for_its_first_estimate():
    jacobians = np.ones((3, 2, 4))
    jacobians[0, 1] = 0
    played = run(eq.ExcessMTL(), jacobians)
    assert played[0].state["first"].isnan().tolist() == [False, True]
    assert played[1].state["first"].tolist() == pytest.approx([4.0, 4.0])
    assert all(torch.isfinite(outcome.direction).all() for outcome in played)
