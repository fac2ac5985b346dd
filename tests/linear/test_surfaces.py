"""Surfaces: equations that hold, derivatives."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from equipoise.errors import SettingError
from equipoise.linear import surface_gradient, surface_points, surface_value

seeds = st.integers(0, 10**6)


def gramian(seed, tasks, rank=None):
    factor = np.random.default_rng(seed).normal(size=(tasks, rank or tasks + 1))
    return factor @ factor.T


@settings(deadline=None, max_examples=20)
@given(seeds, st.integers(2, 5), st.booleans())
def test_every_model_lies_on_the_surface_of_its_signs_and_on_no_other_side(seed, tasks, wide):
    G = gramian(seed, tasks)
    found = surface_points(G, tasks - 1 if wide else 1, 40, seed=seed)
    for point, signs in zip(found.points, found.signs, strict=True):
        assert surface_value(G, point, signs) == pytest.approx(1, rel=1e-6)
    assert found.signs[:, 0].min() >= 0
    assert len({tuple(row) for row in found.signs.tolist()}) == len(set(found.pieces.tolist()))
    assert len(set(found.pieces.tolist())) <= 2 ** (tasks - 1)


@settings(deadline=None, max_examples=20)
@given(seeds, st.integers(2, 5))
def test_the_gradient_is_that_of_finite_differences(seed, tasks):
    G = gramian(seed, tasks)
    generator = np.random.default_rng(seed)
    point = generator.uniform(0.2, 1, tasks) * np.diag(G)
    signs = generator.choice([-1, 1], tasks)
    gradient = surface_gradient(G, point, signs)
    for i in range(tasks):
        step = np.zeros(tasks)
        step[i] = 1e-5 * point[i]
        slope = surface_value(G, point + step, signs) - surface_value(G, point - step, signs)
        assert gradient[i] == pytest.approx(slope / (2 * step[i]), rel=1e-4, abs=1e-6 * np.abs(gradient).max())


def test_slopes_are_infinite_on_the_walls():
    G = gramian(0, 3)
    slopes = surface_gradient(G, [0.0, 1.0, 1.0], [1, 1, 1])
    assert np.isinf(slopes[0])
    assert np.isfinite(slopes[1:]).all()


def test_dependent_predictions_can_be_drawn_but_have_no_equations():
    G = gramian(2, 4, rank=3)
    assert surface_points(G, 1, 30).points.shape == (30, 4)
    with pytest.raises(SettingError, match="rank of the Gramian is 3 of 4"):
        surface_value(G, np.ones(4), np.ones(4))
    with pytest.raises(SettingError, match="Between them"):
        surface_points(gramian(0, 5), 2)
