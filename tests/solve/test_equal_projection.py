"""Equal projections, and the weights of least norm."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from equipoise.solve import Status
from equipoise.solve.equal_projection import equal_projection
from equipoise.solve.least_norm import least_norm_weights
from equipoise.solve.nnls import Complementarity


def units(k, n, seed):
    rows = np.random.default_rng(seed).normal(size=(k, n))
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@given(k=st.integers(1, 30), seed=st.integers(0, 10**6))
@settings(max_examples=40, deadline=None)
def test_independent_gradients_get_projection_one_each(k, seed):
    rows = units(k, 2 * k + 1, seed)
    found = equal_projection(rows @ rows.T)
    assert found.status is Status.SOLVED
    np.testing.assert_allclose(rows @ (found.value @ rows), 1.0, atol=1e-10)


@pytest.mark.parametrize(("k", "n"), [(4, 2), (6, 3), (20, 7)])
def test_dependent_gradients_get_the_pseudo_inverse_and_a_certificate_that_says_how_unequal(k, n):
    rows = units(k, n, k) + np.eye(1, n)  # on one side of a plane, so that 0 is not in the hull
    rows = np.where(rows[:, :1] > 0, rows, -rows)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    found = equal_projection(rows @ rows.T)
    assert found.status is Status.RANK_DEFICIENT
    np.testing.assert_allclose(found.value @ rows, np.linalg.pinv(rows) @ np.ones(k), atol=1e-9)
    assert found.certificate == pytest.approx(np.abs(rows @ (found.value @ rows) - 1).max(), abs=1e-9)
    assert found.certificate > 1e-3


def test_opposite_gradients_cancel_and_are_stationary():
    found = equal_projection(np.array([[1.0, -1.0], [-1.0, 1.0]]))
    assert found.status is Status.STATIONARY
    np.testing.assert_allclose(found.value, 0.0, atol=1e-15)


@given(k=st.integers(2, 12), n=st.integers(1, 6), seed=st.integers(0, 10**6))
@settings(max_examples=40, deadline=None)
def test_the_shortest_weights_keep_the_direction_and_no_neighbour_is_shorter(k, n, seed):
    draw = np.random.default_rng(seed)
    rows = draw.normal(size=(k, n))
    norms = np.linalg.norm(rows, axis=1)
    cosines = (rows / norms[:, None]) @ (rows / norms[:, None]).T
    weights = draw.random(k)
    floor = np.minimum(weights, 0.2 * draw.random(k))
    found = least_norm_weights(Complementarity(cosines), norms.min() / norms, weights, floor)
    if k <= n:
        assert found is None
        return
    assert found is not None
    np.testing.assert_allclose(found @ rows, weights @ rows, atol=1e-8 * norms.max())
    assert (found >= floor).all()
    for _ in range(20):  # exchange weights along a dependence, within the floor
        change = draw.normal(size=k)
        change -= np.linalg.pinv(rows.T) @ (rows.T @ change)
        room = (found - floor)[change < 0] / -change[change < 0]
        moved = found + min(1e-3, room.min(initial=1.0)) * change
        assert moved @ moved >= found @ found - 1e-9
