"""EDM and CappedMGDA: what their directions must satisfy, and the methods that they pass through."""

import numpy as np
import pytest
from scipy.optimize import linprog, minimize

import equipoise as eq
from equipoise.errors import SettingError
from equipoise.solve import Status

from .matrices import gradients, take


def units(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.mark.parametrize("seed", range(10))
def test_the_equiangular_direction_has_equal_and_largest_least_cosines(seed):
    rows = gradients(4, seed) * np.logspace(-2, 2, 4)[:, None]
    found = take(eq.EDM(), rows)
    vector = found.direction.numpy()
    cosines = units(rows) @ vector / np.linalg.norm(vector)
    weighted = found.weights.numpy() > 0
    np.testing.assert_allclose(cosines[weighted], cosines.min(), rtol=1e-10)
    # no direction has a larger least cosine: it is the largest distance from the origin to the hull of unit gradients
    best = minimize(
        lambda v: -(units(rows) @ v).min() / np.linalg.norm(v), vector / np.linalg.norm(vector), method="Nelder-Mead"
    )
    assert -best.fun <= cosines.min() + 1e-9


@pytest.mark.parametrize("seed", range(5))
def test_two_tasks_give_the_authors_bisector(seed):
    one, two = gradients(2, seed) * np.array([[5.0], [0.2]])
    lengths = np.linalg.norm(one), np.linalg.norm(two)
    wanted = (one * lengths[1] + two * lengths[0]) / sum(lengths)
    np.testing.assert_allclose(take(eq.EDM(), [one, two]).direction, wanted, rtol=1e-12, atol=1e-15)


def test_the_length_is_that_of_a_mean_of_the_gradients():
    rows = gradients(5, 2) * np.logspace(-1, 1, 5)[:, None]
    found = take(eq.EDM(), rows)
    np.testing.assert_allclose(found.weights.numpy() @ rows, found.direction, rtol=1e-13)
    assert found.weights.sum().item() == pytest.approx(1, abs=1e-14)
    unit = take(eq.MGDA(), units(rows)).direction.numpy()  # the shortest vector of unit gradients, same direction
    np.testing.assert_allclose(units(unit[None]), units(found.direction.numpy()[None]), rtol=1e-10, atol=1e-12)


def test_opposite_gradients_are_stationary():
    found = take(eq.EDM(), [[1.0, 0.0], [-5.0, 0.0]])
    assert found.status is Status.STATIONARY
    np.testing.assert_allclose(found.direction, 0, atol=1e-15)


def cvar(products, cap):
    """Mean of the 1/cap smallest products, as a linear program over weights at most cap."""
    k = len(products)
    return linprog(products, A_eq=np.ones((1, k)), b_eq=[1.0], bounds=[(0, cap)] * k).fun


@pytest.mark.parametrize("seed", range(5))
def test_the_capped_direction_maximises_the_mean_of_the_worst_descents(seed):
    rows, cap = gradients(5, seed) + 0.3, 0.4
    vector = take(eq.CappedMGDA(cap=cap), rows).direction.numpy()
    best = cvar(rows @ vector, cap) - vector @ vector / 2
    assert best == pytest.approx(vector @ vector / 2, rel=1e-10)  # the CVaR of the descents is |d|^2
    draw = np.random.default_rng(seed)
    for _ in range(200):
        other = vector + 0.2 * draw.normal(size=len(vector)) * np.linalg.norm(vector) / np.sqrt(len(vector))
        assert cvar(rows @ other, cap) - other @ other / 2 <= best + 1e-12


def test_a_cap_of_one_is_mgda_and_a_small_one_the_mean():
    rows = gradients(4, 0) * np.logspace(-1, 1, 4)[:, None]
    np.testing.assert_array_equal(take(eq.CappedMGDA(cap=1.0), rows).direction, take(eq.MGDA(), rows).direction)
    np.testing.assert_allclose(take(eq.CappedMGDA(cap=0.25), rows).direction, rows.mean(axis=0), rtol=1e-13)
    finished = rows * np.array([[1.0], [1.0], [1.0], [0.0]])
    np.testing.assert_allclose(take(eq.CappedMGDA(cap=0.1), finished).direction, finished.mean(axis=0), rtol=1e-13)


def test_no_weight_is_above_the_cap():
    for seed in range(20):
        rows = gradients(6, seed) * np.logspace(-2, 2, 6)[:, None]
        assert take(eq.CappedMGDA(cap=0.3), rows).weights.max() <= 0.3 + 1e-13


@pytest.mark.parametrize("cap", [0.0, -0.1, 1.5, float("nan")])
def test_a_cap_outside_its_range_is_refused(cap):
    with pytest.raises(SettingError, match="`cap` must lie in"):
        eq.CappedMGDA(cap=cap)
