"""`reach` against the semidefinite program over the Fantope that defines it, solved by CVXPY."""

import numpy as np
import pytest

from equipoise.linear import LinearProblem, reach

cvxpy = pytest.importorskip("cvxpy")


def lead_by_semidefinite_program(G, width, captured, direction):
    """Max t such that some 0 <= P <= I with trace P <= q captures at least captured + t direction."""
    values, vectors = np.linalg.eigh(G)
    factor = (vectors * np.sqrt(np.clip(values, 0, None))).T
    tasks = len(G)
    P, t = cvxpy.Variable((tasks, tasks), symmetric=True), cvxpy.Variable()
    limits = [P >> 0, np.eye(tasks) - P >> 0, cvxpy.trace(P) <= width]
    for i in range(tasks):
        limits.append(
            cvxpy.sum(cvxpy.multiply(np.outer(factor[:, i], factor[:, i]), P)) >= captured[i] + t * direction[i]
        )
    tight = {"tol_gap_abs": 1e-10, "tol_gap_rel": 1e-10, "tol_feas": 1e-10}
    return cvxpy.Problem(cvxpy.Maximize(t), limits).solve(solver=cvxpy.CLARABEL, **tight)


@pytest.mark.parametrize("seed", range(6))
def test_the_lead_of_mixtures_is_that_of_the_fantope(seed):
    generator = np.random.default_rng(seed)
    tasks = 3 + seed % 4
    factor = generator.normal(size=(tasks, tasks))
    G = factor.T @ factor
    G /= np.trace(G)
    width = 1 + seed % (tasks - 1)
    basis = np.linalg.qr(generator.normal(size=(tasks, width)))[0]
    captured = ((basis.T @ factor) ** 2).sum(0) / np.trace(factor.T @ factor)
    direction = np.diag(G) if seed % 2 else np.ones(tasks)
    found = reach(G, width, captured, direction, tolerance=1e-8)
    expected = lead_by_semidefinite_program(G, width, captured, direction)
    assert found.lower == pytest.approx(expected, abs=1e-7)
    assert found.upper == pytest.approx(expected, abs=1e-7)


def test_the_known_gap_of_sarcos_is_that_of_the_fantope(sarcos):
    X, Y, _ = sarcos
    problem = LinearProblem(X, Y[:, [0, 4, 6]])
    captured = problem.total - np.array([0.6808, 0.6089, 0.7960])
    expected = lead_by_semidefinite_program(problem.gramian, 1, captured, np.ones(3))
    assert expected == pytest.approx(0.0802, abs=1e-4)
    found = reach(problem.gramian, 1, captured, np.ones(3))
    assert found.lower == pytest.approx(expected, abs=1e-7)
