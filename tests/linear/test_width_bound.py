"""One model of the bound's width against mixtures, by our own reduction of these."""

import numpy as np
import pytest

from equipoise.linear.optima.tchebycheff import tchebycheff
from equipoise.linear.optima.width_bound import width_as_any_mixture
from equipoise.linear.problem.gramian import energies, factor


def gramian_of(tasks: int, seed: int) -> np.ndarray:
    predictions = np.random.default_rng(seed).normal(size=(tasks, 2 * tasks))
    return predictions @ predictions.T / tasks


@pytest.mark.parametrize("tasks", range(1, 60))
def test_the_bound_is_the_formula(tasks):
    for width in (1, 2, 7):
        added = np.floor(np.sqrt(2 * tasks + 0.25) - 1.5 + 1e-12)
        assert width_as_any_mixture(tasks, width) == width + added


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(("tasks", "width"), [(3, 1), (4, 1), (4, 2), (5, 2), (6, 1), (7, 3)])
def test_the_span_of_the_best_mixture_is_a_model_of_the_bound_that_is_as_good(tasks, width, seed):
    gramian = gramian_of(tasks, seed)
    weights = np.random.default_rng(seed + 100).uniform(0.2, 1.0, size=tasks)
    found = tchebycheff(gramian, weights, width)
    forward, back = factor(gramian)
    members = np.hstack([forward @ each for each in found.mixture_directions])
    left, singular, _ = np.linalg.svd(members)
    wider = int((singular > 1e-6 * singular[0]).sum())
    assert wider <= width_as_any_mixture(tasks, width)
    captured = energies(gramian, back @ left[:, :wider])
    mixed = found.mixture_weights @ found.mixture_captured
    assert (captured >= mixed - 1e-9 * gramian.diagonal()).all()
    assert tchebycheff(gramian, weights, width_as_any_mixture(tasks, width)).lower <= found.mixture_value + 1e-9


def test_at_two_tasks_no_mixture_beats_one_model():
    for seed in range(5):
        found = tchebycheff(gramian_of(2, seed), [1.0, 0.6], 1)
        assert width_as_any_mixture(2, 1) == 1
        assert found.value == pytest.approx(found.mixture_value, abs=1e-8)


def test_some_tables_need_the_added_width():
    gramian = np.eye(3) * 1.3 - 0.3
    assert tchebycheff(gramian, [1, 1, 1], 1).lower > tchebycheff(gramian, [1, 1, 1], 1).mixture_value + 0.05
    assert width_as_any_mixture(3, 1) == 2
    assert tchebycheff(gramian, [1, 1, 1], 2).value <= tchebycheff(gramian, [1, 1, 1], 1).mixture_value


def test_orthogonal_targets_have_no_gap_to_any_mixture_at_their_balance():
    """Zalcberg and Wiesel (2021): orthogonal targets of equal energy, one model per dimension reaches 1 - q / k."""
    for tasks, width in ((2, 1), (3, 1), (4, 2)):
        assert tchebycheff(np.eye(tasks), np.ones(tasks), width).value == pytest.approx(1 - width / tasks, abs=1e-7)
