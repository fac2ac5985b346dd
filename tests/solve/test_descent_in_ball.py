"""The best worst descent in a ball, and the pulled min-norm point."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from equipoise.solve import Status
from equipoise.solve.descent_in_ball import descent_in_ball
from equipoise.solve.min_norm import min_norm_point
from equipoise.solve.regularized_min_norm import pulled_min_norm


def gradients(k, n, seed, decades=0.0):
    draw = np.random.default_rng(seed)
    return draw.normal(size=(k, n)) * 10 ** draw.uniform(-decades, decades, size=(k, 1))


@given(
    k=st.integers(2, 25), n=st.integers(2, 40), seed=st.integers(0, 10**6), c=st.floats(0.01, 3), spread=st.floats(0, 3)
)
@settings(max_examples=80, deadline=None)
def test_the_direction_lies_in_the_ball_and_the_dual_proves_it_best(k, n, seed, c, spread):
    rows = gradients(k, n, seed, spread)
    found = descent_in_ball(rows @ rows.T, c)
    assert found.status.ok
    mean, direction = rows.mean(axis=0), found.value @ rows
    radius = c * np.linalg.norm(mean)
    assert np.linalg.norm(direction - mean) <= radius * (1 + 1e-9)
    size = np.linalg.norm(rows, axis=1).max() * np.linalg.norm(mean)
    if np.linalg.norm(direction - mean) < radius * (1 - 1e-9):  # no positive worst descent exists: zero is the best
        assert found.status is Status.STATIONARY
        assert (rows @ direction).min() >= -1e-8 * size
        return
    shares = found.value - 1 / k
    assert shares.min() >= -1e-12 * shares.max()
    point = shares @ rows / shares.sum() if shares.sum() > 0 else np.zeros(n)
    dual = point @ mean + radius * np.linalg.norm(point)
    assert (rows @ direction).min() >= dual - 1e-8 * size  # weak duality gives the other inequality


@pytest.mark.parametrize("c", [0.1, 0.5, 0.99])
def test_a_longer_radius_never_worsens_the_worst_descent(c):
    for seed in range(10):
        rows = gradients(6, 12, seed)
        narrow, wide = (rows @ (descent_in_ball(rows @ rows.T, radius).value @ rows) for radius in (c, 1.1 * c))
        assert wide.min() >= narrow.min() - 1e-12


def test_radius_zero_is_the_mean():
    rows = gradients(4, 9, 0)
    found = descent_in_ball(rows @ rows.T, 0.0)
    np.testing.assert_array_equal(found.value, np.full(4, 0.25))
    assert found.status is Status.SOLVED


def test_a_mean_of_zero_gives_the_direction_zero():
    rows = np.array([[1.0, 0.0], [-1.0, 0.0]])
    found = descent_in_ball(rows @ rows.T, 0.5)
    assert found.status is Status.STATIONARY
    np.testing.assert_allclose(found.value @ rows, 0.0)


def test_at_a_stationary_point_the_maximiser_nearest_to_the_mean_is_taken():
    # tasks 1 and 2 are opposite; the ball reaches the directions that raise neither
    rows = np.array([[1.0, 0.0, 0.0], [-1.1, 0.0, 0.0], [0.0, 3.0, 0.1]])
    found = descent_in_ball(rows @ rows.T, 0.9)
    assert found.status is Status.STATIONARY
    np.testing.assert_allclose(found.value @ rows, [0.0, 1.0, 0.1 / 3], atol=1e-12)


def test_at_a_stationary_point_out_of_reach_every_maximiser_is_on_the_sphere():
    rows = np.array([[1.0, 0.0, 0.0], [-4.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    found = descent_in_ball(rows @ rows.T, 0.2)
    mean, direction = rows.mean(axis=0), found.value @ rows
    assert found.status is Status.STATIONARY
    assert np.linalg.norm(direction - mean) == pytest.approx(0.2 * np.linalg.norm(mean), rel=1e-9)
    assert direction[0] == pytest.approx(mean[0] + 0.2 * np.linalg.norm(mean), rel=1e-9)


@pytest.mark.parametrize("k", [2, 3, 10])
def test_identical_gradients_share_their_weight(k):
    rows = np.tile([3.0, 4.0], (k, 1))
    found = descent_in_ball(rows @ rows.T, 0.4)
    assert found.status is Status.RANK_DEFICIENT
    np.testing.assert_allclose(found.value, 1.4 / k, rtol=1e-9)


@given(k=st.integers(1, 25), n=st.integers(1, 40), seed=st.integers(0, 10**6), pull=st.floats(0, 10))
@settings(max_examples=60, deadline=None)
def test_the_pulled_point_is_the_min_norm_point_of_shifted_gradients(k, n, seed, pull):
    rows = gradients(k, n, seed)
    shifted = rows + pull * rows.mean(axis=0)
    direct = min_norm_point(shifted @ shifted.T).value @ shifted
    found = pulled_min_norm(rows @ rows.T, pull)
    assert found.value.sum() == pytest.approx(1, abs=1e-12)
    assert found.value.min() >= 0
    np.testing.assert_allclose(found.value @ shifted, direct, atol=1e-6 * (1 + pull) * np.sqrt(n))
    # both are feasible, so the shorter one is right: ours is never longer
    assert np.linalg.norm(found.value @ shifted) <= np.linalg.norm(direct) + 1e-7 * (1 + pull) * np.sqrt(n)


def test_a_pull_of_zero_is_the_min_norm_point():
    for seed in range(5):
        rows = gradients(7, 12, seed, 3.0)
        gramian = rows @ rows.T
        np.testing.assert_allclose(
            pulled_min_norm(gramian, 0.0).value @ rows,
            min_norm_point(gramian).value @ rows,
            rtol=1e-7,
            atol=1e-10 * np.linalg.norm(rows, axis=1).min(),
        )


@given(k=st.integers(2, 5), seed=st.integers(0, 10**6), pull=st.sampled_from([0.3, 1e3]))
@settings(max_examples=40, deadline=None)
def test_norms_thirty_decades_apart_leave_the_pulled_point_finite_and_no_vertex_shorter(k, seed, pull):
    draw = np.random.default_rng(seed)
    rows = draw.normal(size=(k, 6)) * 10.0 ** draw.uniform(-15, 15, size=(k, 1))
    found = pulled_min_norm(rows @ rows.T, pull)
    assert np.isfinite(found.value).all()
    assert found.value.sum() == pytest.approx(1, abs=1e-12)
    shifted = rows + pull * rows.mean(axis=0)
    length = np.linalg.norm(found.value @ shifted)
    assert length <= np.linalg.norm(shifted, axis=1).min() * (1 + 1e-9)


@pytest.mark.parametrize("decades", [0, 6, 12, 15])
def test_opposite_gradients_are_stationary_however_far_apart_their_norms_lie(decades):
    rows = np.array([[10.0**decades, 0.0, 0.0], [-(10.0**-decades), 0.0, 0.0], [0.0, 10.0**decades, 0.0]])
    found = pulled_min_norm(rows @ rows.T, 0.3)
    assert found.status is Status.STATIONARY
    assert 0 <= found.certificate < 1e-9
