"""Descent over projections of fixed rank: from a start to a local optimum of the worst level, to machine precision.

A projection near U (r, q) is written as the span of U + V K, V an orthonormal basis of the complement and K (r - q, q)
free, with inverse (U + V K)^T (U + V K) in between where orthonormality is needed. All derivatives are exact.
"""

import warnings
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
from scipy.optimize import minimize, nnls

from .problem import Array, MinMax

__all__ = ["anneal", "chart", "complement", "multipliers", "polish", "relax", "slsqp", "smooth_descent"]

T = TypeVar("T")

TEMPERATURES = (0.1, 0.01)
"""Temperatures of the smooth worst level, in units of the levels, tried before the exact one."""

ACTIVE = 1e-7
"""Levels this close to the worst one bind."""

LARGEST_POLISH = 160
"""Unknowns up to which the exact descent is used: it solves a dense quadratic programme a step."""


def complement(basis: Array) -> Array:
    """Orthonormal basis (r, r - q) of what `basis` (r, q) leaves out.

    Example:
        >>> np.abs(complement(np.array([[1.0], [0.0]]))).tolist()
        [[0.0], [1.0]]
    """
    full = np.linalg.qr(basis, mode="complete")[0]
    return np.asarray(full[:, basis.shape[1] :], dtype=np.float64)


def _orthonormal(basis: Array) -> Array:
    return np.asarray(np.linalg.qr(basis)[0], dtype=np.float64)


def slsqp(
    objective: Callable[[Array], float],
    slope: Callable[[Array], Array],
    start: Array,
    bounds: list[tuple[float | None, float | None]],
    constraints: list[dict[str, Any]],
    *,
    iterations: int,
    tolerance: float,
) -> Array | None:
    """Where sequential quadratic programming ends (Kraft, 1988, in SciPy), or None where that is not finite.

    Its own success flag is not used: callers measure what they get.
    """
    with warnings.catch_warnings():
        # a step past the bounds is clipped to them, and said so; that is what the bounds are for
        warnings.filterwarnings("ignore", message="Values in x were outside bounds", category=RuntimeWarning)
        solve: Any = minimize  # the stubs know no list of dictionaries
        found = solve(
            objective,
            start,
            jac=slope,
            method="SLSQP",
            bounds=bounds,
            constraints=constraints,
            options={"maxiter": iterations, "ftol": tolerance},
        )
    end = np.asarray(found.x, dtype=np.float64)
    return end if bool(np.all(np.isfinite(end))) else None


def once(work: Callable[[Array], T]) -> Callable[[Array], T]:
    """The same function with its last result kept: a solver asks for the values and the slopes at a point in turn."""
    key, known = b"", None

    def asked(point: Array) -> T:
        nonlocal key, known
        if known is None or point.tobytes() != key:
            key, known = point.tobytes(), work(point)
        return known

    return asked


def chart(problem: MinMax, basis: Array, rest: Array, turn: Array) -> tuple[Array, Array]:
    """Captured shares (k,) of the span of basis + rest @ turn, and their derivative (k, (r - q) q)."""
    moved = basis + rest @ turn
    solved = np.linalg.solve(moved.T @ moved, moved.T @ problem.factor)  # (q, k)
    residual = problem.factor - moved @ solved
    captured = np.sum((moved.T @ problem.factor) * solved, axis=0)
    slope = 2.0 * np.einsum("ai,bi->iab", rest.T @ residual, solved)
    return captured, slope.reshape(problem.tasks, -1)


def smooth_descent(problem: MinMax, basis: Array, temperature: float) -> Array:
    """Minimise the smooth worst level T log sum_i exp(level_i / T) by L-BFGS from `basis`.

    It lies between the worst level and T log k above it (Lin et al., 2024, for losses in general).
    """
    rest = complement(basis)
    shape = (rest.shape[1], basis.shape[1])

    def value_and_slope(turn: Array) -> tuple[float, Array]:
        captured, slope = chart(problem, basis, rest, turn.reshape(shape))
        levels = problem.levels(captured) / temperature
        top = float(levels.max())
        shares = np.exp(levels - top)
        total = float(shares.sum())
        return temperature * (top + np.log(total)), -(shares / total / problem.pace) @ slope

    found = minimize(
        value_and_slope,
        np.zeros(shape[0] * shape[1]),
        jac=True,
        method="L-BFGS-B",
        options={"maxiter": 200, "ftol": 1e-9, "gtol": 1e-6},
    )
    return _orthonormal(basis + rest @ found.x.reshape(shape))


def anneal(problem: MinMax, basis: Array) -> tuple[Array, int]:
    """A local optimum of the worst level from `basis`: smooth descent at falling temperatures, then `polish`.

    Returns:
        Basis (r, q), never worse than the start, and the number of descents made.
    """
    moved = basis
    for temperature in TEMPERATURES:
        moved = smooth_descent(problem, moved, temperature)
    exact = basis.size - basis.shape[1] ** 2 + 2 <= LARGEST_POLISH
    if exact:
        _, bases = polish(problem, np.ones(1), moved[None])
        moved = bases[0]
    else:
        for temperature in (1e-3, 1e-4, 1e-5):
            moved = smooth_descent(problem, moved, temperature)
    return (moved if problem.worst(moved) < problem.worst(basis) else basis), len(TEMPERATURES) + 1


