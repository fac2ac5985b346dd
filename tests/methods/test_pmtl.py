"""PMTL: sectors for two and three losses."""

import numpy as np
import pytest
import torch

import equipoise as eq
from equipoise.core.simplex_points import lattice
from equipoise.core.tasks import Tasks
from equipoise.errors import SettingError
from equipoise.methods.base import Step
from equipoise.methods.run import run_method
from equipoise.problems import DTLZ2, named


def follow(problem, method, steps, rate):
    point = np.full(problem.parameters, 0.45) * (problem.upper - problem.lower) + problem.lower
    state = method.init(problem.count)
    for _ in range(steps):
        losses = torch.from_numpy(problem.losses(point))
        found = run_method(
            method, torch.from_numpy(problem.jacobians(point)), state, Step(Tasks(problem.tasks), losses)
        )
        point, state = np.clip(point - rate * found.direction.numpy(), problem.lower, problem.upper), found.state
    return problem.losses(point)


def nearest(losses, rays):
    unit = rays / np.linalg.norm(rays, axis=1, keepdims=True)
    return int((unit @ losses).argmax())


@pytest.mark.parametrize("index", range(4))
def test_two_losses_end_in_their_sector_on_the_front(index):
    rays = np.clip(lattice(2, 3), 0, None)
    losses = follow(named("quad"), eq.PMTL(rays=tuple(map(tuple, rays.tolist())), index=index), 600, 0.1)
    unit = rays / np.linalg.norm(rays, axis=1, keepdims=True)
    assert (unit @ losses).max() - unit[index] @ losses < 0.02 * np.linalg.norm(losses)
    assert np.sqrt(losses).sum() == pytest.approx(1.0, abs=2e-2)


@pytest.mark.parametrize("index", [0, 1, 2])
def test_three_losses_too(index):
    losses = follow(DTLZ2(), eq.PMTL(index=index), 400, 0.05)
    assert nearest(losses, np.eye(3)) == index or np.ptp(losses) < 0.05
    assert np.linalg.norm(losses) == pytest.approx(1.0, abs=0.05)


def test_one_ray_is_mgda():
    gramian = np.array([[1.0, 0.2], [0.2, 3.0]])
    found = eq.weights(eq.PMTL(rays=((1.0, 1.0),)), gramian, losses=[1.0, 2.0])
    assert found.tolist() == pytest.approx(eq.weights(eq.MGDA(), gramian).tolist())


def test_bad_settings():
    with pytest.raises(SettingError, match="`index` must be below the number of rays, 2; got 2"):
        eq.PMTL(rays=((1, 0), (0, 1)), index=2)
    with pytest.raises(SettingError, match="non-negative numbers, one a task, not all zero"):
        eq.PMTL(rays=((0, 0), (0, 1)))
