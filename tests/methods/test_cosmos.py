"""A weighted mean less a cosine."""

import pytest
import torch

import equipoise as eq

from .histories import weigh


def test_value_by_hand():
    seen = weigh(eq.COSMOS((1.0, 3.0), c=2.0), [3.0, 4.0])
    assert float(seen.criterion) == pytest.approx(0.25 * 3 + 0.75 * 4 - 2 * 15 / (10**0.5 * 5))


def test_without_the_cosine_it_is_the_weighted_mean_and_scale_of_weights_does_not_matter():
    losses = [3.0, 4.0]
    assert torch.allclose(weigh(eq.COSMOS(c=0.0), losses).weights, weigh(eq.LinearScalarization(), losses).weights)
    assert torch.allclose(weigh(eq.COSMOS((2.0, 6.0)), losses).weights, weigh(eq.COSMOS((1.0, 3.0)), losses).weights)


def test_in_the_wanted_direction_the_cosine_has_no_gradient_and_elsewhere_it_turns_the_losses_towards_it():
    assert weigh(eq.COSMOS((1.0, 3.0)), [2.0, 6.0]).weights.tolist() == pytest.approx([0.25, 0.75])
    turned = weigh(eq.COSMOS((1.0, 3.0)), [6.0, 2.0]).weights
    assert turned[0] > 0.25
    assert turned[1] < 0.75


def test_losses_of_exactly_zero_leave_the_cosine_out():
    seen = weigh(eq.COSMOS(), [0.0, 0.0])
    assert float(seen.criterion) == 0.0
    assert seen.weights.tolist() == [0.5, 0.5]
