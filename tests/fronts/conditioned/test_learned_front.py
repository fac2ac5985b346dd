"""A network from preferences to parameters: share of the true front's volume, the box, and control."""

import numpy as np
import pytest
import torch

from equipoise.errors import PreferenceError, SettingError
from equipoise.fronts import learn_front, nondominated
from equipoise.fronts.indicators import controllability, hypervolume
from equipoise.problems import DTLZ2, ZDT2, Curved, FormulaProblem

SHARES = np.stack([np.linspace(0, 1, 100), np.linspace(1, 0, 100)], axis=1)


@pytest.mark.parametrize("problem", [ZDT2(), Curved(4)], ids=repr)
def test_a_hundred_preferences_fill_the_front(problem: FormulaProblem):
    front = learn_front(problem, steps=1200)
    losses = front.losses(SHARES)
    assert hypervolume(losses, [1.1, 1.1]) >= 0.99 * hypervolume(problem.front(20001), [1.1, 1.1])
    assert nondominated(losses).mean() >= 0.98
    assert controllability(SHARES, losses).min() >= 0.98
    parameters = front.parameters(SHARES)
    np.testing.assert_array_equal(problem.losses(parameters), losses)
    assert parameters.min() >= 0
    assert parameters.max() <= 1


def test_three_losses_and_the_same_seed():
    before = torch.get_rng_state()
    front = learn_front(DTLZ2(), steps=150, seed=3)
    assert torch.equal(torch.get_rng_state(), before)
    corners = front.losses(np.eye(3))
    assert (corners.argmin(axis=1) == np.arange(3)).all()  # all weight on a loss makes it the smallest
    assert front.losses([[1 / 3, 1 / 3, 1 / 3]])[0].max() < 0.75  # the point of equal losses is at 0.577
    np.testing.assert_array_equal(learn_front(DTLZ2(), steps=150, seed=3).losses(np.eye(3)), corners)


def test_what_cannot_be_asked_is_refused():
    front = learn_front("quad", steps=10)
    for rows, words in (([[0.5, 0.6]], "sum 1.1"), ([0.5, 0.5], "shape"), ([[1.0]], "shape"), ([[2, -1]], "negative")):
        with pytest.raises(PreferenceError, match=words):
            front.losses(rows)
    with pytest.raises(SettingError, match="steps=1, seed=-1"):
        learn_front("quad", steps=1, seed=-1)
    with pytest.raises(SettingError, match="no formula problem"):
        learn_front("zdt99")
