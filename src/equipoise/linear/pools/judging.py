"""What weights do with a pool: cells of the weights' simplex up to four tasks, linear programs with more."""

from itertools import product
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linprog

from ...core.numbers import Array
from ..minmax.mixture_lp import Program
from .weight_cells import MOST_TASKS, WeightCells

__all__ = ["BELOW", "Judged", "judge", "pool_gaps"]

BELOW = 1e-9
"""A pool gap below this share of the ranges is the solver's rounding."""


class Judged(NamedTuple):
    """What weights do with each model of a pool.

    Attributes:
        gaps: (m,) how far a mixture of the pool is below each model on all tasks, in the units of the pool.
        weights: (m, k) weights of the losses that prove the gap, sum 1.
        low, high: (m, k) smallest and largest weights that pick each model; inf and -inf where none do.
        candidates: Positions of the models that some weights pick.
        to_try: Weights under which models that lie far apart tie, and their positions; empty with many tasks.
    """

    gaps: Array
    weights: Array
    low: Array
    high: Array
    candidates: NDArray[np.intp]
    to_try: tuple[tuple[Array, tuple[int, ...]], ...]


def judge(pool: Array, scale: Array) -> Judged:
    """Judge every model of a pool.

    Args:
        pool: (m, k) losses, already divided by `scale`.
        scale: (k,) their units: weights that are returned are those of the losses before the division.
    """
    if pool.shape[1] <= MOST_TASKS:
        cells = WeightCells.of(pool)
        gaps, place = cells.of_pool
        low, high = cells.ranges(scale)
        weights, to_try = cells.corners[place] / scale, tuple(cells.widest(scale))
    else:
        found = [Program.least_level(pool - row).vertex() for row in pool]
        gaps = np.array([-vertex.level for vertex in found])
        weights, to_try = np.array([vertex.normal for vertex in found]) / scale, ()
        low, high = _ranges(pool, gaps, scale)
    weights = weights / weights.sum(axis=1, keepdims=True)
    return Judged(gaps, weights, low, high, np.flatnonzero(gaps <= BELOW), to_try)


def pool_gaps(pool: Array) -> Array:
    """The gaps alone, none below 0."""
    if pool.shape[1] <= MOST_TASKS:
        return np.maximum(WeightCells.of(pool).of_pool[0], 0.0)
    return np.array([max(-Program.least_level(pool - row).vertex().level, 0.0) for row in pool])


def _ranges(pool: Array, gaps: Array, scale: Array) -> tuple[Array, Array]:
    """Smallest and largest weights that pick each model: two linear programs a task and model."""
    low, high = np.full(pool.shape, np.inf), np.full(pool.shape, -np.inf)
    for j in np.flatnonzero(gaps <= BELOW):
        above = (pool[j] - pool) * (scale / scale.max())
        for i, sign in product(range(pool.shape[1]), (1.0, -1.0)):
            cost = np.zeros(pool.shape[1])
            cost[i] = sign
            found = linprog(cost, A_ub=above, b_ub=np.full(len(pool), BELOW), A_eq=np.ones((1, len(cost))), b_eq=[1.0])
            if found.status == 0:
                (low if sign > 0 else high)[j, i] = sign * float(np.asarray(found.fun))
    return low, high
