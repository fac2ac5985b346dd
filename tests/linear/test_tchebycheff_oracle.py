"""Tchebycheff points, best weights and mixtures against slow methods that share nothing with ours."""

import itertools

import cvxpy as cp
import numpy as np
import pytest
from scipy.optimize import minimize

from equipoise.linear.optima.best_weights import best_weights
from equipoise.linear.optima.tchebycheff import tchebycheff


def random_gramian(seed, tasks, rank=None):
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(rank or tasks + 1, tasks)) * rng.uniform(0.5, 2.0, tasks)
    return rows.T @ rows / len(rows)


def square_root(gramian):
    values, vectors = np.linalg.eigh(gramian)
    return (vectors * np.sqrt(np.maximum(values, 0))).T


def mixture_by_semidefinite_program(gramian, weights, width, ideal):
    """min t over 0 <= P <= I, tr P = q, written for CVXPY as it stands in the textbook."""
    root = square_root(gramian)
    k = len(gramian)
    P, t = cp.Variable((k, k), symmetric=True), cp.Variable()
    excess = [gramian[i, i] - cp.sum(cp.multiply(np.outer(root[:, i], root[:, i]), P)) for i in range(k)]
    rules = [weights[i] * (excess[i] - ideal[i]) <= t for i in range(k)]
    problem = cp.Problem(cp.Minimize(t), [*rules, P >> 0, np.eye(k) - P >> 0, cp.trace(P) <= width])
    problem.solve(solver=cp.CLARABEL, tol_gap_abs=1e-9, tol_gap_rel=1e-9, tol_feas=1e-9)
    return problem.value


@pytest.mark.parametrize(
    ("seed", "tasks", "rank", "width"),
    [(0, 3, 3, 1), (1, 4, 4, 2), (2, 5, 5, 2), (3, 6, 6, 1), (4, 6, 6, 5), (5, 5, 3, 2), (6, 8, 8, 3), (7, 4, 4, 1)],
)
def test_the_mixture_is_the_optimum_of_the_semidefinite_program(seed, tasks, rank, width):
    rng = np.random.default_rng(seed)
    gramian, weights = random_gramian(seed, tasks, rank), rng.uniform(0.3, 1.0, tasks)
    ideal = -rng.uniform(0.0, 0.5, tasks)
    point = tchebycheff(gramian, weights, width, ideal)
    oracle = mixture_by_semidefinite_program(gramian, weights, width, ideal)
    scale = np.max(weights * (np.diag(gramian) - ideal))
    assert abs(point.mixture_value - oracle) < 1e-7 * scale
    assert point.mixture_lower - 1e-12 * scale <= point.mixture_value <= point.mixture_lower + 1e-8 * scale


def best_direction_by_search(gramian, worst_of_share, seed):
    """The least worst level over unit vectors: many random ones, the best 30 refined by a simplex search."""
    rng = np.random.default_rng(seed)
    root = square_root(gramian)
    drawn = rng.normal(size=(100_000, len(gramian)))
    drawn /= np.linalg.norm(drawn, axis=1, keepdims=True)
    values = worst_of_share((drawn @ root) ** 2).max(axis=1)
    found = []
    for i in np.argsort(values)[:30]:
        start = drawn[i]
        for _ in range(3):
            end = minimize(
                lambda v: worst_of_share((v @ root / np.linalg.norm(v)) ** 2).max(),
                start,
                method="Nelder-Mead",
                options={"xatol": 1e-10, "fatol": 1e-12, "maxfev": 1500},
            )
            start = end.x
        found.append(end.fun)
    return min(found)


@pytest.mark.parametrize(("seed", "tasks"), [(10, 3), (11, 3), (12, 3), (13, 4), (14, 4)])
def test_width_one_agrees_with_a_search_over_directions(seed, tasks):
    gramian, weights = random_gramian(seed, tasks), np.random.default_rng(seed).uniform(0.5, 1.0, tasks)
    point = tchebycheff(gramian, weights, 1)
    oracle = best_direction_by_search(gramian, lambda e: weights * (np.diag(gramian) - e), seed)
    assert point.exactness == "exact"
    assert point.value <= oracle + 1e-9
    assert point.value >= oracle - 1e-5


