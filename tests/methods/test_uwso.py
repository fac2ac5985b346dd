"""A softmax of inverse losses, held constant."""

import math

import pytest

import equipoise as eq

from .histories import weigh


def test_weights_by_hand_and_the_weights_are_no_function_to_differentiate():
    seen = weigh(eq.UWSO(T=2.0), [1.0, 0.25])
    powers = [math.exp(0.5), math.exp(2.0)]
    wanted = [power / sum(powers) for power in powers]
    assert seen.weights.tolist() == pytest.approx(wanted)
    assert float(seen.criterion) == pytest.approx(wanted[0] + 0.25 * wanted[1])


def test_a_large_temperature_gives_equal_weights_and_tiny_losses_no_nan():
    assert weigh(eq.UWSO(T=1e9), [1.0, 0.001]).weights.tolist() == pytest.approx([0.5, 0.5], abs=1e-6)
    assert weigh(eq.UWSO(T=1e-3), [5e-324, 1e-310, 1.0]).weights.tolist() == [0.5, 0.5, 0.0]
