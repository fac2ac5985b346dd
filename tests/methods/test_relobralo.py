"""Relative progress with random lookback."""

import numpy as np
import pytest
import torch

import equipoise as eq

from .histories import play, random_history


def softmax(scores: np.ndarray) -> np.ndarray:
    powers = np.exp(scores - scores.max())
    return powers / powers.sum()


@pytest.mark.parametrize(
    ("alpha", "rho", "T"), [(0.999, 0.999, 1.0), (0.6, 0.4, 0.3), (0.0, 0.5, 1.0), (1.0, 0.0, 2.0)]
)
def test_a_history_equals_the_formula_written_out(alpha, rho, T):
    history = np.array(random_history(20, 3))
    weights = np.full(3, 1 / 3)
    for number, weighed in enumerate(play(eq.ReLoBRaLo(alpha, rho, T, seed=4), history.tolist())):
        keep = np.random.default_rng([4, number]).random() < rho
        now, first, last = history[number], history[0], history[max(number - 1, 0)]
        looked = weights if keep else softmax(now / (T * first))
        weights = alpha * looked + (1 - alpha) * softmax(now / (T * last))
        assert weighed.weights.numpy() == pytest.approx(weights, rel=1e-9)


def test_present_tasks_share_what_they_had_and_absent_ones_keep_theirs():
    played = play(
        eq.ReLoBRaLo(alpha=0.5, rho=0.5), random_history(4, 4), presents=[(0, 1, 2, 3), (0, 1), (1, 3), (0, 1, 2, 3)]
    )
    for weighed in played:
        assert float(weighed.state["weights"].sum()) == pytest.approx(1.0, abs=1e-12)
        assert float(weighed.weights.sum()) == pytest.approx(1.0, abs=1e-12)
    assert torch.equal(played[1].state["weights"][2:], played[0].state["weights"][2:])


def test_zero_first_losses_and_enormous_ratios_are_no_nan():
    last = play(eq.ReLoBRaLo(alpha=0.0, rho=0.0, T=0.01), [[0.0, 1e-300, 1e-300], [1.0, 1e300, 1e300]])[-1]
    assert last.weights.tolist() == pytest.approx([0.0, 0.5, 0.5])
