"""The best mixture of models: the worst level minimised over the Fantope, by an interior-point method.

Mixtures of rank-q projections are the symmetric matrices 0 <= P <= I of trace q (the Fantope; Overton and Womersley,
1992), so the best mixture is a small semidefinite problem:

    minimise t   subject to   t pace_i >= need_i - a_i^T P a_i  for all i,   0 <= P <= I,   trace P = q.

It is solved by following the central path of the barrier -sum_i log s_i - log det P - log det(I - P), s_i the slacks,
with exact Newton steps. In the eigenbasis of P the barrier's second derivative is diagonal, so a step costs one (r, r)
eigen-decomposition and one linear system of k + 2 unknowns. Every step gives a feasible P (upper end) and multipliers
whose dual value is a proven lower end: what is returned is certified whether or not the path was followed to its end.
We differ from column generation (a linear programme over scalarised optima) in that the number of steps does not grow
with k.

The optimum is then written as a mixture of few projections: eigenvalues within rounding of 0 or 1 are rounded, the
fractional part is reduced (Pataki, 1998) to f eigenvalues with f (f + 1) / 2 <= k, and split into at most f
projections.
"""

from dataclasses import dataclass

import numpy as np

from .grassmann import multipliers, polish
from .problem import Array, MinMax

__all__ = ["Mixture", "best_mixture"]

PATH = 1e-11
"""The path is left when the certified gap is below this (levels are of order 1)."""
SHRINK = 0.1
"""Factor between two barrier parameters: about 2 to 6 Newton steps each."""
CENTRED = 0.3
"""Newton decrement below which an iterate counts as on the path."""
ROUNDINGS = (1e-5, 1e-6, 1e-7)
"""Eigenvalues this close to 0 or 1 are rounded, the widest first whose effect on the worst level is below ROUNDED."""
ROUNDED = 1e-7
_TINY = float(np.finfo(np.float64).tiny)


@dataclass(frozen=True, eq=False)
class Mixture:
    """The best mixture of projections."""

    value: float  # worst level of the mixture below, an upper end of the optimum
    lower: float  # proven lower end of the optimum
    dual: Array  # weights (k,) >= 0 with dual.pace = 1 which prove `lower`: the normal of the supporting hyperplane
    weights: Array  # shares (m,) of the members, sum 1
    bases: Array  # members (m, r, q), orthonormal columns
    iterations: int  # number of Newton steps

    def models(self) -> list[Array]:
        """Single models (r, q) near the mixture: the top eigenvectors of its mean, then its members."""
        average = np.einsum("m,mrq,msq->rs", self.weights, self.bases, self.bases)
        return [np.linalg.eigh(average)[1][:, ::-1][:, : self.bases.shape[2]], *self.bases]


def best_mixture(problem: MinMax) -> Mixture:
    """Minimise the worst level over mixtures of projections of rank `problem.width`, which must be below the rank.

    ``value - lower`` is the certified gap, below 1e-9 as a rule (1e-7 above `LARGEST_POLISH` unknowns).

    Cost: 30 to 80 Newton steps of O(r^3 + k r^2 (r + k)): 10 ms at k = 7, 60 ms at k = 40.
    """
    matrix, dual, lower, iterations = _follow_path(problem)
    ceiling = float(np.max(problem.levels(_captured(problem, matrix))))
    best: tuple[float, Array, Array] | None = None
    for rounding in ROUNDINGS:
        weights, bases = polish(problem, *_split(problem, matrix, rounding))
        value = float(np.max(problem.levels(weights @ np.array([problem.captured(basis) for basis in bases]))))
        if best is None or value < best[0] - ROUNDED:
            best = value, weights, bases
        if value <= ceiling + ROUNDED:
            break
    assert best is not None
    refined = multipliers(problem, best[1], best[2])
    bound = problem.bound(refined)
    if bound > lower:
        lower, dual = bound, refined
    kept = best[1] > 1e-12
    return Mixture(best[0], min(lower, best[0]), dual, best[1][kept], best[2][kept], iterations)


def _captured(problem: MinMax, matrix: Array) -> Array:
    return np.asarray(np.einsum("ji,jl,li->i", problem.factor, matrix, problem.factor), dtype=np.float64)


