"""Random orders in which each task visits the others, for `PCGrad` and `GradVac`."""

import numpy as np
from numpy.typing import NDArray

__all__ = ["visits"]


def visits(generator: np.random.Generator, k: int) -> NDArray[np.intp]:
    """Every task visits all the others once, each in a random order of its own.

    Args:
        generator: Source of randomness; its state advances.
        k: Number of tasks.

    Returns:
        (k - 1, k): entry (v, i) is the task that i visits at its v-th turn. The tasks' turns do not touch each other,
        so that a row can be worked off at once.

    Example:
        >>> visits(np.random.default_rng(0), 2)
        array([[1, 0]])
    """
    rows = np.arange(k)
    orders = [generator.permutation(np.delete(rows, i)) for i in rows]
    return np.array(orders, dtype=np.intp).reshape(k, k - 1).T
