"""The min-norm point against slow and independent ways to find it."""

import cvxpy as cp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from equipoise.errors import GramianError
from equipoise.laws import families
from equipoise.solve import Status
from equipoise.solve.min_norm import min_norm_point


@pytest.mark.parametrize("k", [2, 3, 5, 10, 20, 50])
def test_the_certificate_is_tiny_on_every_family_and_does_not_change_with_scale(k):
    reference = {}
    for case in families(k):
        gramian = case.jacobian @ case.jacobian.T
        solution = min_norm_point(gramian)
        family = case.name.split(",")[0]
        assert solution.status.ok
        # the Gramian of nearly opposite gradients has condition 1e12: its own rounding moves the optimum by 1e-4
        near = family in ("nearly opposite", "cancelling")
        bound = 1e-6 if near else 1e-9
        assert solution.certificate < bound, case.name
        assert solution.value.sum() == pytest.approx(1, abs=1e-12)
        assert (solution.value >= 0).all()
        base = reference.setdefault(family, solution.value @ case.jacobian / np.linalg.norm(case.jacobian))
        found = solution.value @ case.jacobian / np.linalg.norm(case.jacobian)
        tolerance = 1e-7 if near else 1e-10
        # where the gradients cancel, the point itself is known to the root of eps only
        assert np.linalg.norm(found - base) <= tolerance * (
            1.0 if family == "cancelling" else max(np.linalg.norm(base), 1e-4)
        )


@pytest.mark.parametrize("seed", range(8))
def test_it_agrees_with_a_cone_solver(seed):
    draw = np.random.default_rng(seed)
    k = int(draw.integers(2, 9))
    jacobian = draw.normal(size=(k, 12)) + draw.normal(size=12) * draw.uniform(0, 1)
    weights = cp.Variable(k, nonneg=True)
    problem = cp.Problem(cp.Minimize(cp.norm(jacobian.T @ weights)), [cp.sum(weights) == 1])
    problem.solve(solver=cp.CLARABEL, tol_gap_abs=1e-10, tol_gap_rel=1e-10, tol_feas=1e-10)
    found = min_norm_point(jacobian @ jacobian.T).value
    assert np.linalg.norm(found @ jacobian) == pytest.approx(problem.value, rel=1e-7)
    np.testing.assert_allclose(found @ jacobian, weights.value @ jacobian, atol=1e-5)


@settings(deadline=None, max_examples=60)
@given(st.floats(-0.999, 0.999), st.floats(-3, 3))
def test_two_tasks_have_a_closed_form(cosine, decades):
    ratio = 10.0**decades
    gramian = np.array([[1.0, cosine * ratio], [cosine * ratio, ratio**2]])
    first = np.clip((gramian[1, 1] - gramian[0, 1]) / (gramian[0, 0] + gramian[1, 1] - 2 * gramian[0, 1]), 0, 1)
    np.testing.assert_allclose(min_norm_point(gramian).value, [first, 1 - first], atol=1e-9)


@pytest.mark.parametrize("seed", range(4))
def test_no_point_of_a_fine_grid_is_shorter(seed):
    jacobian = np.random.default_rng(seed).normal(size=(3, 4)) + 0.5
    first, second = np.meshgrid(np.linspace(0, 1, 401), np.linspace(0, 1, 401))
    inside = first + second <= 1
    grid = np.stack([first[inside], second[inside], 1 - first[inside] - second[inside]], axis=1)
    shortest = np.linalg.norm(grid @ jacobian, axis=1).min()
    found = np.linalg.norm(min_norm_point(jacobian @ jacobian.T).value @ jacobian)
    assert found <= shortest * (1 + 1e-12)
    assert found >= shortest - 0.02


def test_of_all_weights_with_the_same_vector_the_shortest_is_returned():
    gradient = np.array([1.0, 2.0])
    rows = np.array([gradient, gradient, 3 * gradient])
    solution = min_norm_point(rows @ rows.T)
    np.testing.assert_allclose(solution.value, [0.5, 0.5, 0], atol=1e-12)
    assert solution.status is Status.RANK_DEFICIENT


def test_a_vector_in_the_hull_of_others_makes_the_weights_of_least_norm_unequal():
    rows = np.array([[1.0, 1.0], [1.0, -1.0], [1.0, 0.0]])  # the third is the middle of the first two
    solution = min_norm_point(rows @ rows.T)
    np.testing.assert_allclose(solution.value, [1 / 3, 1 / 3, 1 / 3], atol=1e-9)
    rows = np.array([[1.0, 1.0], [1.0, -3.0], [1.0, 0.0]])
    solution = min_norm_point(rows @ rows.T)
    np.testing.assert_allclose(solution.value @ rows, [1, 0], atol=1e-12)
    b = cp.Variable(3, nonneg=True)
    cp.Problem(cp.Minimize(cp.sum_squares(b)), [rows.T @ b == [1, 0]]).solve(solver=cp.CLARABEL)
    np.testing.assert_allclose(solution.value, b.value, atol=1e-6)


def test_a_point_with_zero_in_the_hull_is_called_stationary():
    rows = np.array([[1.0, 0.0], [-2.0, 0.0], [0.0, 5.0]])
    solution = min_norm_point(rows @ rows.T)
    assert solution.status is Status.STATIONARY
    assert np.linalg.norm(solution.value @ rows) < 1e-14


def test_a_zero_gradient_is_the_answer_itself():
    solution = min_norm_point(np.diag([1.0, 0.0, 0.0]))
    np.testing.assert_array_equal(solution.value, [0, 0.5, 0.5])


@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        ([[1.0, 2.0]], "must be a"),
        ([[1.0, np.nan], [np.nan, 1.0]], "must be finite"),
        ([[1.0, 0.5], [0.1, 1.0]], "must be symmetric"),
        ([[1.0, 3.0], [3.0, 1.0]], "positive semidefinite"),
        ([[-1.0]], "squared norms"),
    ],
)
def test_what_is_no_gramian_is_refused(matrix, message):
    with pytest.raises(GramianError, match=message):
        min_norm_point(np.array(matrix))
