"""From the sum to the maximum."""

import pytest
import torch

import equipoise as eq

from .histories import weigh


def test_value_and_weights_by_hand():
    seen = weigh(eq.PNorm((1.0, 2.0)), [3.0, 2.0])
    assert float(seen.criterion) == pytest.approx(5.0)
    assert seen.weights.tolist() == pytest.approx([0.6, 1.6])


def test_p_of_one_is_linear_scalarization_and_large_p_the_largest_term():
    losses, weights = [3.0, 2.0, 0.5], (1.0, 2.0, 0.1)
    assert torch.allclose(
        weigh(eq.PNorm(weights, 1.0), losses).weights, weigh(eq.LinearScalarization(weights), losses).weights
    )
    assert torch.allclose(weigh(eq.PNorm(p=1.0), losses).weights, weigh(eq.LinearScalarization(), losses).weights)
    assert weigh(eq.PNorm(weights, 500.0), losses).weights.tolist() == pytest.approx([0.0, 2.0, 0.0], abs=1e-12)


def test_powers_beyond_the_range_of_floats_are_no_trouble():
    for scale in (1e-200, 1e200):
        seen = weigh(eq.PNorm((1.0, 1.0), p=3.0), [scale, 2 * scale])
        assert float(seen.criterion) == pytest.approx(9 ** (1 / 3) * scale)


def test_all_losses_zero_is_a_value_of_zero_with_the_gradient_of_equal_losses():
    seen = weigh(eq.PNorm(p=2.0), [0.0, 0.0])
    assert float(seen.criterion) == 0.0
    assert torch.allclose(seen.weights, weigh(eq.PNorm(p=2.0), [1e-9, 1e-9]).weights)
