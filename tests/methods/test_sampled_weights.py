"""SDMGrad and MoDo: exact, and by one unbiased step at a time."""

from dataclasses import replace

import numpy as np
import pytest
import torch

import equipoise as eq
from equipoise.core.tasks import Tasks
from equipoise.errors import SettingError
from equipoise.laws import check_method
from equipoise.methods.base import Step
from equipoise.methods.run import run_gramian_method
from equipoise.solve import Status

from .matrices import NAMES, gradients, run, take

DOUBLE = eq.SDMGrad(sampling="double")


def simplex_by_bisection(point):
    """Projection on the simplex, written slow and obvious."""
    low, high = point.min() - 1, point.max()
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if np.maximum(point - middle, 0).sum() > 1 else (low, middle)
    return np.maximum(point - low, 0)


def with_cross(method, gramian, cross, state=None):
    k = len(gramian)
    step = replace(Step(Tasks(NAMES[:k])), cross_gramian=torch.from_numpy(cross))
    return run_gramian_method(method, torch.from_numpy(gramian), method.init(k) if state is None else state, step)


@pytest.mark.parametrize(
    "method", [eq.SDMGrad(), eq.SDMGrad(lam=0.0), eq.SDMGrad(lam=5.0), DOUBLE, eq.MoDo()], ids=repr
)
def test_the_laws_hold(method):
    assert check_method(method, sizes=(1, 2, 3, 5)).checks > 0


def test_sdmgrad_runs_from_mgda_to_the_mean():
    rows = gradients(4, 0)
    np.testing.assert_allclose(take(eq.SDMGrad(lam=0.0), rows).direction, take(eq.MGDA(), rows).direction, atol=1e-12)
    np.testing.assert_allclose(take(eq.SDMGrad(lam=1e9), rows).direction, rows.mean(axis=0), rtol=1e-6)


def test_sdmgrad_is_the_min_norm_point_of_shifted_gradients():
    rows, lam = gradients(5, 1), 0.7
    shifted = rows + lam * rows.mean(axis=0)
    wanted = take(eq.MGDA(), shifted).direction / (1 + lam)
    np.testing.assert_allclose(take(eq.SDMGrad(lam=lam), rows).direction, wanted, atol=1e-10)


def test_a_finished_task_counts_in_the_mean_of_sdmgrad():
    rows = np.vstack([gradients(2, 1), np.zeros(12)])
    shifted = rows[:2] + 0.3 * rows.mean(axis=0)
    wanted = take(eq.MGDA(), shifted).direction / 1.3
    np.testing.assert_allclose(take(eq.SDMGrad(lam=0.3), rows).direction, wanted, atol=1e-12)


def test_modo_takes_the_projected_step_of_the_cross_gramian_and_remembers_it():
    first, second = gradients(3, 2), gradients(3, 3)
    cross, gramian, method = first @ second.T, first @ first.T, eq.MoDo(gamma=0.02, rho=0.5)
    assert np.abs(cross - cross.T).max() > 1
    dual, state = np.full(3, 1 / 3), None
    for _ in range(3):
        found = with_cross(method, gramian, cross, state)
        dual = simplex_by_bisection(dual - 0.02 * (cross @ dual + 0.5 * dual))
        np.testing.assert_allclose(found.weights, dual, atol=1e-12)
        state = found.state
    np.testing.assert_allclose(state["dual"], dual, atol=1e-12)


def test_sdmgrad_by_double_sampling_takes_the_published_step():
    first, second = gradients(3, 4), gradients(3, 5)
    cross, gramian = first @ second.T, first @ first.T
    found = with_cross(eq.SDMGrad(lam=0.3, sampling="double", step_size=0.05), gramian, cross)
    uniform = np.full(3, 1 / 3)
    dual = simplex_by_bisection(uniform - 0.05 * first @ (second.T @ uniform + 0.3 * second.mean(axis=0)))
    np.testing.assert_allclose(found.weights, (dual + 0.1) / 1.3, atol=1e-12)


def test_repeated_steps_on_one_batch_reach_the_exact_solution():
    rows = gradients(3, 6) / 4
    many = run(eq.SDMGrad(lam=0.3, sampling="double", step_size=0.2), [rows] * 2000)[-1]
    np.testing.assert_allclose(many.direction, take(eq.SDMGrad(lam=0.3), rows).direction, atol=1e-6)
    modo = run(eq.MoDo(gamma=0.2, rho=0.0), [rows] * 2000)[-1]
    np.testing.assert_allclose(modo.direction, take(eq.MGDA(), rows).direction, atol=1e-6)


@pytest.mark.parametrize("method", [eq.MoDo(), DOUBLE], ids=repr)
def test_an_absent_task_keeps_its_share_and_the_others_fill_the_simplex(method):
    rows = gradients(3, 7)
    found = take(method, rows, present=(0, 2))
    assert found.state["dual"][1] == pytest.approx(1 / 3)
    assert float(found.state["dual"].sum()) == pytest.approx(1)
    assert float(found.weights.sum()) == pytest.approx(1)


def test_a_present_group_without_weight_starts_from_equal_shares_and_does_not_divide_by_zero():
    state = {"dual": torch.tensor([0.0, 1.0, 0.0], dtype=torch.float64)}
    found = take(eq.MoDo(gamma=1e-9), gradients(3, 8), state=state, present=(0, 2))
    np.testing.assert_allclose(found.weights, 0.5, atol=1e-6)
    np.testing.assert_allclose(found.state["dual"], [0.0, 1.0, 0.0])


def test_a_stationary_point_is_reported_by_the_exact_form():
    found = take(eq.SDMGrad(), [[1.0, 0.0], [-1.0, 0.0]])
    assert found.status is Status.STATIONARY
    np.testing.assert_allclose(found.direction, 0.0, atol=1e-15)


@pytest.mark.parametrize(
    ("kind", "settings_"),
    [
        (eq.SDMGrad, {"lam": -1.0}),
        (eq.SDMGrad, {"sampling": "triple"}),
        (eq.SDMGrad, {"step_size": 0.0}),
        (eq.MoDo, {"gamma": 0.0}),
        (eq.MoDo, {"rho": -0.1}),
    ],
)
def test_settings_outside_their_range_are_refused(kind, settings_):
    with pytest.raises(SettingError, match="must be"):
        kind(**settings_)