@pytest.mark.parametrize(("seed", "tasks"), [(20, 3), (21, 3), (22, 4), (23, 4)])
def test_width_rank_less_one_agrees_with_a_search_over_the_direction_left_out(seed, tasks):
    gramian, weights = random_gramian(seed, tasks), np.random.default_rng(seed).uniform(0.5, 1.0, tasks)
    point = tchebycheff(gramian, weights, tasks - 1)
    oracle = best_direction_by_search(gramian, lambda left_out: weights * left_out, seed)
    assert point.exactness == "exact"
    assert point.value <= oracle + 1e-9
    assert point.value >= oracle - 1e-5


def least_length(factor, signs, demand):
    """min |v|^2 with signs * factor^T v >= demand, by a general convex solver."""
    v = cp.Variable(factor.shape[0])
    problem = cp.Problem(cp.Minimize(cp.sum_squares(v)), [cp.multiply(signs, factor.T @ v) >= demand])
    problem.solve(solver=cp.CLARABEL)
    return problem.value if problem.status == "optimal" else np.inf


@pytest.mark.parametrize("seed", [30, 31, 32])
def test_width_one_with_five_tasks_agrees_with_every_sign_pattern_tried(seed):
    gramian = random_gramian(seed, 5)
    point = tchebycheff(gramian, np.ones(5), 1)
    root = square_root(gramian)

    def attainable(level):
        demand = np.sqrt(np.maximum(np.diag(gramian) - level, 0))
        patterns = itertools.product([1.0, -1.0], repeat=4)
        return any(least_length(root, np.array([1.0, *signs]), demand) <= 1 for signs in patterns)

    assert attainable(point.value * (1 + 1e-5))
    assert not attainable(point.value * (1 - 1e-5))


@pytest.mark.parametrize(("seed", "tasks", "width"), [(40, 4, 2), (41, 5, 2), (42, 5, 3)])
def test_between_the_bracket_holds_the_best_of_many_blind_descents(seed, tasks, width):
    gramian = random_gramian(seed, tasks)
    root = square_root(gramian)
    rng = np.random.default_rng(seed)

    def worst(flat):
        basis = np.linalg.qr(flat.reshape(tasks, width))[0]
        return np.max(np.diag(gramian) - np.sum((basis.T @ root) ** 2, axis=0))

    oracle = np.inf
    for _ in range(10):
        start = rng.normal(size=tasks * width)
        for _ in range(3):
            start = minimize(worst, start, method="Nelder-Mead", options={"maxfev": 2000, "adaptive": True}).x
        oracle = min(oracle, worst(start))
    point = tchebycheff(gramian, np.ones(tasks), width)
    assert point.lower <= oracle + 1e-12
    assert point.value <= oracle + 1e-9


def worst_of_weights(gramian, unexplained, width, weights):
    """Worst loss at the optimum of each row of weights."""
    root = square_root(gramian)
    vectors = np.linalg.eigh(np.einsum("ai,ni,bi->nab", root, weights, root))[1]
    captured = np.sum(np.einsum("nra,ri->nai", vectors[:, :, -width:], root) ** 2, axis=1)
    return np.max(unexplained + np.diag(gramian) - captured, axis=1)


@pytest.mark.parametrize(
    ("seed", "tasks", "width"), [(50, 3, 1), (51, 3, 1), (52, 3, 2), (53, 4, 2), (54, 4, 1), (55, 4, 3)]
)
def test_no_weights_of_a_dense_sample_beat_the_best_weights(seed, tasks, width):
    rng = np.random.default_rng(seed)
    gramian, unexplained = random_gramian(seed, tasks), rng.uniform(0.0, 0.3, tasks)
    found = best_weights(gramian, unexplained, width)
    sample = np.vstack([rng.dirichlet(np.ones(tasks), 60_000), rng.dirichlet(np.full(tasks, 0.3), 20_000) + 1e-9])
    assert found.worst <= worst_of_weights(gramian, unexplained, width, sample).min() + 1e-9


@pytest.mark.parametrize(("seed", "tasks", "width"), [(50, 3, 1), (53, 4, 2), (56, 5, 2), (57, 6, 1)])
def test_the_model_of_the_best_weights_is_one_of_their_optima(seed, tasks, width):
    gramian = random_gramian(seed, tasks)
    found = best_weights(gramian, np.full(tasks, 0.1), width)
    root = square_root(gramian)
    best_sum = np.linalg.eigvalsh((root * found.weights) @ root.T)[-width:].sum()
    assert found.weights @ found.captured >= best_sum * (1 - 1e-7)
    orthonormal = found.directions.T @ gramian @ found.directions
    assert np.allclose(orthonormal, np.eye(width), atol=1e-9)
    assert found.worst == pytest.approx(np.max(0.1 + np.diag(gramian) - found.captured), abs=1e-10)
