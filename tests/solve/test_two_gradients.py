"""Two gradients: the closed forms are the general solvers' answers, with certificates that hold."""

import math

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from equipoise.solve import Status, alpha_fair, descent_in_ball, dual_cone, min_norm
from equipoise.solve.alpha_fair import alpha_fair_weights
from equipoise.solve.descent_in_ball import descent_in_ball as in_ball
from equipoise.solve.dual_cone import project_on_dual_cone
from equipoise.solve.min_norm import min_norm_point
from equipoise.solve.two_gradients import TwoGradients, in_closed_form

LENGTHS = st.floats(-6, 6).map(lambda power: 10.0**power)
COSINES = st.floats(-0.999, 0.999)
SOLVERS = {
    "min norm": (min_norm, min_norm_point),
    "dual cone": (dual_cone, lambda gramian: project_on_dual_cone(gramian, np.diag([0.3, 0.7]))),
    "dual cone of one point": (dual_cone, lambda gramian: project_on_dual_cone(gramian, np.array([[0.5, 0.5]]))),
    "a point with a negative weight": (dual_cone, lambda gramian: project_on_dual_cone(gramian, np.array([[1, -2.0]]))),
    "small ball": (descent_in_ball, lambda gramian: in_ball(gramian, 0.4)),
    "large ball": (descent_in_ball, lambda gramian: in_ball(gramian, 1.5)),
    "Nash": (alpha_fair, alpha_fair_weights),
}


def gramian_of(first, second, cosine):
    cross = first * second * cosine
    return np.array([[first * first, cross], [cross, second * second]])


@pytest.mark.parametrize("name", SOLVERS)
@settings(deadline=None)
@given(first=LENGTHS, second=LENGTHS, cosine=COSINES)
@example(first=1.0, second=1.0, cosine=0.0)
@example(first=1.0, second=2.0, cosine=0.5)  # the longer gradient touches the shorter one's plane
@example(first=1.0, second=1e6, cosine=-0.999)
@example(first=1e6, second=1e-6, cosine=0.999)
def test_the_closed_form_is_the_general_solver_s_answer(name, first, second, cosine):
    module, solve = SOLVERS[name]
    gramian = gramian_of(first, second, cosine)
    closed = solve(gramian)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "in_closed_form", lambda *_: None)
        general = solve(gramian)
    norms = np.sqrt(np.diagonal(gramian))
    pulls = general.value * norms
    np.testing.assert_allclose(closed.value * norms, pulls, rtol=0, atol=3e-12 * np.abs(pulls).max())
    assert closed.status == general.status
    assert closed.certificate <= max(1e-12, general.certificate)


@pytest.mark.parametrize("name", SOLVERS)
@settings(deadline=None)
@given(ratio=st.floats(-2, 2), cosine=st.floats(-0.99, 0.99))
def test_ordinary_gradients_are_solved_in_closed_form(name, ratio, cosine):
    module, solve = SOLVERS[name]
    found: list[object] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "in_closed_form", lambda *asked: found.append(in_closed_form(*asked)) or found[-1])
        answer = solve(gramian_of(1.0, 10.0**ratio, cosine))
    assert found == [answer]
    assert answer.status == Status.SOLVED


def test_shortest_point_between_orthogonal_gradients():
    np.testing.assert_allclose(min_norm_point(np.diag([1.0, 3.0])).value, [0.75, 0.25], rtol=1e-15)


def test_the_shorter_gradient_is_the_shortest_point_where_the_other_leans_to_it():
    np.testing.assert_array_equal(min_norm_point(gramian_of(1.0, 4.0, 0.5)).value, [1.0, 0.0])


def test_gradients_that_agree_are_not_projected():
    np.testing.assert_array_equal(project_on_dual_cone(gramian_of(1.0, 4.0, 0.2), np.eye(2)).value, [1.0, 1.0])


def test_the_worst_descent_in_the_ball_is_the_best_of_many_directions():
    rng, radius = np.random.default_rng(0), 0.6
    for _ in range(20):
        gradients = rng.normal(size=(2, 2)) * [[1.0], [rng.uniform(0.2, 5.0)]]
        gramian = gradients @ gradients.T
        found = in_ball(gramian, radius)
        mean = gradients.mean(axis=0)
        angles = np.linspace(0, 2 * math.pi, 20_001)
        circle = mean + radius * np.linalg.norm(mean) * np.stack([np.cos(angles), np.sin(angles)], axis=1)
        best = (circle @ gradients.T).min(axis=1).max()
        direction = found.value @ gradients
        assert np.linalg.norm(direction - mean) == pytest.approx(radius * np.linalg.norm(mean), rel=1e-12)
        assert (gradients @ direction).min() >= best - 1e-12 * np.abs(gramian).max()


@pytest.mark.parametrize(
    "gramian",
    [
        np.eye(3),
        np.diag([1.0, 0.0]),
        gramian_of(1.0, 1.0, 0.9995),
        gramian_of(1.0, 1.0, -1.0),
        np.full((2, 2), np.nan),
    ],
    ids=["three", "a zero gradient", "nearly parallel", "opposite", "not numbers"],
)
def test_everything_else_is_left_to_the_general_solvers(gramian):
    assert in_closed_form(gramian, TwoGradients.min_norm) is None
