"""A softmax of slopes."""

import numpy as np
import pytest

import equipoise as eq

from .histories import play, random_history


@pytest.mark.parametrize("normalized", [False, True])
@pytest.mark.parametrize("loss_weighted", [False, True])
def test_a_history_equals_the_formula_written_out(normalized, loss_weighted):
    history = np.array(random_history(15, 3))
    played = play(eq.SoftAdapt(0.7, normalized, loss_weighted), history.tolist())
    for number, weighed in enumerate(played):
        slopes = history[number] - history[number - 1] if number else np.zeros(3)
        if normalized and number:
            slopes = slopes / np.abs(slopes).sum()
        parts = np.exp(0.7 * slopes) * (history[number] if loss_weighted else 1.0)
        assert weighed.weights.numpy() == pytest.approx(parts / parts.sum(), rel=1e-9)


def test_beta_favours_the_rising_loss_and_its_negative_the_falling_one():
    history = [[1.0, 1.0], [0.5, 1.5]]
    assert play(eq.SoftAdapt(1.0), history)[-1].weights[1] > 0.7
    assert play(eq.SoftAdapt(-1.0), history)[-1].weights[1] < 0.3


def test_no_change_and_no_loss_are_no_division_by_zero():
    settled = play(eq.SoftAdapt(normalized=True, loss_weighted=True), [[0.0, 0.0]] * 3)[-1]
    assert settled.weights.tolist() == [0.5, 0.5]
    one = play(eq.SoftAdapt(loss_weighted=True), [[0.0, 2.0]] * 2)[-1]
    assert one.weights.tolist() == [0.0, 1.0]


def test_a_slope_is_taken_over_the_tasks_own_last_step():
    played = play(eq.SoftAdapt(1.0), [[1.0, 1.0], [2.0, 9.0], [2.0, 3.0]], presents=[(0, 1), (0,), (0, 1)])
    parts = np.exp([0.0, 2.0])
    assert played[2].weights.numpy() == pytest.approx(parts / parts.sum())
