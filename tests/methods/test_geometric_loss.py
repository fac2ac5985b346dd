"""The geometric mean, also where the product has no float."""

import pytest
import torch

import equipoise as eq

from .histories import weigh


def test_value_and_weights_by_hand():
    seen = weigh(eq.GeometricLoss(), [2.0, 4.0, 1.0])
    assert float(seen.criterion) == pytest.approx(2.0)
    assert seen.weights.tolist() == pytest.approx([2 / 6, 2 / 12, 2 / 3])


@pytest.mark.parametrize("scale", [1e-60, 1.0, 1e60])
def test_products_beyond_the_range_of_floats_are_no_trouble(scale):
    seen = weigh(eq.GeometricLoss(), [scale, 4 * scale, 2 * scale, scale, scale, scale, 8 * scale, scale])
    assert float(seen.criterion) == pytest.approx(64 ** (1 / 8) * scale, rel=1e-12)
    assert torch.isfinite(seen.weights).all()


def test_weights_sum_to_the_geometric_over_the_harmonic_mean():
    losses = [0.5, 3.0, 2.0]
    harmonic = 3 / sum(1 / loss for loss in losses)
    seen = weigh(eq.GeometricLoss(), losses)
    assert float(seen.weights.sum()) == pytest.approx(float(seen.criterion) / harmonic)
    assert weigh(eq.GeometricLoss(), [3.0, 3.0]).weights.tolist() == pytest.approx([0.5, 0.5])
