"""Exposed points: decided over all supporting weights, against sets whose exposed points are known."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from equipoise.linear import reach, scalarized, support
from equipoise.linear.reachability.exposed_points import exposing_weights

seeds = st.integers(0, 10**6)
SIZES = np.array([1.0, 2.0, 0.5])


def gramian(seed, tasks):
    factor = np.random.default_rng(seed).normal(size=(tasks, tasks + 1))
    return factor @ factor.T


@pytest.mark.parametrize(
    ("width", "shares", "exposed"),
    [
        (1, (1, 0, 0), True),
        (1, (0, 0, 1), True),
        (1, (0.5, 0.5, 0), False),
        (1, (0.2, 0.3, 0.5), False),
        (2, (1, 1, 0), True),
        (2, (0, 1, 1), True),
        (2, (1, 0.5, 0.5), False),
        (2, (0.7, 0.6, 0.7), False),
    ],
)
def test_independent_tasks_form_a_polytope_whose_corners_alone_are_exposed(width, shares, exposed):
    """Schur and Horn: energies between 0 and G_ii whose shares sum to the width."""
    found = support(np.diag(SIZES), width, SIZES * shares)
    assert (found.supported, found.exposed) == (True, exposed)
    if exposed:
        assert np.allclose(scalarized(np.diag(SIZES), found.weights, width).captured, SIZES * shares)
        assert found.eigengap > 1e-8


@settings(deadline=None, max_examples=25)
@given(seeds, st.integers(3, 6), st.data())
def test_the_only_optimum_of_some_weights_is_exposed_by_the_weights_returned(seed, tasks, data):
    G, width = gramian(seed, tasks), data.draw(st.integers(1, tasks - 1))
    weights = np.random.default_rng(seed).dirichlet(np.ones(tasks)) / np.diag(G)
    point = scalarized(G, weights, width)
    found = support(G, width, point.captured)
    if point.eigengap > 1e-3:
        assert found.exposed
        again = scalarized(G, found.weights, width)
        assert not again.tied
        assert np.allclose(again.captured, point.captured, atol=4e-3 * np.diag(G).max())


def test_weights_that_tie_do_not_hide_weights_that_do_not():
    """The corner (1, 0, 0) is an optimum of all weights that favour task 0, ties at the edge of this cone included."""
    G, corner = np.eye(3), np.array([1.0, 0.0, 0.0])
    found = reach(G, 1, corner)
    tied = replace(
        found, weights=np.array([0.4, 0.4, 0.2]), mixture=np.ones(1), members=corner[None],
        member_weights=np.array([[0.8, 0.1, 0.1]]),
    )  # fmt: skip
    assert scalarized(G, tied.weights, 1).tied
    exposed, weights = exposing_weights(G, 1, corner, tied)
    assert exposed
    assert weights[0] > weights[1:].max() + 1e-6
    assert scalarized(G, weights, 1).captured == pytest.approx(corner)


def test_a_model_that_ties_under_all_its_supporting_weights_is_not_exposed():
    """Tasks 0 and 1 are independent: their middle needs equal weights, and then their whole circle is optimal."""
    half = np.sqrt(0.5)
    factor = np.array([[half, half, 0.0], [half, -half, 0.0], [0.0, 0.0, 1.0]])
    G, middle = factor.T @ factor, np.array([0.5, 0.5, 0.0])
    found = reach(G, 1, middle)
    assert found.status == "reachable"
    exposed, weights = exposing_weights(G, 1, middle, found)
    assert exposed is False
    assert weights[0] == pytest.approx(weights[1])
    assert scalarized(G, weights, 1).tied


def test_a_weakly_optimal_point_is_not_exposed():
    """All supporting weights ignore task 1, and models that are better at it are optima too."""
    G = np.eye(3)
    found = support(G, 2, [1.0, 0.4, 0.0])
    assert (found.supported, found.exposed) == (True, False)


def test_a_layer_as_wide_as_the_tasks_exposes_the_one_best_point_and_nothing_else():
    G = gramian(1, 3)
    assert support(G, 3, np.diag(G)).exposed is True
    assert support(G, 3, 0.5 * np.diag(G)).exposed is None


def test_three_lines_in_a_plane_have_exposed_points_all_around():
    angles = np.deg2rad([0.0, 60.0, 120.0])
    factor = np.array([np.cos(angles), np.sin(angles)])
    for turn in (0.0, 0.3, 0.5):
        found = support(factor.T @ factor, 1, (np.array([np.cos(turn), np.sin(turn)]) @ factor) ** 2)
        assert found.supported
        assert found.exposed is not None
