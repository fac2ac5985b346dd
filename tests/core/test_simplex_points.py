"""Points of the simplex."""

from math import comb

import numpy as np
import pytest
from scipy.stats import beta, kstest

from equipoise.core.simplex_points import dirichlet_points, lattice, lattice_of, sobol_points
from equipoise.errors import SettingError


@pytest.mark.parametrize(("k", "divisions"), [(1, 3), (2, 4), (3, 5), (5, 2)])
def test_a_lattice_holds_every_multiple_once(k, divisions):
    points = lattice(k, divisions)
    assert len(points) == comb(divisions + k - 1, k - 1) == len(np.unique(points, axis=0))
    assert points.sum(axis=1) == pytest.approx(1.0)
    assert (points * divisions) == pytest.approx(np.round(points * divisions))


@pytest.mark.parametrize("concentration", [0.5, 1.0, 3.0])
def test_sobol_points_have_the_dirichlet_distribution(concentration):
    """Its marginals are beta distributions."""
    points = sobol_points(3, 2000, concentration=concentration, seed=0)
    for column in points.T:
        assert kstest(column, beta(concentration, 2 * concentration).cdf).statistic < 0.01


@pytest.mark.parametrize("k", [2, 3, 10])
def test_sobol_points_are_uniform(k):
    points = sobol_points(k, 1000)
    assert points.shape == (1000, k)
    assert points.sum(axis=1) == pytest.approx(1.0)
    assert (points > 0).all()
    assert points.mean(axis=0) == pytest.approx(1 / k, abs=0.01)
    assert points.var(axis=0) == pytest.approx((k - 1) / (k * k * (k + 1)), rel=0.05)
    assert not np.array_equal(sobol_points(k, 8, seed=1), sobol_points(k, 8, seed=2))


def test_dirichlet_draws_have_their_mean_and_variance():
    points = dirichlet_points(4, 20_000, concentration=2.0)
    assert points.mean(axis=0) == pytest.approx(0.25, abs=0.01)
    assert points.var(axis=0) == pytest.approx(0.25 * 0.75 / 9, rel=0.05)


@pytest.mark.parametrize(("k", "size"), [(2, 10), (3, 15), (3, 17), (40, 12), (1, 3)])
def test_any_number_of_points_is_spread(k, size):
    points = lattice_of(k, size)
    assert points.shape == (size, k)
    assert points.sum(axis=1) == pytest.approx(1.0)
    if size >= k > 1:
        assert all((points == corner).all(axis=1).any() for corner in np.eye(k))


def test_sizes_are_checked():
    with pytest.raises(SettingError, match="`divisions` must be a whole number of at least 1; got 0"):
        lattice(2, 0)
    with pytest.raises(SettingError, match="`concentration`"):
        dirichlet_points(2, 3, concentration=0.0)
    with pytest.raises(SettingError, match="`seed` must be a whole number of at least 0; got -1"):
        dirichlet_points(2, 3, seed=-1)
    with pytest.raises(SettingError, match="`seed` must be a whole number of at least 0; got -1"):
        sobol_points(2, 3, seed=-1)
