"""The best mixture of a pool for a demand, solved in the demand's own units and checked in those of the pool.

A pool may hold losses of 1e-9 beside losses of 1, and a task whose losses differ by 1e-6 of their size. The tolerances
of a linear program are absolute, so it is put in units of what it decides: for a criterion max_i (L_i - c_i) / pace_i
in shares of the distance between its proven lower end max_i min_j and the best single model.
"""

from dataclasses import dataclass

import numpy as np

from ...core.numbers import Array
from ...errors import EquipoiseError
from ..minmax.mixture_lp import Program, Vertex
from .preference_lp import Demand, spread

__all__ = ["Best", "best_of"]

LOOSE = 1e-6
"""Distance from the proven lower end, in the units of the program, from which a solution is an error."""


@dataclass(frozen=True, eq=False)
class Best:
    """The best mixture of a pool."""

    shares: Array  # probabilities of the models, (m,)
    value: float  # the demand's criterion at this mixture
    normal: Array  # (k,) weights of the losses that prove it
    least_support: bool  # whether no optimal mixture of fewer models exists (proved)
    tied: tuple[int, ...]  # positions of all models that some optimal mixture may hold


def best_of(pool: Array, demand: Demand) -> Best:
    """The mixture of a pool of losses (m, k) that is best for a demand which some mixture meets.

    Raises:
        EquipoiseError: The solver's answer is not the optimum, or none: our error.
    """
    low, unit, step, start = _units(pool, demand)
    program = Program(
        losses=(pool - low) / unit,
        cost=demand.cost * unit / step,
        pace=None if demand.pace is None else np.where(demand.pace > 0, demand.pace * step / unit, 0.0),
        ceiling=(demand.ceiling + (0.0 if demand.pace is None else demand.pace * start) - low) / unit,
        floor=None if demand.pace is None else -1.0,
    )
    found = program.solve()
    if found is None:
        raise EquipoiseError("a linear program that has solutions was called infeasible: this is our error")
    _check(program, found)
    shares, least = _undominated(pool, demand, found, step)
    value = float(demand.criterion((shares @ pool)[None])[0])
    alone = demand.criterion(pool)
    single = int(np.argmin(alone))
    same = 1e-9 * min(step, max(abs(float(alone[single])), 1e-12 * step))
    if alone[single] < value - same:  # the solver's rounding is in units of the whole range of the pool
        shares, least, value = np.eye(len(pool))[single], True, float(alone[single])
    priced = program.losses @ found.normal
    tied = np.flatnonzero(priced <= priced.min() + 1e-9 * max(float(found.normal.sum()), 1e-300))
    return Best(shares, value, found.normal / unit, least, tuple(int(j) for j in tied))


def _check(program: Program, found: Vertex) -> None:
    """Refuse an answer that its own dual prices do not prove, to `LOOSE` of the program's units.

    Where losses are so large in these units that float64 holds them less precisely, it is to their rounding.
    """
    expected, prices = found.shares @ program.losses, np.maximum(found.normal - program.cost, 0.0)
    rows = np.isfinite(program.ceiling)
    value, size = float(expected @ program.cost), float(np.abs(expected) @ np.abs(program.cost))
    if program.pace is not None:
        prices = prices / float(prices @ program.pace)
        value += float(((expected - program.ceiling)[rows] / program.pace[rows]).max())
        size += float(((np.abs(expected) + np.abs(program.ceiling))[rows] / program.pace[rows]).max())
    paid = float(prices[rows] @ program.ceiling[rows])
    lower = float((program.losses @ (program.cost + prices)).min()) - paid
    if not value - lower <= LOOSE * max(1.0, abs(value)) + float(np.finfo(np.float64).eps) * size:
        raise EquipoiseError(
            f"the linear program of a mixture ended {value - lower:.3g} above its proven lower end, in units of what "
            "it decides: this is our error. Leave out models whose losses are many powers of 10 above the others'"
        )


def _units(pool: Array, demand: Demand) -> tuple[Array, Array, float, float]:
    """Origin and unit of each task, unit of the criterion, and its origin."""
    low, unit = pool.min(axis=0), spread(pool, demand.ceiling)
    if demand.pace is None:
        size = float(np.abs(demand.cost) @ unit)
        return low, unit, size if size > 0 else 1.0, 0.0
    counted = np.isfinite(demand.ceiling)
    pace = demand.pace[counted]
    levels = (pool[:, counted] - demand.ceiling[counted]) / pace
    start = float(levels.min(axis=0).max())
    step = float(levels.max(axis=1).min()) - start
    if not step > 1e-12 * max(float(np.abs(levels).max()), abs(start)):  # one model is as good as any mixture
        step = float(np.ptp(levels, axis=0).max()) or abs(start) or 1.0
    unit = unit.copy()
    unit[counted] = pace * step
    return low, unit, step, start


def _undominated(pool: Array, demand: Demand, found: Vertex, step: float) -> tuple[Array, bool]:
    """Shares as good for the preference, and no worse anywhere, with the least mean loss; whether the fewest.

    Where a task does not bind, optimal mixtures differ in it, and some are dominated by others.
    """
    if found.normal.min() > 1e-9 * found.normal.max():
        return found.shares, found.least_support
    scaled = (pool - pool.min(axis=0)) / spread(pool)
    expected = found.shares @ scaled
    even = np.full(scaled.shape[1], 1.0 / scaled.shape[1])
    better = Program(scaled, even, None, expected + 1e-10).solve()
    if better is None or even @ (better.shares @ scaled) >= even @ expected - 1e-8:
        return found.shares, found.least_support
    before, after = demand.criterion(np.array([found.shares @ pool, better.shares @ pool]))
    if after > before + 1e-9 * step:  # a task whose range in the pool is large beside what is decided
        return found.shares, found.least_support
    return better.shares, better.least_support
