"""The steepest descent under linear conditions: against a convex solver, and where it must coincide with others."""

import warnings

import cvxpy as cp
import numpy as np
import pytest

from equipoise.errors import GramianError
from equipoise.solve import Status
from equipoise.solve.constrained_descent import Rows, constrained_descent
from equipoise.solve.min_norm import min_norm_point


def by_cvxpy(rows, aims, least, equal):
    """The direction, or None where none meets the conditions."""
    d, worst = cp.Variable(rows.shape[1]), cp.Variable()
    limits = [
        aims @ rows @ d >= worst,
        least.matrix @ rows @ d >= least.values,
        equal.matrix @ rows @ d == equal.values,
    ]
    problem = cp.Problem(cp.Maximize(worst - cp.sum_squares(d) / 2), [one for one in limits if one.size])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that a problem is infeasible is an answer here
        problem.solve(solver=cp.CLARABEL, tol_gap_abs=1e-12, tol_gap_rel=1e-12, tol_feas=1e-12)
    return d.value if problem.status.startswith("optimal") else None


@pytest.mark.parametrize("seed", range(80))
def test_it_is_what_a_convex_solver_finds(seed):
    draw = np.random.default_rng(seed)
    k, n = int(draw.integers(1, 7)), int(draw.integers(1, 9))  # fewer parameters than tasks too: dependent gradients
    rows = draw.normal(size=(k, n)) * 10 ** draw.uniform(-1, 1, size=(k, 1))
    aims = draw.normal(size=(2, k)) if seed % 3 == 0 else np.eye(k)[draw.permutation(k)[: int(draw.integers(1, k + 1))]]
    few, same = int(draw.integers(0, 3)), int(draw.integers(0, k))
    least = Rows(draw.normal(size=(few, k)), draw.normal(size=few))
    equal = Rows(draw.normal(size=(same, k)), draw.normal(size=same) * (seed % 2))
    root = np.linalg.qr(rows.T, mode="r") if seed % 5 else None
    found = constrained_descent(rows @ rows.T, aims, least=least, equal=equal, factor=root)
    known = by_cvxpy(rows, aims, least, equal)
    assert found.status.ok == (known is not None)
    if known is None:
        assert found.status is Status.NO_SOLUTION
        assert not found.value.any()
    else:
        assert found.certificate <= 1e-9
        assert rows.T @ found.value == pytest.approx(known, abs=1e-6 * max(np.linalg.norm(known), 1.0))


@pytest.mark.parametrize("seed", range(20))
def test_without_conditions_it_is_the_min_norm_point(seed):
    rows = np.random.default_rng(seed).normal(size=(5, 9)) * np.logspace(-2, 2, 5)[:, None]
    gramian = rows @ rows.T
    found = constrained_descent(gramian, np.eye(5)).value
    assert found == pytest.approx(min_norm_point(gramian).value, abs=1e-9)


def test_no_unit_of_the_gradients_matters():
    rows = np.random.default_rng(1).normal(size=(3, 6))
    across = Rows(np.array([[1.0, -1.0, 0.0], [0.0, 1.0, -1.0]]), np.zeros(2))
    wanted = constrained_descent(rows @ rows.T, np.eye(3), equal=across).value
    for unit in (1e-60, 1e-8, 1e8, 1e60):
        gramian = unit * rows @ (unit * rows).T
        assert constrained_descent(gramian, np.eye(3), equal=across).value == pytest.approx(wanted, rel=1e-9)


def test_a_row_of_zeros_asks_for_the_conditions_alone():
    least = Rows(np.array([[1.0, 0.0]]), np.array([2.0]))
    found = constrained_descent(np.array([[4.0, 1.0], [1.0, 1.0]]), np.zeros((1, 2)), least=least)
    assert found.value.tolist() == pytest.approx([0.5, 0.0])  # the shortest d with <g_1, d> = 2


def test_conditions_that_contradict_each_other_have_no_solution():
    same = np.ones((2, 2))
    apart = Rows(np.array([[1.0, -1.0]]), np.array([1.0]))
    assert constrained_descent(same, np.eye(2), equal=apart).status is Status.NO_SOLUTION
    both = Rows(np.eye(2), np.ones(2))
    against = np.array([[1.0, -1.0], [-1.0, 1.0]])
    assert constrained_descent(against, np.eye(2), least=both).status is Status.NO_SOLUTION
    agreed = constrained_descent(same, np.eye(2), equal=apart._replace(values=np.zeros(1)))
    assert agreed.value.sum() == pytest.approx(1.0)


def test_what_is_no_gramian_is_refused():
    with pytest.raises(GramianError, match="symmetric"):
        constrained_descent(np.array([[1.0, 0.5], [0.0, 1.0]]), np.eye(2))
