"""A weighted sum is a weighted sum."""

import pytest
import torch

import equipoise as eq
from equipoise.core.tasks import Tasks

from .histories import weigh


def test_without_weights_it_is_the_mean_of_the_present_tasks():
    assert weigh(eq.LinearScalarization(), [1.0, 2.0, 6.0]).criterion == 3.0
    seen = weigh(eq.LinearScalarization(), [1.0, 2.0, 6.0], present=(0, 2))
    assert seen.criterion == 3.5
    assert seen.weights.tolist() == [0.5, 0.5]


def test_weights_are_used_as_written_and_an_absent_tasks_term_is_missing():
    method = eq.LinearScalarization({"a": 2.0, "b": 0.0, "c": 0.5})
    assert weigh(method, [1.0, 2.0, 6.0]).criterion == 5.0
    assert weigh(method, [1.0, 2.0, 6.0]).weights.tolist() == [2.0, 0.0, 0.5]
    assert weigh(method, [1.0, 2.0, 6.0], present=(1, 2)).criterion == 3.0


def test_it_equals_the_hand_written_mean_to_the_bit_in_single_precision():
    losses = torch.rand(7, generator=torch.Generator().manual_seed(0)).requires_grad_()
    answer = eq.LinearScalarization().scalar(losses, {}, eq.methods.Step(Tasks(tuple("abcdefg"))))
    assert torch.equal(answer.value, sum(losses.unbind()) / 7) or torch.equal(answer.value, losses.sum() / 7)


def test_it_prints_as_the_call_that_made_it_and_names_are_sorted():
    method = eq.LinearScalarization({"b": 1, "a": 2})
    assert repr(method) == "LinearScalarization(weights=(('a', 2.0), ('b', 1.0)))"
    assert method == eq.LinearScalarization({"a": 2.0, "b": 1.0})
    assert hash(method) == hash(eq.LinearScalarization({"a": 2.0, "b": 1.0}))


def test_zero_weights_may_not_be_all():
    with pytest.raises(eq.errors.SettingError, match="not all zero"):
        eq.LinearScalarization((0.0, 0.0))
