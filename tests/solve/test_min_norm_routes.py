"""The four classic routes: they go where the exact solver is, and their certificates say how far they came."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from equipoise.errors import GramianError
from equipoise.solve import Status
from equipoise.solve.min_norm import min_norm_point
from equipoise.solve.min_norm_routes import min_norm_by, routes

NAMES = list(routes)


def gramian_of(k, seed, columns=30):
    rows = np.random.default_rng(seed).normal(size=(k, columns))
    return rows @ rows.T


@pytest.mark.parametrize("route", NAMES)
@given(k=st.integers(2, 8), seed=st.integers(0, 10_000), iterations=st.integers(0, 40))
@settings(max_examples=20, deadline=None)
def test_the_gap_bounds_the_distance_to_the_optimum_from_above(route, k, seed, iterations):
    gramian = gramian_of(k, seed)
    found = min_norm_by(route, gramian, iterations=iterations)
    best = min_norm_point(gramian).value
    value, optimum = (a @ gramian @ a for a in (found.value, best))
    assert found.value.min() >= 0
    assert found.value.sum() == pytest.approx(1, abs=1e-12)
    assert value - optimum <= found.certificate * value + 1e-13 * value
    assert value >= optimum * (1 - 1e-12)
    assert found.certificate == pytest.approx((value - (gramian @ found.value).min()) / value, abs=1e-12)


@pytest.mark.parametrize(
    ("route", "iterations", "gap"),
    # the first two are O(1/t) and O(log t / t); softmax has no rate: this is what it does here
    [("frank-wolfe", 2000, 1e-2), ("averaging", 5000, 5e-3), ("smooth", 30, 1e-9), ("softmax", 3000, 1e-3)],
)
def test_each_route_comes_as_far_as_its_rate_says(route, iterations, gap):
    for seed in range(5):
        found = min_norm_by(route, gramian_of(6, seed), iterations=iterations, tolerance=1e-10)
        assert found.certificate < gap
        assert len(found.gaps) == found.iterations + 1
        assert found.gaps[-1] < found.gaps[0]


def test_frank_wolfe_with_line_search_solves_two_tasks_in_one_step():
    for seed in range(20):
        gramian = gramian_of(2, seed, columns=3)
        found = min_norm_by("frank-wolfe", gramian, iterations=1)
        g11, g12, g22 = gramian[0, 0], gramian[0, 1], gramian[1, 1]
        share = np.clip((g22 - g12) / (g11 + g22 - 2 * g12), 0, 1)
        np.testing.assert_allclose(found.value, [share, 1 - share], atol=1e-12)
        assert found.status is Status.SOLVED


def test_averaging_holds_the_mean_of_the_start_and_all_vertices_visited():
    gramian = gramian_of(4, 3)
    visited = [np.full(4, 0.25)]
    for _ in range(25):
        mean = np.mean(visited, axis=0)
        visited.append(np.eye(4)[np.argmin(gramian @ mean)])
    np.testing.assert_allclose(
        min_norm_by("averaging", gramian, iterations=25).value, np.mean(visited, axis=0), atol=1e-12
    )


def test_the_smooth_route_is_at_a_fixed_point_of_its_softmin_for_every_sharpness():
    gramian = gramian_of(5, 8)
    scaled = gramian / gramian.diagonal().max()
    for stage in range(1, 10):
        weights = min_norm_by("smooth", gramian, iterations=stage, tolerance=0.0).value
        sharpness = 4.0 ** (stage - 1)
        pulls = scaled @ weights
        raised = np.exp(-sharpness * (pulls - pulls.min()))
        np.testing.assert_allclose(weights, raised / raised.sum(), atol=1e-10)


def test_the_softmax_route_descends_at_every_step():
    gramian = gramian_of(7, 2)
    values = []
    for count in range(0, 60, 3):
        weights = min_norm_by("softmax", gramian, iterations=count).value
        values.append(weights @ gramian @ weights)
    assert (np.diff(values) <= 1e-12).all()


@pytest.mark.parametrize("route", NAMES)
def test_an_early_stop_is_said_and_a_stationary_point_recognised(route):
    assert min_norm_by(route, gramian_of(6, 1), iterations=2).status is Status.ITERATION_LIMIT
    rows = np.array([[1.0, 0.0], [-0.5, np.sqrt(0.75)], [-0.5, -np.sqrt(0.75)]])
    assert min_norm_by(route, rows @ rows.T).status is Status.STATIONARY
    with_zero = min_norm_by(route, np.diag([1.0, 0.0]))
    assert with_zero.status is Status.STATIONARY
    np.testing.assert_array_equal(with_zero.value, [0, 1])


@pytest.mark.parametrize("route", NAMES)
def test_one_task_gets_all_and_a_matrix_that_is_no_gramian_is_refused(route):
    assert min_norm_by(route, [[3.0]]).value == [1.0]
    with pytest.raises(GramianError, match="symmetric"):
        min_norm_by(route, [[1.0, 0.5], [0.0, 1.0]])


@pytest.mark.parametrize("route", NAMES)
def test_the_unit_of_the_losses_does_not_matter(route):
    gramian = gramian_of(4, 5)
    whole = min_norm_by(route, gramian, iterations=20).value
    np.testing.assert_allclose(min_norm_by(route, 2.0**-60 * gramian, iterations=20).value, whole, atol=1e-12)
