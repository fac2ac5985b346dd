"""The alpha-fair equation."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from equipoise.solve import Status
from equipoise.solve.alpha_fair import alpha_fair_weights
from equipoise.solve.min_norm import min_norm_point


@given(
    k=st.integers(1, 25),
    seed=st.integers(0, 10**6),
    logarithm=st.floats(-1, 1),
    decades=st.floats(0, 3),
    scale=st.sampled_from([1e-8, 1.0, 1e8]),
)
@settings(max_examples=80, deadline=None)
def test_every_projection_is_the_power_of_its_weight(k, seed, logarithm, decades, scale):
    alpha = 10**logarithm
    draw = np.random.default_rng(seed)
    rows = scale * draw.normal(size=(k, 2 * k)) * 10 ** draw.uniform(-decades, decades, size=(k, 1))
    found = alpha_fair_weights(rows @ rows.T, alpha)
    assert found.status is Status.SOLVED
    assert found.value.min() > 0
    direction = found.value @ rows
    errors = rows @ direction - found.value ** (-1 / alpha)
    assert (np.abs(errors) <= 1e-10 * np.linalg.norm(rows, axis=1) * np.linalg.norm(direction)).all()


@given(angle=st.floats(1e-4, 3.0), length=st.floats(1e-6, 1e6))
@settings(max_examples=60, deadline=None)
def test_two_tasks_have_the_closed_form_of_the_bargain(angle, length):
    cosine = np.cos(angle)
    gramian = np.array([[1.0, cosine * length], [cosine * length, length**2]])
    share = 1 / np.sqrt(1 + cosine)  # a_i |g_i| is the same for both, and y^2 (1 + cos) = 1
    np.testing.assert_allclose(alpha_fair_weights(gramian).value, [share, share / length], rtol=1e-7)


@pytest.mark.parametrize("alpha", [0.2, 1.0, 5.0])
def test_orthogonal_gradients_have_a_closed_form(alpha):
    squares = np.array([1e-6, 1.0, 1e6])
    wanted = squares ** (-alpha / (1 + alpha))
    np.testing.assert_allclose(alpha_fair_weights(np.diag(squares), alpha).value, wanted, rtol=1e-12)


@pytest.mark.parametrize("alpha", [0.5, 1.0, 2.0])
def test_zero_in_the_hull_has_no_solution_and_gives_zero(alpha):
    for rows in ([[1.0, 0.0], [-2.0, 0.0]], [[1.0, 0.0, 0.0], [-1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]):
        found = alpha_fair_weights(np.array(rows) @ np.array(rows).T, alpha)
        assert found.status is Status.NO_SOLUTION
        assert not found.status.ok
        assert not found.value.any()


def test_dependent_gradients_with_zero_outside_the_hull_have_one_solution():
    rows = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 2.0]])
    found = alpha_fair_weights(rows @ rows.T)
    assert found.status is Status.SOLVED
    np.testing.assert_allclose(found.value * (rows @ (found.value @ rows)), 1.0, rtol=1e-12)


def test_close_to_no_solution_the_weights_grow_and_stay_right():
    for gap in (1e-2, 1e-4, 1e-5):
        cosine = -np.cos(gap)
        found = alpha_fair_weights(np.array([[1.0, cosine], [cosine, 1.0]]))
        assert found.status is Status.SOLVED
        np.testing.assert_allclose(found.value, 1 / np.sqrt(1 + cosine), rtol=1e-6)


def test_a_large_alpha_approaches_the_direction_of_the_min_norm_point():
    rows = np.random.default_rng(3).normal(size=(4, 9))
    wanted = min_norm_point(rows @ rows.T).value @ rows
    found = alpha_fair_weights(rows @ rows.T, 1e3).value @ rows
    assert found @ wanted / np.linalg.norm(found) / np.linalg.norm(wanted) > 1 - 1e-4
