"""The Tchebycheff point of a linear model where it can be computed exactly: shared width 1, and rank - 1.

Both use that a projection of rank 1 (or its complement) is one direction, whose inner products with the k tasks
have signs; with the signs given the problem is convex. What is left is a search over sign patterns, and where the
theorem's sign condition holds (Hu et al., NeurIPS 2023), the signs are known.
"""

from collections.abc import Sequence
from itertools import product

import numpy as np
from scipy.optimize import brentq, nnls

from .problem import Array, MinMax

__all__ = ["LARGEST_COMPLEMENT", "complement_one", "width_one"]

RESOLUTION = 1e-12
"""Levels (of order 1) closer than this are the same; the answer is exact to about 1e-11."""

LARGEST_COMPLEMENT = 20
"""Tasks up to which all sign patterns are compared at width rank - 1 (two halves of 10: a 1024 x 512 table)."""


def _shortest(factor: Array, bounds: Array) -> tuple[float, Array]:
    """Least ||v||^2 with factor^T v >= bounds, bounds >= 0, and v. Infinite where nothing satisfies it.

    A least-distance problem as one non-negative least squares (Lawson and Hanson, 1974, ch. 23): with residual
    rho of min ||[factor; bounds] y - e_last||, ||rho||^2 = 1 / (1 + ||v||^2).
    """
    rank = factor.shape[0]
    target = np.zeros(rank + 1)
    target[rank] = 1.0
    system = np.vstack([factor, bounds])
    pulls, _ = nnls(system, target, maxiter=30 * (factor.shape[1] + 1))
    residual = target - system @ pulls
    if residual[rank] <= 1e-14:
        return np.inf, np.zeros(rank)
    vector = -residual[:rank] / residual[rank]
    return float(vector @ vector), vector


def _demand(problem: MinMax, level: float) -> Array:
    """Least |a_i^T v| with which task i is at most at `level`."""
    return np.asarray(np.sqrt(np.maximum(problem.need - level * problem.pace, 0.0)), dtype=np.float64)


def _best_of_pattern(problem: MinMax, signs: Array, floor: float, ceiling: float) -> tuple[float, Array]:
    """Least level that a unit vector with these signs attains, between `floor` and an attainable `ceiling`."""
    signed = problem.factor * signs

    def excess(level: float) -> float:
        length, _ = _shortest(signed, _demand(problem, level))
        return float(min(length, 4.0) - 1.0)

    level = ceiling
    if excess(floor) <= 0:
        level = floor
    elif excess(ceiling) < 0:
        level = float(brentq(excess, floor, ceiling, xtol=1e-15, rtol=1e-14, maxiter=200))
    _, vector = _shortest(signed, _demand(problem, level))
    norm = float(np.linalg.norm(vector))
    if not norm > 0:  # every demand is met by nothing at all: any direction will do
        return level, problem.factor[:, 0]
    return level, np.asarray(vector / norm, dtype=np.float64)


def width_one(
    problem: MinMax, start: Array, *, signs: Sequence[int] | None = None, limit: int = 20_000
) -> tuple[Array, int, bool]:
    """Exact optimum at width 1, by branch and bound over sign patterns.

    A level t is attainable with signs s exactly when

        min { ||v||^2 : s_i a_i^T v >= sqrt(max(0, need_i - t pace_i)) for all i } <= 1,

    one least-distance problem. A node of the search gives signs to some tasks only, which can only shorten v: where it
    is already too long for a level below the best one known, all patterns below the node are cut. The next task is the
    one that v fails most. Where v fails none, its own signs are a full pattern, whose best level is found by root
    finding and becomes the one to beat; the first is that of `start` (r, 1). Where the sign condition holds, `signs`
    make the search unnecessary.

    Returns:
        Basis (r, 1), nodes visited (at most `limit`), whether the search was complete.

    Cost: One non-negative least squares (30 microseconds) a node; 2^(k-1) nodes at worst, typically below 50 at k = 7.
    """
    best = problem.worst(start)
    basis = start
    # no level below this one is attainable by any model: a task's captured share is at most 1
    floor = float(np.max(problem.levels(np.ones(problem.tasks))))
    if signs is not None:
        level, vector = _best_of_pattern(problem, np.asarray(signs, dtype=np.float64), floor, max(best, floor))
        return (vector[:, None], 1, True) if problem.worst(vector[:, None]) < best else (basis, 1, True)
    first = int(np.argmax(_demand(problem, best)))
    nodes: list[dict[int, float]] = [{first: 1.0}]
    visited = 0
    while nodes:
        if visited >= limit:
            return basis, visited, False
        pattern = nodes.pop()
        visited += 1
        goal = best - RESOLUTION
        if goal < floor:
            break
        chosen = list(pattern)
        bounds = _demand(problem, goal)
        length, vector = _shortest(problem.factor[:, chosen] * np.array([*pattern.values()]), bounds[chosen])
        if length > 1.0:
            continue
        reached = vector @ problem.factor
        lacking = bounds - np.abs(reached)
        lacking[chosen] = -np.inf
        worst = int(np.argmax(lacking))
        if lacking[worst] > 0:
            likely = 1.0 if reached[worst] >= 0 else -1.0
            nodes.append({**pattern, worst: -likely})
            nodes.append({**pattern, worst: likely})
            continue
        full = np.where(reached >= 0, 1.0, -1.0)
        full[chosen] = [*pattern.values()]
        _, vector = _best_of_pattern(problem, full, floor, goal)
        level = problem.worst(vector[:, None])
        if level < best:
            best, basis = level, vector[:, None]
        # Another completion of this node may be better still: branch on until the bound cuts it.
        rest = [i for i in range(problem.tasks) if i not in pattern]
        if rest:
            nearest = rest[int(np.argmax(lacking[rest]))]
            nodes.append({**pattern, nearest: -full[nearest]})
            nodes.append({**pattern, nearest: full[nearest]})
    return basis, visited, True


