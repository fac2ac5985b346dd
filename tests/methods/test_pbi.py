"""Along the ray, and away from it."""

import math

import pytest
import torch

import equipoise as eq

from .histories import weigh


def test_value_and_weights_by_hand():
    # ray (3, 4)/5, losses (5, 0) above the ideal: d1 = 3, the rest is (5 - 9/5, -12/5) of length 4
    seen = weigh(eq.PBI((3.0, 4.0), theta=2.0, ideal=(1.0, -1.0)), [6.0, -1.0])
    assert float(seen.criterion) == pytest.approx(3.0 + 2 * 4.0)
    assert seen.weights.tolist() == pytest.approx([0.6 + 2 * 0.8, 0.8 - 2 * 0.6])


def test_on_the_ray_there_is_no_penalty_and_no_direction_made_of_rounding():
    for scale in (1e-9, 1.0, 1e9):
        seen = weigh(eq.PBI((0.1, 0.3, 0.7), theta=100.0), [0.1 * scale, 0.3 * scale, 0.7 * scale])
        length = math.hypot(0.1, 0.3, 0.7)
        assert seen.weights.tolist() == pytest.approx([0.1 / length, 0.3 / length, 0.7 / length])
    assert weigh(eq.PBI(ideal="running"), [2.0, 5.0]).weights.tolist() == pytest.approx([0.5**0.5] * 2)


def test_without_penalty_it_is_a_weighted_sum():
    found = weigh(eq.PBI((3.0, 4.0), theta=0.0), [6.0, 1.0]).weights
    assert found.tolist() == pytest.approx([0.6, 0.8])


def test_a_large_penalty_brings_gradient_descent_to_the_ray():
    # losses are the parameters, bounded below by f1 f2 >= 1: the ray (1, 3) meets that curve at (1/sqrt 3, sqrt 3)
    log_first = torch.tensor(1.0, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.Adam([log_first], lr=0.02)
    for _ in range(800):
        losses = torch.stack([log_first.exp(), (-log_first).exp()])
        optimizer.zero_grad()
        losses.backward(weigh(eq.PBI((1.0, 3.0), theta=20.0), losses.tolist()).weights)
        optimizer.step()
    assert float(log_first.detach().exp()) == pytest.approx(3**-0.5, rel=0.05)


def test_a_present_group_without_weight_has_only_the_penalty():
    seen = weigh(eq.PBI((1.0, 0.0, 0.0)), [1.0, 3.0, 4.0], present=(1, 2))
    assert seen.weights.tolist() == pytest.approx([3.0, 4.0])
