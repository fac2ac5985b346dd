"""Aligned weights against the definition: all singular values of the transformed Jacobian are equal."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from equipoise.solve import Status
from equipoise.solve.procrustes import aligned_weights


def slow_direction(rows, preference, scale, tolerance=1e-7):
    """By the full SVD of the Jacobian itself: the polar factor, scaled."""
    left, singular, right = np.linalg.svd(rows, full_matrices=False)
    kept = singular > tolerance * singular[0]
    values = sorted(singular[kept])
    size = {"min": values[0], "median": values[(len(values) - 1) // 2], "rmse": np.sqrt(np.mean(np.square(values)))}
    aligned = size[scale] * left[:, kept] @ right[kept]
    return preference @ aligned


@pytest.mark.parametrize("scale", ["min", "median", "rmse"])
@given(k=st.integers(1, 7), seed=st.integers(0, 10_000), decades=st.floats(0, 3))
@settings(max_examples=25, deadline=None)
def test_the_direction_is_the_weighted_mean_of_the_polar_factor(scale, k, seed, decades):
    draw = np.random.default_rng(seed)
    rows = draw.normal(size=(k, 20)) * 10 ** draw.uniform(-decades / 2, decades / 2, size=(k, 1))
    preference = draw.dirichlet(np.ones(k))
    wanted = slow_direction(rows, preference, scale)
    size = np.linalg.norm(wanted)
    factor = np.linalg.qr(rows.T, mode="r")
    exact = aligned_weights(rows @ rows.T, preference, factor=factor, scale=scale)
    from_gramian = aligned_weights(rows @ rows.T, preference, scale=scale)
    assert np.linalg.norm(exact.value @ rows - wanted) <= 1e-9 * size
    assert np.linalg.norm(from_gramian.value @ rows - wanted) <= 1e-6 * size
    assert exact.status is Status.SOLVED
    assert exact.certificate <= 1e-9


@pytest.mark.parametrize("k", [3, 10, 30])
def test_accuracy_at_condition_1e4_is_1e_8_from_the_factor_and_1e_6_from_the_gramian(k):
    draw = np.random.default_rng(k)
    left, _, right = np.linalg.svd(draw.normal(size=(k, 60)), full_matrices=False)
    rows = left * np.logspace(0, -4, k) @ right
    preference = np.full(k, 1 / k)
    wanted = slow_direction(rows, preference, "min")
    for factor, allowed in ((np.linalg.qr(rows.T, mode="r"), 1e-8), (None, 1e-6)):
        found = aligned_weights(rows @ rows.T, preference, factor=factor).value @ rows
        assert np.linalg.norm(found - wanted) <= allowed * np.linalg.norm(wanted)


def test_dependent_gradients_get_the_weights_of_least_norm():
    rows = np.array([[1.0, 0.0], [0.0, 2.0], [1.0, 2.0]])
    found = aligned_weights(rows @ rows.T, np.full(3, 1 / 3), factor=np.linalg.qr(rows.T, mode="r"))
    assert found.status is Status.RANK_DEFICIENT
    np.testing.assert_allclose(found.value @ rows, slow_direction(rows, np.full(3, 1 / 3), "min"), atol=1e-12)
    assert found.value @ np.array([1.0, 1.0, -1.0]) == pytest.approx(0, abs=1e-12)  # nothing along the null space


def test_rows_that_depend_on_each_other_up_to_float32_count_as_dependent():
    draw = np.random.default_rng(0)
    rows = draw.normal(size=(2, 50))
    rows = np.vstack([rows, rows.sum(axis=0)]).astype(np.float32).astype(np.float64)
    factor = np.linalg.qr(rows.T, mode="r")
    assert aligned_weights(rows @ rows.T, np.full(3, 1 / 3), factor=factor).status is Status.RANK_DEFICIENT
    kept = aligned_weights(rows @ rows.T, np.full(3, 1 / 3), factor=factor, rank_tolerance=1e-12)
    assert kept.status is Status.SOLVED


def test_zero_gradients_give_back_the_preference():
    found = aligned_weights(np.zeros((2, 2)), np.array([0.3, 0.7]))
    assert found.status is Status.STATIONARY
    np.testing.assert_array_equal(found.value, [0.3, 0.7])