def _follow_path(problem: MinMax) -> tuple[Array, Array, float, int]:
    """The best P seen, the best dual weights seen, their bound, and the Newton steps taken."""
    rank = problem.rank
    matrix = np.eye(rank) * (problem.width / rank)
    level = float(np.max(problem.levels(_captured(problem, matrix)))) + 0.5
    barrier = 1.0 / (2 * rank + problem.tasks)
    best_matrix, best_level = matrix, level
    best_dual, best_bound = np.ones(problem.tasks) / problem.pace.sum(), -np.inf
    iterations, stalled = 0, 0
    while best_level - best_bound > PATH and barrier > PATH * 1e-3 and stalled < 40:
        step = _newton(problem, matrix, level, barrier)
        iterations += 1
        if step is None:
            break  # rounding has used up the digits: what was seen so far is certified all the same
        matrix, level, dual, decrement = step
        bound = problem.bound(dual)
        if bound > best_bound:
            best_bound, best_dual = bound, dual / float(dual @ problem.pace)
        reached = float(np.max(problem.levels(_captured(problem, matrix))))
        if reached < best_level:
            best_level, best_matrix = reached, matrix
        stalled += 1
        if decrement < CENTRED:
            barrier *= SHRINK
            stalled = 0
    return best_matrix, best_dual, best_bound, iterations


def _newton(problem: MinMax, matrix: Array, level: float, barrier: float) -> tuple[Array, float, Array, float] | None:
    """One damped Newton step on level / barrier plus the barrier: new P, new level, multipliers, decrement.

    None where an eigenvalue or slack is lost to rounding.
    """
    tasks, rank = problem.tasks, problem.rank
    low, vectors = np.linalg.eigh(matrix)
    high = 1.0 - low
    rotated = vectors.T @ problem.factor
    squares = rotated**2
    slack = level * problem.pace - problem.need + low @ squares
    if low[0] <= 0 or high[-1] <= 0 or np.min(slack) <= 0:
        return None
    lows, highs = low[:, None] * low, high[:, None] * high
    inverse = 1.0 / (1.0 / lows + 1.0 / highs)
    spread = inverse.diagonal()
    slope = 1.0 / high - 1.0 / low
    outer = (rotated[:, None, :] * rotated).reshape(rank * rank, tasks)
    # Unknowns: multipliers times slacks (k), change of the level, multiplier of the trace.
    system = np.zeros((tasks + 2, tasks + 2))
    system[:tasks, :tasks] = (outer.T * inverse.ravel()) @ outer / (slack[:, None] * slack)
    system.flat[: (tasks + 2) * tasks : tasks + 3] += 1.0
    system[:tasks, tasks] = system[tasks, :tasks] = problem.pace / slack
    system[:tasks, tasks + 1] = system[tasks + 1, :tasks] = -(spread @ squares) / slack
    system[tasks + 1, tasks + 1] = spread.sum()
    right = np.empty(tasks + 2)
    right[:tasks] = 1.0 + ((spread * slope) @ squares) / slack
    right[tasks:] = 1.0 / barrier, -float(spread @ slope)
    scale = 1.0 / np.sqrt(np.maximum(np.abs(system.diagonal()), _TINY))
    scale[tasks] = 1.0 / np.linalg.norm(system[tasks, :tasks])
    try:
        solution = scale * np.linalg.solve(system * (scale[:, None] * scale), right * scale)
    except np.linalg.LinAlgError:
        return None
    multipliers = solution[:tasks] / slack
    change = (rotated * multipliers) @ rotated.T
    change.flat[:: rank + 1] = change.diagonal() - slope - solution[tasks + 1]
    change *= inverse
    if not np.isfinite(change).all():
        return None
    towards = problem.pace * solution[tasks] + np.einsum("ji,jl,li->i", rotated, change, rotated)
    decrement = float(np.sqrt(((towards / slack) ** 2).sum() + (change**2 / inverse).sum()))
    shrinking = -np.linalg.eigvalsh(change / np.sqrt(lows))[0]
    growing = np.linalg.eigvalsh(change / np.sqrt(highs))[-1]
    reach = max(float((-towards / slack).max()), float(shrinking), float(growing), 0.9)
    length = min(1.0, 0.9 / reach)
    moved = length * change
    moved.flat[:: rank + 1] += low
    moved = vectors @ moved @ vectors.T
    moved = (moved + moved.T) / 2.0
    moved.flat[:: rank + 1] += (problem.width - np.trace(moved)) / rank
    return moved, level + length * float(solution[tasks]), np.maximum(multipliers, 0.0), decrement


