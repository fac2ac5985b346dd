"""Inverse fluctuations."""

import numpy as np
import pytest

import equipoise as eq

from .histories import play, random_history


def test_a_history_equals_the_formula_written_out():
    history = np.array(random_history(30, 3))
    for number, weighed in enumerate(play(eq.SLAW(beta=0.8), history.tolist())):
        ages = 0.8 ** np.arange(number, -1, -1.0)[:, None]
        seen = history[: number + 1]
        first, second = ((ages * seen**power).sum(0) / ages.sum() for power in (1, 2))
        wanted = np.full(3, 1 / 3)
        if number:
            spread = np.maximum(np.sqrt(second - first**2), 1e-5 * first)
            wanted = (1 / spread) / (1 / spread).sum()
        assert weighed.weights.numpy() == pytest.approx(wanted, rel=1e-6)


def test_slow_losses_keep_their_digits_where_the_difference_of_squares_loses_them():
    drift = 1e-9 * np.arange(50)
    history = np.stack([1.0 + drift, 1.0 + 3 * drift], axis=1).tolist()
    weights = play(eq.SLAW(beta=0.9, floor=0.0), history)[-1].weights
    assert float(weights[0] / weights[1]) == pytest.approx(3.0, rel=1e-5)


def test_the_estimate_follows_the_gradient_norms_of_a_random_walk():
    # steps of one size in all directions move loss i by about |g_i|: weights come near 1/|g_i|
    draw = np.random.default_rng(0)
    gradients = np.array([[3.0, 0.0, 4.0], [0.5, 0.5, 0.5], [0.0, 10.0, 0.0]])
    walk = 100 + (1e-3 * draw.normal(size=(4000, 3))) @ gradients.T
    found = play(eq.SLAW(beta=0.999, floor=0.0), walk.tolist())[-1].weights.numpy()
    wanted = 1 / np.linalg.norm(gradients, axis=1)
    assert found == pytest.approx(wanted / wanted.sum(), rel=0.1)


def test_the_floor_bounds_the_weight_of_a_loss_that_stands_still_and_zero_has_an_equal_share():
    still = play(eq.SLAW(floor=1e-2, beta=0.5), [[1.0, 4.0], [1.0, 2.0], [1.0, 3.0]])[-1]
    assert 0.9 < float(still.weights[0]) < 1.0
    dead = play(eq.SLAW(), [[0.0, 4.0], [0.0, 2.0], [0.0, 3.0]])[-1]
    assert dead.weights.tolist() == [0.5, 0.5]
