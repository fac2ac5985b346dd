"""Ratios of epoch means, softened."""

import math

import pytest
import torch

import equipoise as eq
from equipoise.errors import ClockError, LossError

from .histories import play, random_history, weigh


def softmax(scores: list[float]) -> list[float]:
    powers = [math.exp(score) for score in scores]
    return [power / sum(powers) for power in powers]


def test_a_history_over_epochs_equals_the_formula_written_out():
    history = random_history(15, 3)
    played = play(eq.DWA(T=0.7), history, epoch_ends=(2, 5, 8, 11))
    for number, weighed in enumerate(played):
        epoch = number // 3
        wanted = [1 / 3] * 3
        if epoch >= 2:
            means = [[sum(history[3 * e + s][i] for s in range(3)) / 3 for e in range(epoch)] for i in range(3)]
            wanted = softmax([mean[-1] / mean[-2] / 0.7 for mean in means])
        assert weighed.weights.tolist() == pytest.approx(wanted, rel=1e-12)


def test_a_task_absent_for_an_epoch_keeps_its_two_last_means():
    history = [[4.0, 8.0], [2.0, 2.0], [1.0, 99.0], [1.0, 1.0]]
    played = play(eq.DWA(), history, presents=[(0, 1), (0, 1), (0,), (0, 1)], epoch_ends=(0, 1, 2))
    assert played[3].weights.tolist() == pytest.approx(softmax([0.5 / 2, 0.25 / 2]))
    assert played[2].state["epochs"].tolist() == [3.0, 2.0]


def test_a_mean_of_zero_gives_the_ratio_one_and_an_enormous_ratio_no_nan():
    played = play(eq.DWA(), [[0.0, 1.0], [1.0, 1.0], [1.0, 1.0]], epoch_ends=(0, 1))
    assert played[2].weights.tolist() == [0.5, 0.5]
    played = play(eq.DWA(T=0.01), [[1e-300] * 2, [1e300] * 2, [1.0] * 2], epoch_ends=(0, 1))
    assert played[2].weights.tolist() == [0.5, 0.5]


def test_a_negative_epoch_mean_is_refused_with_its_position():
    method = eq.DWA()
    state = weigh(method, [1.0, -2.0]).state
    with pytest.raises(LossError, match=r"tasks number \[1\] \(from 0\) are \[-2\.0\]"):
        method.end_epoch(state)


def test_methods_without_an_epoch_refuse_one():
    with pytest.raises(ClockError, match="has no end_epoch"):
        eq.GeometricLoss().end_epoch({})
    assert eq.DWA().per_epoch
    assert torch.equal(weigh(eq.DWA(), [5.0, 1.0]).weights, torch.tensor([0.5, 0.5], dtype=torch.float64))