def complement_one(problem: MinMax, start: Array, *, signs: Sequence[int] | None = None) -> tuple[Array, int]:
    """Exact optimum at width r - 1 for linearly independent predictions (r = k) of up to `LARGEST_COMPLEMENT` tasks.

    P = I - u u^T leaves the residual shares (a_i^T u)^2. With C the correlations, residual shares up to z_i^2 are
    attainable exactly when the largest z^T D C^-1 D z over sign matrices D is at least 1 (a convex function on a box
    is largest at a vertex), which rises with the level: bisection, from the level of `start` (r, q). The largest over
    all signs is computed over two halves of the tasks, as a table of 2^(k/2) by 2^(k/2 - 1) entries. Where the sign
    condition holds, `signs` replace the table, for any number of tasks.

    Returns:
        Basis (r, q) and the number of levels tried.

    Cost: About 45 tables: 1 ms at k = 7, 0.2 s at k = 20.
    """
    inverse = np.linalg.inv(problem.factor.T @ problem.factor)
    inverse = (inverse + inverse.T) / 2.0
    half = (problem.tasks + 1) // 2
    if signs is None:
        left = np.array(list(product([1.0, -1.0], repeat=half)))[: 2 ** (half - 1)]
        right = np.array(list(product([1.0, -1.0], repeat=problem.tasks - half)))
    else:
        left, right = np.array([signs[:half]], dtype=np.float64), np.array([signs[half:]], dtype=np.float64)

    def largest(level: float) -> tuple[float, Array]:
        """The largest z^T D C^-1 D z, and D z."""
        # residual share allowed at this level; 0 where even perfect prediction is just enough
        box = np.sqrt(np.maximum(level * problem.pace - (problem.need - 1.0), 0.0))
        form = inverse * np.outer(box, box)
        own_left = np.einsum("si,ij,sj->s", left, form[:half, :half], left)
        own_right = np.einsum("si,ij,sj->s", right, form[half:, half:], right)
        table = own_left[:, None] + own_right[None, :] + 2.0 * (left @ form[:half, half:]) @ right.T
        row, column = divmod(int(np.argmax(table)), table.shape[1])
        return float(table[row, column]), np.concatenate([left[row], right[column]]) * box

    low = float(np.max(problem.levels(np.ones(problem.tasks))))
    high = max(problem.worst(start), low)
    tried = 0
    while high - low > RESOLUTION * 1e-2 * max(1.0, high) and tried < 80:
        middle = (low + high) / 2.0
        tried += 1
        if largest(middle)[0] >= 1.0:
            high = middle
        else:
            low = middle
    size, corner = largest(high)
    if size <= 0:
        return start, tried
    left_out = np.linalg.solve(problem.factor.T, corner / np.sqrt(size))
    kept = np.linalg.svd(left_out[:, None] / np.linalg.norm(left_out), full_matrices=True)[0][:, 1:]
    basis = np.asarray(kept, dtype=np.float64)
    return (basis, tried) if problem.worst(basis) < problem.worst(start) else (start, tried)
