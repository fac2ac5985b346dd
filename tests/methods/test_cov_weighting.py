"""Coefficients of variation of loss ratios."""

import numpy as np
import pytest

import equipoise as eq

from .histories import play, random_history


def test_a_history_equals_the_formula_written_out():
    history = random_history(25, 4)
    ratios = [[] for _ in range(4)]
    for number, weighed in enumerate(play(eq.CoVWeighting(), history)):
        for i in range(4):
            earlier = [losses[i] for losses in history[:number]]
            ratios[i].append(history[number][i] / np.mean(earlier) if earlier else 1.0)
        variation = np.array([np.std(values) / np.mean(values) for values in ratios])
        wanted = variation / variation.sum() if number else np.full(4, 0.25)
        assert weighed.weights.numpy() == pytest.approx(wanted, rel=1e-9)


def test_units_of_single_losses_do_not_matter():
    history = random_history(10, 3)
    scaled = [[1e-6 * a, b, 1e6 * c] for a, b, c in history]
    for first, second in zip(play(eq.CoVWeighting(), history), play(eq.CoVWeighting(), scaled), strict=True):
        assert first.weights.numpy() == pytest.approx(second.weights.numpy(), rel=1e-9)


def test_a_loss_that_never_moves_has_no_weight_and_a_new_task_an_equal_share():
    played = play(
        eq.CoVWeighting(), [[1.0, 2.0, 3.0], [1.0, 1.0, 3.0], [1.0, 1.5, 3.0]], presents=[(0, 1), (0, 1), (0, 1, 2)]
    )
    assert played[1].weights.tolist() == pytest.approx([0.0, 1.0])
    assert played[2].weights.tolist() == pytest.approx([0.0, 2 / 3, 1 / 3])
    still = play(eq.CoVWeighting(), [[1.0, 2.0]] * 4)[-1]
    assert still.weights.tolist() == [0.5, 0.5]
