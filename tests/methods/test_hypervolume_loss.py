"""The volume below a reference."""

import math

import pytest
import torch

import equipoise as eq
from equipoise.errors import LossError

from .histories import weigh


def test_value_and_weights_by_hand():
    seen = weigh(eq.HypervolumeLoss(reference={"b": 5.0, "a": 4.0}), [2.0, 4.5])
    assert float(seen.criterion) == pytest.approx(-math.log(2.0 * 0.5))
    assert seen.weights.tolist() == pytest.approx([0.5, 2.0])


def test_the_adaptive_reference_is_slack_times_the_largest_loss_held_constant():
    seen = weigh(eq.HypervolumeLoss(slack=1.5), [2.0, 4.0])
    assert seen.weights.tolist() == pytest.approx([1 / 4, 1 / 2])
    flat = weigh(eq.HypervolumeLoss(slack=1e6), [2.0, 4.0]).weights
    assert float(flat[0] / flat[1]) == pytest.approx(1.0, abs=1e-5)


def test_with_a_distant_reference_it_has_the_direction_of_the_sum():
    weights = weigh(eq.HypervolumeLoss(reference=(1e9, 1e9)), [2.0, 4.0]).weights * 1e9
    assert torch.allclose(weights, torch.ones(2, dtype=torch.float64))


def test_losses_at_or_above_the_reference_are_refused_by_name():
    with pytest.raises(LossError, match=r"below its reference; those of 'b' are \[5\.0\]\. Use a higher `reference`"):
        weigh(eq.HypervolumeLoss(reference=(4.0, 5.0)), [2.0, 5.0])
    with pytest.raises(LossError, match="largest loss, which must be positive"):
        weigh(eq.HypervolumeLoss(), [-2.0, -1.0])