def polish(problem: MinMax, weights: Array, bases: Array) -> tuple[Array, Array]:
    """Local optimum of the worst level of a mixture of m projections, by sequential quadratic programming (SLSQP).

    Minimise t over shares (m,) and orthonormal bases (m, r, q), subject to level_i <= t for every task. One member is a
    single model. Returned unchanged where nothing better is found, or above `LARGEST_POLISH` unknowns.
    """
    members, rank, width = bases.shape
    cell = (rank - width) * width
    if members * (cell + 1) + 1 > LARGEST_POLISH:
        return weights, bases
    rests = [complement(basis) for basis in bases]

    @once
    def parts(point: Array) -> tuple[Array, Array]:
        """Captured shares of the mixture (k,), and their derivative (k, m + m cell)."""
        shares = point[1 : 1 + members]
        turns = point[1 + members :].reshape(members, rank - width, width)
        charts = [chart(problem, bases[j], rests[j], turns[j]) for j in range(members)]
        captured = np.array([chart[0] for chart in charts])
        slope = np.hstack([captured.T, *[shares[j] * charts[j][1] for j in range(members)]])
        return shares @ captured, slope

    def slack(point: Array) -> Array:
        return np.asarray(point[0] - problem.levels(parts(point)[0]), dtype=np.float64)

    def slack_slope(point: Array) -> Array:
        slope = parts(point)[1] / problem.pace[:, None]
        return np.hstack([np.ones((problem.tasks, 1)), slope])

    def worst(shares: Array, at: Array) -> float:
        return float(np.max(problem.levels(shares @ np.array([problem.captured(basis) for basis in at]))))

    start = np.concatenate([[worst(weights, bases)], weights, np.zeros(members * cell)])
    direction = np.zeros(len(start))
    direction[0] = 1.0
    one = np.zeros(len(start))
    one[1 : 1 + members] = 1.0
    bounds: list[tuple[float | None, float | None]] = [(None, None)]
    found = slsqp(
        lambda point: float(point[0]),
        lambda point: direction,
        start,
        bounds + [(0.0, 1.0)] * members + [(-4.0, 4.0)] * (members * cell),
        [
            {"type": "ineq", "fun": slack, "jac": slack_slope},
            {"type": "eq", "fun": lambda point: float(one @ point) - 1.0, "jac": lambda point: one},
        ],
        iterations=200,
        tolerance=1e-14,
    )
    if found is None:
        return weights, bases
    shares = np.maximum(found[1 : 1 + members], 0.0)
    turns = found[1 + members :].reshape(members, rank - width, width)
    moved = np.array([_orthonormal(bases[j] + rests[j] @ turns[j]) for j in range(members)])
    if shares.sum() <= 0 or worst(shares / shares.sum(), moved) >= start[0]:
        return weights, bases
    return shares / shares.sum(), moved


def relax(problem: MinMax, basis: Array) -> Array:
    """Lower the mean level as far as the worst level allows, by SLSQP from `basis`.

    Where the optimum of the worst level is not unique, this leaves the tasks that do not bind no worse than need be.
    Returned unchanged where nothing is gained.
    """
    rest = complement(basis)
    shape = (rest.shape[1], basis.shape[1])
    if shape[0] * shape[1] > LARGEST_POLISH:
        return basis
    ceiling = problem.worst(basis)

    @once
    def at(turn: Array) -> tuple[Array, Array]:
        captured, slope = chart(problem, basis, rest, turn.reshape(shape))
        return problem.levels(captured), -slope / problem.pace[:, None]

    found = slsqp(
        lambda turn: float(np.mean(at(turn)[0])),
        lambda turn: np.asarray(np.mean(at(turn)[1], axis=0), dtype=np.float64),
        np.zeros(shape[0] * shape[1]),
        [(-4.0, 4.0)] * (shape[0] * shape[1]),
        [{"type": "ineq", "fun": lambda turn: ceiling - at(turn)[0], "jac": lambda turn: -at(turn)[1]}],
        iterations=100,
        tolerance=1e-12,
    )
    if found is None:
        return basis
    moved = _orthonormal(basis + rest @ found.reshape(shape))
    before, after = problem.levels(problem.captured(basis)), problem.levels(problem.captured(moved))
    gained = after.mean() < before.mean() - 1e-9 and after.max() <= ceiling + 1e-13
    return moved if gained else basis


def multipliers(problem: MinMax, weights: Array, bases: Array) -> Array:
    """Weights (k,) >= 0 for which the members come nearest to being optimal, w.pace = 1.

    Members of an optimal mixture are all spanned by top eigenvectors of A diag(w) A^T and have one value: linear
    equations in w, solved in least squares over the tasks whose level is within `ACTIVE` of the worst one.
    Their `MinMax.bound` proves how good the mixture is.
    """
    captured = np.array([problem.captured(basis) for basis in bases])
    levels = problem.levels(weights @ captured)
    at_worst = levels >= levels.max() - ACTIVE
    rows = []
    for basis in bases:
        inner = basis.T @ problem.factor
        outer = problem.factor - basis @ inner
        rows.append(np.einsum("ai,bi->abi", outer, inner).reshape(-1, problem.tasks))
    rows.extend([(captured[j] - captured[0])[None] for j in range(1, len(bases))])
    system = np.vstack([np.vstack(rows) / problem.pace, np.ones(problem.tasks)])[:, at_worst]
    target = np.zeros(len(system))
    target[-1] = 1.0
    found, _ = nnls(system, target)
    result = np.zeros(problem.tasks)
    result[at_worst] = found
    result /= problem.pace
    total = float(result @ problem.pace)
    return np.asarray(result / total if total > 0 else np.ones(problem.tasks) / problem.pace.sum(), dtype=np.float64)
