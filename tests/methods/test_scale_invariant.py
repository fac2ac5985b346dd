"""The mean logarithm: factors of single losses drop out."""

import math

import pytest
import torch

import equipoise as eq

from .histories import weigh


def test_value_and_weights_by_hand():
    seen = weigh(eq.ScaleInvariant(), [2.0, 0.5, 4.0])
    assert float(seen.criterion) == pytest.approx(math.log(4.0) / 3)
    assert seen.weights.tolist() == pytest.approx([1 / 6, 2 / 3, 1 / 12])


def test_factors_of_single_losses_do_not_change_the_direction():
    rows = torch.randn(3, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    losses, factors = torch.tensor([1.0, 2.0, 3.0]).double(), torch.tensor([1e-6, 1.0, 1e6]).double()
    plain = eq.direction(eq.ScaleInvariant(), rows, losses)
    assert torch.allclose(eq.direction(eq.ScaleInvariant(), factors[:, None] * rows, factors * losses), plain)


def test_it_has_the_direction_of_the_geometric_mean():
    losses = [0.3, 7.0, 2.0]
    phi = float(weigh(eq.GeometricLoss(), losses).criterion)
    assert torch.allclose(weigh(eq.ScaleInvariant(), losses).weights * phi, weigh(eq.GeometricLoss(), losses).weights)
