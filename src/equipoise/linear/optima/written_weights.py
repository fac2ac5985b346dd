"""Weights for the user: few decimals, and checked exactly as they are written.

The best weights found often lie where two eigenvalues meet: there the optimum is a set, and a training run
ends at an arbitrary member of it. So the user gets another vector near by, whose optimum is unique, and the losses
that are shown with it are its own.
"""

import numpy as np

from ..minmax.problem import Array, Index, MinMax
from .weighted_sum import TIE

__all__ = ["MOST_DIGITS", "SAME", "WITHIN", "optima", "written_weights"]

WITHIN = 0.01
"""Rounded weights must keep the worst loss this close, in units of `scale`."""

SAME = 5e-4
"""Written weights come this close to the best ones found, where up to `MOST_DIGITS` decimals allow it."""

MOST_DIGITS = 9

APART = 1e-6
"""Least relative eigengap of written weights: with it their optimum can be recomputed to 6 digits."""

STEPS, REACH = 120, (1.0, 3.0, 10.0)
"""Neighbours of rounded weights tried at each length (in units of the last decimal); fewer above ten tasks."""

MOST_WORK = 2e8
"""Eigen-decompositions times tasks^3 after which weights within `WITHIN` are good enough."""


def optima(problem: MinMax, weights: Array, apart: float = TIE) -> Array:
    """Worst levels (n,) of the optima of n weight vectors (n, k); infinite where the eigengap is below `apart`."""
    energies = np.einsum("ai,ni,bi->nab", problem.factor, weights, problem.factor)
    values, vectors = np.linalg.eigh(energies)
    top = vectors[:, :, -problem.width :]
    captured = np.sum(np.einsum("nra,ri->nai", top, problem.factor) ** 2, axis=1)
    gap = (values[:, -problem.width] - values[:, -problem.width - 1]) / values[:, -1]
    return np.where(gap > apart, problem.levels(captured).max(axis=1), np.inf)


def written_weights(
    problem: MinMax, near: Array, index: Index, shares: Array, level: float, best: float, seed: int
) -> tuple[Array | None, int | None, int]:
    """Weights for the user: few decimals, sum 1 as written, and a worst loss near `best`.

    Neighbours of the first row of `near` (n, k) are tried, weights of all tasks of sum 1, and the other rows rounded.
    `problem` is over the tasks at `index`, its levels are in units of `level`, and weights of the losses times `shares`
    are weights of the captured shares.

    Returns:
        The weights, or None; the least number of decimals that come within `WITHIN`, or None; the number of
        eigen-decompositions.
    """
    steps, solves = _steps(near.shape[1], seed), 0
    nearest, weights, needed = np.inf, None, None
    for digits in range(1, MOST_DIGITS + 1):
        whole = 10**digits
        # neighbours of the weights found, of the best written so far and of what lies between them: at a tie the side
        # from which weights come matters, and then how near; last the other rows as they are, rounded
        centres = near[:1] if weights is None else np.vstack([near[:1], weights, 0.9 * near[0] + 0.1 * weights])
        around = [_rounded(centre[None] * whole, whole) + steps for centre in centres]
        grid = np.vstack([*around, _rounded(near[1:] * whole, whole)])
        zeros = (grid == 0).sum(axis=1)
        grid = grid[(grid.min(axis=1) >= 0) & (10 * grid.max(axis=1) > zeros) & (grid[:, index].max(axis=1) > 0)]
        if not len(grid):
            continue
        # a weight that rounds to 0 must do as 0 and as something small: then it is right to this many digits
        small = np.where(grid == 0, 1, 10 * grid)
        small[np.arange(len(grid)), grid.argmax(axis=1)] -= (grid == 0).sum(axis=1)
        levels = np.zeros(len(grid))
        for tried in (grid, small):
            inner = tried[:, index] * shares
            levels = np.maximum(levels, level * optima(problem, inner / inner.sum(axis=1, keepdims=True), APART))
            solves += len(grid)
            if not (grid == 0).any():
                break
        first = int(np.argmin(levels))
        if levels[first] > best + WITHIN:
            continue
        needed = needed or digits
        if levels[first] < nearest:
            nearest, weights = float(levels[first]), small[first] / (10.0 * whole)
        if nearest <= best + SAME or solves * near.shape[1] ** 3 > MOST_WORK:
            break
    return weights, needed, solves


def _steps(tasks: int, seed: int) -> Array:
    """Whole-number steps (n, k) of sum 0: none at all, then short and long ones in random directions."""
    count = min(STEPS, max(10 * STEPS // tasks, 4))
    drawn = np.random.default_rng(seed).normal(size=(len(REACH), count, tasks)) * np.array(REACH)[:, None, None]
    drawn = (drawn - drawn.mean(axis=-1, keepdims=True)).reshape(-1, tasks)
    return np.vstack([np.zeros((1, tasks)), _rounded(drawn, 0)])


def _rounded(values: Array, total: int) -> Array:
    """Rows of sum `total`, rounded to whole numbers of the same sum: the largest remainders are rounded up."""
    down = np.floor(values)
    order = np.argsort(np.argsort(down - values, axis=1, kind="stable"), axis=1)
    missing = np.rint(total - down.sum(axis=1, keepdims=True))
    return np.asarray(down + (order < missing), dtype=np.float64)