def _split(problem: MinMax, matrix: Array, rounding: float) -> tuple[Array, Array]:
    """P as shares (m,) of projections (m, r, q), m <= max(1, f)."""
    values, vectors = np.linalg.eigh(matrix)
    values, vectors = values[::-1], vectors[:, ::-1]
    whole = vectors[:, values >= 1.0 - rounding]
    inside = (values > rounding) & (values < 1.0 - rounding)
    count = problem.width - whole.shape[1]
    if count <= 0 or count >= int(inside.sum()):
        # No room for a fractional part: rounding leaves the projection on the largest eigenvalues.
        return np.ones(1), vectors[None, :, : problem.width].copy()
    shares, fractional = _reduce(problem, values[inside], vectors[:, inside], rounding)
    fixed = shares >= 1.0 - rounding
    whole = np.hstack([whole, fractional[:, fixed]])
    keep = ~fixed & (shares > rounding)
    shares, fractional = shares[keep], fractional[:, keep]
    count = problem.width - whole.shape[1]
    if count <= 0 or count >= len(shares):
        return np.ones(1), np.hstack([whole, fractional[:, : max(count, 0)]])[None, :, : problem.width]
    shares = _with_sum(shares, count)
    weights, bases, mass = [], [], 1.0
    while mass > 1e-14:
        order = np.argsort(-shares, kind="stable")
        inner, outer = order[:count], order[count:]
        share = min(float(shares[inner].min()), mass - float(shares[outer].max()))
        if share <= 1e-14:
            share = mass  # what is left is rounding
        weights.append(share)
        bases.append(np.hstack([whole, fractional[:, inner]]))
        shares[inner] -= share
        mass -= share
    total = np.array(weights)
    return total / total.sum(), np.array(bases)


def _with_sum(shares: Array, count: int) -> Array:
    """Shares in (0, 1) moved by rounding so that they sum to `count`."""
    gap = count - float(shares.sum())
    room = (1.0 - shares) if gap > 0 else shares
    return np.asarray(np.clip(shares + gap * room / float(room.sum()), 0.0, 1.0), dtype=np.float64)


def _reduce(problem: MinMax, shares: Array, vectors: Array, rounding: float) -> tuple[Array, Array]:
    """Pataki's reduction: move inside the fractional block, captured energies fixed, until it is as small as can be.

    The trace needs no equation of its own: at the optimum the dual weights combine the energies to a multiple of it.
    """
    while True:
        inside = (shares > rounding) & (shares < 1.0 - rounding)
        size = int(inside.sum())
        rows, columns = np.triu_indices(size)
        block = vectors[:, inside].T @ problem.factor
        equations = (block[rows] * block[columns] * np.where(rows == columns, 1.0, 2.0)[:, None]).T
        if size < 2:
            break
        _, singular, right = np.linalg.svd(equations)
        if int(np.sum(singular > 1e-9 * singular[0])) >= len(rows):
            break
        move = np.zeros((size, size))
        move[rows, columns] = move[columns, rows] = right[-1]
        part = shares[inside]
        pull = float(np.linalg.eigvalsh(move / np.sqrt(np.outer(part, part)))[0])
        push = float(np.linalg.eigvalsh(move / np.sqrt(np.outer(1.0 - part, 1.0 - part)))[-1])
        if abs(np.trace(move)) > 1e-4 * np.linalg.norm(move) or max(-pull, push) <= 0:
            break  # not at an optimum to working accuracy: a larger mixture is the honest answer
        values, turn = np.linalg.eigh(np.diag(part) + move / max(-pull, push))
        values[values < max(rounding, 1e-9)] = 0.0
        values[values > 1.0 - max(rounding, 1e-9)] = 1.0
        vectors, shares = vectors.copy(), shares.copy()
        vectors[:, inside] = vectors[:, inside] @ turn
        shares[inside] = values
    return shares, vectors
