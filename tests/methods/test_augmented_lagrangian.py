"""Limits for losses in a training loop: they hold, at the optimum under them, and prices are what they claim."""

from functools import cache

import numpy as np
import pytest
import torch

import equipoise as eq
from equipoise.errors import SettingError, TaskError


def train(method, preference=None, steps=3000):
    """Two squares of a plane with a Balancer: depth |x - (1, 0)|^2, normals |x - (0, 2)|^2."""
    place = torch.nn.Parameter(torch.zeros(2))
    balancer = eq.Balancer(method)
    optimizer = torch.optim.SGD([place], lr=0.01)
    for _ in range(steps):
        optimizer.zero_grad()
        depth = (place - torch.tensor([1.0, 0.0])).square().sum()
        normals = (place - torch.tensor([0.0, 2.0])).square().sum()
        balancer({"depth": depth, "normals": normals}, preference=preference).backward()
        optimizer.step()
    return float(depth.detach()), float(normals.detach()), balancer


@cache
def trained(limit):
    """The same for one limit of the depth, trained once for all tests."""
    return train(eq.AugmentedLagrangian({"depth": limit}))


@pytest.mark.parametrize("limit", [0.25, 1.0, 4.0])
def test_a_limit_holds_and_the_other_loss_is_lowest_under_it(limit):
    depth, normals, _ = trained(limit)
    assert depth <= limit * 1.01
    assert normals == pytest.approx((np.sqrt(5) - np.sqrt(limit)) ** 2, rel=0.01)


def test_the_preference_of_a_balancer_is_the_same():
    found = train(eq.AugmentedLagrangian({"depth": 0.25}), steps=100)
    assert found[:2] == train(eq.AugmentedLagrangian(), eq.Bounds({"depth": 0.25}), steps=100)[:2]


def test_a_limit_that_does_not_bind_costs_nothing():
    depth, normals, balancer = train(eq.AugmentedLagrangian({"depth": 50.0}), steps=1500)
    assert normals == pytest.approx(0.0, abs=1e-6)
    assert depth == pytest.approx(5.0, abs=1e-3)
    assert balancer.last.weights.tolist() == [0.0, 1.0]


def test_the_weight_at_rest_is_the_price_of_the_limit():
    *_, balancer = trained(0.25)
    # d normals / d depth along the front, (sqrt 5 - r)^2 over r^2 at r = 1/2
    assert float(balancer.last.weights[0]) == pytest.approx((np.sqrt(5) - 0.5) / 0.5, rel=0.02)


def test_without_limits_it_is_the_mean():
    jacobian = np.random.default_rng(0).normal(size=(3, 5))
    assert torch.equal(
        eq.direction(eq.AugmentedLagrangian(), jacobian), eq.direction(eq.LinearScalarization(), jacobian)
    )


def test_minimise_names_what_is_lowered():
    bounds = eq.Bounds({"task0": 1.0}, minimise=["task2"])
    found = eq.direction(eq.AugmentedLagrangian(bounds), torch.eye(3), losses=[0.5, 5.0, 5.0])
    assert found.tolist() == [0.0, 0.0, 1.0]


def test_unknown_tasks_and_bad_settings_are_refused():
    with pytest.raises(TaskError, match="`Bounds` names 'depth'"):
        eq.direction(eq.AugmentedLagrangian({"depth": 1.0}), torch.eye(2))
    with pytest.raises(SettingError, match="`penalty` must be positive"):
        eq.AugmentedLagrangian(penalty=0.0)
