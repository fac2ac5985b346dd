"""Projection on the dual cone."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from equipoise.errors import GramianError
from equipoise.solve import Status
from equipoise.solve.dual_cone import project_on_dual_cone


@given(k=st.integers(1, 20), n=st.integers(1, 30), seed=st.integers(0, 10**6), decades=st.floats(0, 3))
@settings(max_examples=60, deadline=None)
def test_a_projection_opposes_no_gradient_and_moves_only_along_those_it_touches(k, n, seed, decades):
    draw = np.random.default_rng(seed)
    rows = draw.normal(size=(k, n)) * 10 ** draw.uniform(-decades, decades, size=(k, 1))
    norms = np.linalg.norm(rows, axis=1)
    target = draw.normal(size=k) / norms
    found = project_on_dual_cone(rows @ rows.T, target[None, :])
    assert found.status.ok
    direction, added = found.value @ rows, (found.value - target) * norms
    size = np.abs(target * norms).sum() + np.abs(added).sum()
    assert (rows @ direction >= -1e-9 * size * norms).all()
    assert added.min() >= -1e-12 * size
    assert abs(direction @ (direction - target @ rows)) <= 1e-9 * size**2  # the move is perpendicular to the answer


def test_the_sum_over_many_points_is_the_sum_of_single_projections():
    for k in (3, 8, 60):  # in one batch, and one at a time
        rows = np.random.default_rng(k).normal(size=(k, 2 * k)) - 0.3
        points = np.diag(np.linspace(1, 2, k))
        alone = sum(project_on_dual_cone(rows @ rows.T, point[None, :]).value @ rows for point in points)
        np.testing.assert_allclose(project_on_dual_cone(rows @ rows.T, points).value @ rows, alone, atol=1e-9)


def test_without_conflict_the_weights_come_back_unchanged():
    found = project_on_dual_cone(np.eye(3), np.array([[0.2, 0.3, 0.5]]))
    np.testing.assert_array_equal(found.value, [0.2, 0.3, 0.5])
    assert found.status is Status.SOLVED
    assert found.certificate == 0.0


def test_a_point_of_zero_weights_projects_to_zero_and_changes_nothing():
    gramian = np.array([[1.0, -0.5], [-0.5, 1.0]])
    both = project_on_dual_cone(gramian, np.array([[0.0, 0.0], [1.0, 0.0]])).value
    np.testing.assert_array_equal(both, project_on_dual_cone(gramian, np.array([[1.0, 0.0]])).value)


def test_dependent_gradients_get_the_shortest_weights_with_the_same_direction():
    rows = np.array([[1.0, 0.0], [-1.0, 1.0], [-1.0, 1.0]])
    found = project_on_dual_cone(rows @ rows.T, np.array([[1.0, 0.0, 0.0]]))
    assert found.status is Status.RANK_DEFICIENT
    np.testing.assert_allclose(found.value, [1.0, 0.25, 0.25], atol=1e-12)
    np.testing.assert_allclose(found.value @ rows, [0.5, 0.5], atol=1e-12)


def test_a_stationary_point_leaves_what_the_other_tasks_allow():
    rows = np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0]])
    found = project_on_dual_cone(rows @ rows.T, np.full((1, 3), 1 / 3))
    assert found.status is Status.STATIONARY
    np.testing.assert_allclose(found.value @ rows, [0.0, 1 / 3], atol=1e-15)


def test_a_matrix_that_is_no_gramian_is_refused():
    with pytest.raises(GramianError):
        project_on_dual_cone(np.array([[1.0, 2.0], [2.0, 1.0]]), np.eye(2))
