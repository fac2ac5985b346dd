"""Pareto tests: agreement with sign-by-sign convex programs and with random models, laws, known points."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import nnls

from equipoise.errors import SettingError
from equipoise.linear import LinearProblem, minimal_mixture, pareto_test, reach, scalarized, support, tchebycheff

seeds = st.integers(0, 10**6)


def gramian(seed, tasks):
    factor = np.random.default_rng(seed).normal(size=(tasks, tasks + 1))
    return factor @ factor.T


def root(G):
    values, vectors = np.linalg.eigh(G)
    return (vectors * np.sqrt(np.clip(values, 0, None))).T


def a_model(G, width, seed):
    basis = np.linalg.qr(np.random.default_rng(seed).normal(size=(len(G), width)))[0]
    return ((basis.T @ root(G)) ** 2).sum(0)


def least_length(G, captured):
    """min over all signs of min |v|^2 with s_i r_i . v >= sqrt(e_i), each by one non-negative least squares."""
    R, best = root(G), np.inf
    for signs in itertools.product([1.0, -1.0], repeat=len(G) - 1):
        S = np.array([1.0, *signs])
        system = np.vstack([R * S, np.sqrt(captured)])
        goal = np.zeros(len(system))
        goal[-1] = 1
        y, _ = nnls(system, goal)
        rest = goal - system @ y
        if rest[-1] > 1e-12:
            best = min(best, 1 / rest[-1] - 1)  # |rest|^2 = rest[-1] = 1 / (1 + |v|^2)
    return best


@settings(deadline=None, max_examples=25)
@given(seeds, st.integers(2, 7))
def test_width_one_agrees_with_all_signs(seed, tasks):
    G = gramian(seed, tasks)
    captured = a_model(G, 1, seed)
    found, length = pareto_test(G, 1, captured), least_length(G, captured)
    assert found.exact
    assert found.lead >= -1e-9
    assert (found.status == "dominated") == (length < 1 - 1e-7) or abs(length - 1) < 1e-5
    if found.status == "dominated":
        assert ((found.better - captured) / np.diag(G)).min() == pytest.approx(found.lead, abs=1e-9)
    assert found.better.max() <= np.diag(G).max() + 1e-9


@settings(deadline=None, max_examples=25)
@given(seeds, st.integers(3, 8))
def test_width_rank_less_one_agrees_with_all_signs(seed, tasks):
    G = gramian(seed, tasks)
    captured = a_model(G, tasks - 1, seed)
    left = np.sqrt(np.maximum(np.diag(G) - captured, 0))
    inverse = np.linalg.inv(G)
    largest = max(
        (left * S) @ inverse @ (left * S)
        for S in (np.array([1.0, *signs]) for signs in itertools.product([1.0, -1.0], repeat=tasks - 1))
    )
    found = pareto_test(G, tasks - 1, captured)
    assert largest >= 1 - 1e-7
    assert (found.status == "dominated") == (largest > 1 + 1e-6) or abs(largest - 1) < 1e-4
    assert found.lead >= -1e-9


@settings(deadline=None, max_examples=15)
@given(seeds, st.integers(3, 6), st.integers(1, 4))
def test_optima_of_positive_weights_are_optimal_at_every_width(seed, tasks, width):
    G = gramian(seed, tasks)
    weights = np.random.default_rng(seed).dirichlet(np.ones(tasks)) + 0.01
    found = pareto_test(G, width, scalarized(G, weights, width).captured)
    assert found.status == "optimal"


@settings(deadline=None, max_examples=15)
@given(seeds, st.integers(3, 6), st.integers(1, 4))
def test_one_model_is_never_further_ahead_than_a_mixture_and_no_random_model_beats_the_bound(seed, tasks, width):
    G = gramian(seed, tasks)
    captured = a_model(G, min(width, tasks), seed)
    found, mixed = pareto_test(G, width, captured), reach(G, width, captured)
    assert found.lead <= mixed.upper + 1e-7
    for other in range(50):
        lead = ((a_model(G, min(width, tasks), other) - captured) / np.diag(G)).min()
        assert lead <= found.upper + 1e-9


@pytest.mark.parametrize("width", [1, 2, 3])
def test_tchebycheff_points_are_optimal_and_points_beyond_them_are_outside(width):
    G = gramian(8, 4)
    point = tchebycheff(G, 1 / np.diag(G), width)
    found = pareto_test(G, width, point.captured)
    assert found.status == "optimal" or (width == 2 and found.status == "undetermined")
    # at width 2 a point between the best model and the best mixture is beyond what is proved
    if width != 2:
        assert pareto_test(G, width, point.captured + 0.01 * np.diag(G)).status == "outside"
    assert pareto_test(G, width, point.captured - 0.01 * np.diag(G)).status == "dominated"


def test_at_the_rank_only_the_common_best_model_is_optimal():
    G = gramian(1, 3)
    assert pareto_test(G, 3, np.diag(G)).status == "optimal"
    assert pareto_test(G, 3, 0.9 * np.diag(G)).status == "dominated"


def test_a_point_that_is_weakly_optimal_only_is_told_apart():
    # task 2 is orthogonal to the plane of the others and free to rise: nothing is gained in task 0
    G = np.diag([1.0, 1.0, 1.0])
    found = pareto_test(G, 2, [1.0, 0.5, 0.2])
    assert found.status == "optimal"
    assert found.also is not None
    assert (found.also >= np.array([1.0, 0.5, 0.2]) - 1e-6).all()


def test_the_known_point_of_sarcos_is_optimal_and_no_weights_reach_it(sarcos):
    X, Y, _ = sarcos
    problem = LinearProblem(X, Y[:, [0, 4, 6]])
    point = tchebycheff(problem.gramian, [0.320, 0.415, 0.265], 1)
    assert np.allclose(problem.total - point.captured, [0.6808, 0.6089, 0.7960], atol=1e-3)
    assert pareto_test(problem.gramian, 1, point.captured).status == "optimal"
    found = support(problem.gramian, 1, point.captured)
    assert found.supported is False
    assert found.exposed is None
    mixed = minimal_mixture(problem.gramian, 1, point.captured, np.ones(3))
    assert mixed.lead == pytest.approx(0.0802, abs=2e-4)
    assert len(mixed.probabilities) == 2


@settings(deadline=None, max_examples=20)
@given(seeds, st.integers(3, 9), st.integers(1, 4))
def test_minimal_mixtures_attain_the_lead_of_reach_with_few_models(seed, tasks, width):
    G = gramian(seed, tasks)
    width = min(width, tasks - 1)
    captured = a_model(G, width, seed)
    found = minimal_mixture(G, width, captured)
    assert found.upper - found.lead <= 1e-7
    lead = ((found.probabilities @ found.captured - captured) / np.diag(G)).min()
    assert lead == pytest.approx(found.lead, abs=1e-9)
    count = len(found.probabilities)
    assert count * (count + 1) / 2 <= tasks or found.weights.min() * np.diag(G).max() < 1e-6
    for member, directions in zip(found.captured, found.directions, strict=True):
        assert np.allclose(directions.T @ G @ directions, np.eye(width), atol=1e-8)
        assert np.allclose(((G @ directions) ** 2).sum(1), member)
    bound = scalarized(G, found.weights, width).value - found.weights @ captured
    assert bound == pytest.approx(found.upper, abs=1e-7)


def test_orthogonal_tasks_are_supported_by_one_weight_and_exposed_nowhere_between():
    G = np.diag([1.0, 2.0, 3.0])
    point = np.array([0.3, 0.5, 0.2]) * np.diag(G)
    grid = [np.array([i, j, 12 - i - j]) / 12 for i in range(1, 11) for j in range(1, 12 - i)]
    found = support(G, 1, point, sweep=grid)
    assert (found.supported, found.exposed, found.hit) == (True, False, False)
    assert np.allclose(found.weights * np.diag(G), 1 / 3)
    corner = support(G, 1, [1.0, 0.0, 0.0], sweep=grid)
    assert (corner.supported, corner.hit) == (True, True)


def test_generic_weighted_optima_are_exposed():
    G = gramian(3, 4)
    weights = np.array([0.4, 0.3, 0.2, 0.1])
    found = support(G, 2, scalarized(G, weights, 2).captured, sweep=[weights])
    assert (found.supported, found.exposed, found.hit) == (True, True, True)
    assert found.nearest < 1e-12


def test_settings_out_of_range_are_refused():
    with pytest.raises(SettingError, match="captured"):
        pareto_test(np.eye(3), 1, [0.1, 0.2])
    with pytest.raises(SettingError, match="tolerance"):
        pareto_test(np.eye(3), 1, [0.1, 0.2, 0.3], tolerance=0)
    with pytest.raises(SettingError, match="below the rank"):
        minimal_mixture(np.eye(2), 2, [0.1, 0.2])
