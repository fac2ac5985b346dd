"""Randomness as state: the numbers of step t come from a generator seeded with (seed, t).

So a run resumes to the bit, ranks agree without talking, and the global generators of PyTorch and NumPy are neither
read nor moved.
"""

import numpy as np
import torch

from ...core.numbers import is_whole
from ...errors import SettingError
from ..base import State, StateTensor

__all__ = ["RANDOM_STATE", "generator_of", "initial_random", "refuse_seed"]

RANDOM_STATE = (StateTensor("seed", task_axes=()), StateTensor("step", task_axes=()))
"""What a random method adds to its `state_tensors`."""


def initial_random(seed: int) -> State:
    """The random state before the first step."""
    return {"seed": torch.tensor(seed, dtype=torch.int64), "step": torch.zeros((), dtype=torch.int64)}


def generator_of(state: State) -> tuple[np.random.Generator, State]:
    """This step's generator, and the state with the step counted. Equal on every rank; resumes exactly.

    Example:
        >>> first, after = generator_of(initial_random(7))
        >>> again, _ = generator_of(initial_random(7))
        >>> bool(first.random() == again.random()), int(after["step"])
        (True, 1)
    """
    generator = np.random.default_rng([int(state["seed"]), int(state["step"])])
    return generator, {**state, "step": state["step"] + 1}


def refuse_seed(seed: int) -> None:
    """Raises `SettingError` unless the seed is a whole number from 0 to 2^63 - 1."""
    if not is_whole(seed) or seed >= 2**63:
        raise SettingError(f"`seed` must be a whole number from 0 to 2^63 - 1; got {seed!r}.")
