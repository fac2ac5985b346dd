"""Randomness that is state."""

import numpy as np
import pytest

from equipoise.errors import SettingError
from equipoise.methods.parts.randomness import generator_of, initial_random, refuse_seed


def test_every_step_has_its_own_numbers_and_the_same_state_the_same_ones():
    state, drawn = initial_random(3), []
    for _ in range(5):
        again, _ = generator_of(state)
        generator, state = generator_of(state)
        drawn.append(generator.random())
        assert again.random() == drawn[-1]
    assert len(set(drawn)) == 5
    assert drawn == [np.random.default_rng([3, number]).random() for number in range(5)]
    assert int(state["step"]) == 5


@pytest.mark.parametrize("seed", [-1, 1.5, True, "3", 2**63])
def test_a_seed_is_a_whole_number(seed):
    with pytest.raises(SettingError, match="`seed` must be a whole number"):
        refuse_seed(seed)
