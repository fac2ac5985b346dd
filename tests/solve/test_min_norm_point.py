"""The min-norm point: conditions, statuses, and what scale may not change."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from equipoise.errors import GramianError
from equipoise.solve import Status
from equipoise.solve.equilibrate import equilibrate
from equipoise.solve.min_norm import hull_holds_zero, min_norm_point


@given(k=st.integers(1, 30), n=st.integers(1, 40), seed=st.integers(0, 10**6), decades=st.floats(0, 4))
@settings(max_examples=60, deadline=None)
def test_no_gradient_projects_below_the_squared_length(k, n, seed, decades):
    draw = np.random.default_rng(seed)
    rows = draw.normal(size=(k, n)) * 10 ** draw.uniform(-decades, decades, size=(k, 1))
    found = min_norm_point(rows @ rows.T)
    assert found.status.ok
    assert found.value.min() >= 0
    assert found.value.sum() == pytest.approx(1, abs=1e-12)
    direction = found.value @ rows
    pulls = found.value * np.linalg.norm(rows, axis=1)
    slack = rows @ direction - direction @ direction
    assert (slack >= -1e-9 * pulls.sum() * np.linalg.norm(rows, axis=1)).all()


@pytest.mark.parametrize("ratio", [1e-7, 1e-9, 1e-12])
def test_a_far_smaller_gradient_in_conflict_is_no_stationary_point(ratio):
    rows = np.array([[ratio, 0.0], [-0.5, 1.0]])
    found = min_norm_point(rows @ rows.T)
    assert found.status is Status.SOLVED
    expected = ratio * np.array([1.0, 0.5]) / 1.25  # the part of the small one across the large one, to first order
    np.testing.assert_allclose(found.value @ rows, expected, rtol=3 * ratio + 1e-12)


@pytest.mark.parametrize("scales", [(1, 1, 1), (1, 1e-6, 1e6), (1e-8, 1, 1e3)])
def test_zero_in_the_hull_is_stationary_whatever_the_norms(scales):
    rows = np.array([[1.0, 0.0], [-0.5, 0.8], [-0.5, -0.8]]) * np.array(scales)[:, None]
    found = min_norm_point(rows @ rows.T)
    assert found.status is Status.STATIONARY
    assert np.linalg.norm(found.value @ rows) <= 1e-7 * (found.value * np.linalg.norm(rows, axis=1)).sum()
    assert hull_holds_zero(equilibrate(rows @ rows.T)[0])


def test_dependent_gradients_get_the_shortest_weights():
    rows = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    found = min_norm_point(rows @ rows.T)
    assert found.status is Status.RANK_DEFICIENT
    np.testing.assert_allclose(found.value, [0.25, 0.25, 0.5], atol=1e-12)


def test_a_zero_gradient_is_the_answer():
    found = min_norm_point(np.diag([1.0, 0.0, 0.0]))
    assert found.status is Status.STATIONARY
    np.testing.assert_array_equal(found.value, [0.0, 0.5, 0.5])


def test_checks_are_made_unless_they_are_known_to_hold():
    crooked = np.array([[1.0, 0.9], [0.1, 1.0]])
    with pytest.raises(GramianError, match="symmetric"):
        min_norm_point(crooked)
    np.testing.assert_allclose(min_norm_point(np.eye(2), checked=True).value, [0.5, 0.5], rtol=1e-14)


@pytest.mark.parametrize("angle", [0.5, 1e-3, 1e-5])
def test_hull_holds_zero_only_for_opposite_vectors(angle):
    cosine = -np.cos(angle)
    assert not hull_holds_zero(np.array([[1.0, cosine], [cosine, 1.0]]))
