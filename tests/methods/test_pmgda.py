"""PMGDA: its two programs against a convex solver, and where its steps end."""

import cvxpy as cp
import numpy as np
import pytest
import torch

import equipoise as eq
from equipoise.errors import LossError, PreferenceError, SettingError
from equipoise.fronts.indicators import ray_angles
from equipoise.problems import DTLZ2, named

from .on_a_ray import OFF_THE_FRONT, WISHES, descend


def parts(rows, losses, ray):
    """The distance of the losses from the ray, and its gradient."""
    ray = ray / np.linalg.norm(ray)
    apart = losses - losses @ ray * ray
    return np.linalg.norm(apart), apart / np.linalg.norm(apart) @ rows


def drawn(k):
    draw = np.random.default_rng(k)
    return draw.normal(size=(k, 8)), draw.uniform(0.5, 2, size=k), draw.uniform(0.5, 2, size=k)


def unit(vector):
    return vector / np.linalg.norm(vector)


@pytest.mark.parametrize("k", [2, 3, 5])
@pytest.mark.parametrize("sigma", [0.3, 0.95])
def test_a_correction_gains_most_for_the_loss_that_gains_least(k, sigma):
    rows, losses, ray = drawn(k)
    toward = parts(rows, losses, ray)[1]
    units = np.array([unit(row) for row in (*rows, toward)])
    shares, worst = cp.Variable(k + 1, nonneg=True), cp.Variable()
    limits = [cp.sum(shares) == 1, rows @ units.T @ shares >= worst, units[-1] @ units.T @ shares >= sigma]
    cp.Problem(cp.Maximize(worst), limits).solve(solver=cp.CLARABEL, tol_gap_abs=1e-12, tol_gap_rel=1e-12)
    weights = eq.weights(eq.PMGDA(ray=tuple(ray), sigma=sigma), rows @ rows.T, losses=losses).numpy()
    assert np.abs(weights).sum() == pytest.approx(1.0)
    assert unit(weights @ rows) == pytest.approx(unit(shares.value @ units), abs=1e-6)


@pytest.mark.parametrize("k", [2, 3, 5])
def test_sigma_one_goes_straight_to_the_ray(k):
    rows, losses, ray = drawn(k)
    found = eq.direction(eq.PMGDA(ray=tuple(ray), sigma=1.0), rows, losses).numpy()
    assert unit(found) == pytest.approx(unit(parts(rows, losses, ray)[1]), abs=1e-9)


@pytest.mark.parametrize("k", [2, 3, 5])
def test_a_prediction_is_the_shortest_mixture_that_keeps_the_distance(k):
    rows, losses, ray = drawn(k)
    toward = parts(rows, losses, ray)[1]
    d, worst = cp.Variable(8), cp.Variable()  # the problem whose dual the method solves
    problem = cp.Problem(cp.Maximize(worst - cp.sum_squares(d) / 2), [rows @ d >= worst, toward @ d == 0])
    problem.solve(solver=cp.CLARABEL, tol_gap_abs=1e-12, tol_gap_rel=1e-12)
    found = eq.direction(eq.PMGDA(ray=tuple(ray), tolerance=10.0), rows, losses).numpy()
    assert unit(found) == pytest.approx(unit(d.value), abs=1e-5)
    assert (rows @ found >= -1e-12).all()
    assert toward @ found == pytest.approx(0.0, abs=1e-12)


def test_on_the_ray_exactly_it_is_mgda():
    gramian = np.array([[1.0, 0.2], [0.2, 3.0]])
    found = eq.weights(eq.PMGDA(ray=(1.0, 2.0)), gramian, losses=[0.0, 0.0])
    assert found.tolist() == pytest.approx(eq.weights(eq.MGDA(), gramian).tolist())


@pytest.mark.parametrize("unit_of_losses", [1e-200, 1e-6, 1e6, 1e200])
def test_the_unit_of_the_losses_does_not_matter(unit_of_losses):
    rows, losses, _ = drawn(3)
    wanted = eq.weights(eq.PMGDA(), rows @ rows.T, losses=losses)
    found = eq.weights(eq.PMGDA(), rows @ rows.T, losses=unit_of_losses * losses)
    torch.testing.assert_close(found, wanted, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(("name", "ray"), WISHES)
def test_it_ends_within_its_tolerance_of_the_ray_and_on_the_front(name, ray):
    losses = descend(named(name), eq.PMGDA(), eq.Ray(ray), steps=250, rate=0.3)
    assert np.sin(np.radians(ray_angles(losses[None], [ray])[0])) < 1.05e-2  # the last steps may leave it a little
    assert abs(OFF_THE_FRONT[name](losses)) < 5e-3


def test_three_losses_too():
    losses = descend(DTLZ2(), eq.PMGDA(ray=(1.0, 2.0, 3.0)), None, steps=250, rate=0.2)
    assert ray_angles(losses[None], [[1.0, 2.0, 3.0]])[0] < 0.6
    assert np.linalg.norm(losses) == pytest.approx(1.0, abs=5e-3)


def test_what_cannot_be_followed_is_refused():
    with pytest.raises(LossError, match="PMGDA follows a ray, so no loss may be negative; those of 'task1' are"):
        eq.weights(eq.PMGDA(), torch.eye(2), losses=[1.0, -1.0])
    with pytest.raises(PreferenceError, match="it honours `Ray`"):
        eq.weights(eq.PMGDA(), torch.eye(2), losses=[1.0, 1.0], preference=eq.Bounds({"task0": 1.0}))
    for settings in ({"sigma": 0.0}, {"sigma": 1.1}, {"tolerance": 0.0}):
        with pytest.raises(SettingError, match="`sigma` must be above 0 and at most 1, `tolerance` positive"):
            eq.PMGDA(**settings)
