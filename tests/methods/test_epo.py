"""EPO: its linear programs, and where its steps end."""

import numpy as np
import pytest
import torch

import equipoise as eq
from equipoise.errors import LossError, PreferenceError, SettingError
from equipoise.fronts.indicators import ray_angles
from equipoise.laws import check_method
from equipoise.problems import named


def follow(name, method, preference=None, steps=600, rate=0.05):
    problem = named(name)
    point = np.random.default_rng(0).uniform(problem.lower, problem.upper)
    for _ in range(steps):
        step = eq.direction(method, problem.jacobians(point), problem.losses(point), preference=preference)
        point = np.clip(point - rate * step.numpy(), problem.lower, problem.upper)
    return problem.losses(point)


@pytest.mark.parametrize("ray", [(1.0, 1.0), (1.0, 3.0), (4.0, 1.0)])
def test_it_ends_on_the_ray_and_on_the_front(ray):
    losses = follow("quad", eq.EPO(), eq.Ray(ray))
    assert ray_angles(losses[None], [ray])[0] < 1.0
    assert np.sqrt(losses).sum() == pytest.approx(1.0, abs=2e-3)
    preferred = follow("quad", eq.EPO(), eq.Ray(ray), steps=50)
    assert follow("quad", eq.EPO(ray=ray), steps=50) == pytest.approx(preferred)


def test_a_concave_front_is_no_obstacle():
    losses = follow("expo", eq.EPO(ray=(1.0, 2.0)))
    assert ray_angles(losses[None], [[1.0, 2.0]])[0] < 1.0
    assert np.sqrt(-np.log1p(-losses)).sum() == pytest.approx(2.0, abs=1e-2)


def test_a_balanced_point_descends_in_every_loss():
    jacobian = np.array([[1.0, 0.2, 0.0], [-0.5, 1.0, 0.1], [0.3, -0.4, 1.0]])
    step = eq.direction(eq.EPO(), jacobian, [2.0, 2.0, 2.0])
    assert (jacobian @ step.numpy() >= -1e-9).all()


def test_an_unbalanced_point_lowers_the_loss_that_is_too_high():
    jacobian = np.array([[1.0, 0.2], [-0.9, 1.0]])
    step = eq.direction(eq.EPO(), jacobian, [9.0, 1.0])
    assert jacobian[0] @ step.numpy() > 0


@pytest.mark.parametrize("kind", [eq.EPO, eq.FERERO, eq.PMGDA])
def test_a_ray_claims_nothing_for_another_number_of_tasks(kind):
    assert "single" in kind().claims(2)
    assert "single" not in kind(ray=(1.0, 2.0)).claims(2)
    check_method(kind(ray=(1.0, 2.0)), sizes=(2,))  # claims and counter-examples, played with two tasks


def test_losses_must_be_positive_and_rays_too():
    with pytest.raises(LossError, match="EPO compares proportions, so every loss must be positive; those of 'task1'"):
        eq.weights(eq.EPO(), torch.eye(2), losses=[1.0, 0.0])
    with pytest.raises(PreferenceError, match="positive proportions"):
        eq.EPO(ray=(1.0, 0.0))
    with pytest.raises(PreferenceError, match="it honours `Ray`"):
        eq.weights(eq.EPO(), torch.eye(2), losses=[1.0, 1.0], preference=eq.Bounds({"task0": 1.0}))
    with pytest.raises(SettingError, match="`tolerance`"):
        eq.EPO(tolerance=0.0)
