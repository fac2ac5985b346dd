"""Which point of a front: under bounds, near a reference, at the knee; and what a mixture of them would give."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import moocore
import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..core.numbers import Array
from ..core.tasks import Bounds, Preference, Ray, ReferencePoint
from ..errors import listed
from ..linear.pools.pool_mixture import PoolMixture, checked_pool, mixture
from ..linear.pools.preference_lp import spread
from .unmet import unmet

__all__ = ["Choice", "choose", "knee", "nondominated", "pseudo_weights"]


@dataclass(frozen=True, eq=False)
class Choice:
    """The point of a pool that serves a preference best, beside the best mixture of the same points.

    Attributes:
        status: ``ok``; or a sentence: no single point meets the bounds or reaches the reference (by how much, which
            task), and whether a mixture does; by how much the point is off the ray, or that losses below 0 have no
            proportions.
        row: Position of the point; for bounds that no point meets, of the one that misses them least.
        name: Name of the point.
        losses: (k,) of the point.
        value: What the preference minimises, at the point; inf where it misses its bounds.
        mixture: The best mixture of the pool, with its own value: never above `value`, and on a concave part of the
            front below it. Its losses are expectations over the draw of a point.
    """

    status: str
    row: int
    name: str
    losses: Array
    value: float
    mixture: PoolMixture


def choose(
    losses: ArrayLike | Mapping[str, ArrayLike], preference: Preference, *, tasks: Sequence[str] | None = None
) -> Choice:
    """The point of a pool for a preference: "the best B with A at most 0.3" is ``Bounds({"A": 0.3}, minimise="B")``.

    Args:
        losses: (m, k) losses of m points, or a mapping from their names to their losses.
        preference: `LinearScalarization`, `Tchebycheff`, `ReferencePoint`, `Ray` or `Bounds`.
        tasks: k names; ``task0``, ``task1``, ... by default.

    Returns:
        The point and, beside it, the mixture.

    Raises:
        DataError, TaskError, PreferenceError: As `equipoise.linear.mixture`.

    Example:
        >>> import equipoise as eq
        >>> pool = {"fast": [0.0, 1.0], "middle": [0.6, 0.6], "slow": [1.0, 0.0]}
        >>> found = choose(pool, eq.Bounds({"A": 0.7}, minimise="B"), tasks=["A", "B"])
        >>> found.name, found.value, found.mixture.losses.round(2).tolist()
        ('middle', 0.6, [0.7, 0.3])
    """
    pool, names, labels = checked_pool(losses, tasks)
    found = mixture(losses, preference, tasks=tasks)
    row = found.single
    status = _left(preference, pool, row, found, names) or "ok"
    if isinstance(preference, Bounds):
        limits, _ = preference.split(names)
        over = pool - np.array(limits)
        if not np.isfinite(found.single_value):
            ranges = np.ptp(pool, axis=0)
            unit = np.where(ranges > 0, ranges, np.where(np.isfinite(limits), np.abs(limits), 1.0))
            row = int(np.argmin((over / np.where(unit > 0, unit, 1.0)).max(axis=1)))
            misses = [f"{name!r} by {over[row, i]:.3g}" for i, name in enumerate(names) if over[row, i] > 0]
            mixed = "a mixture of the points does" if found.status == "optimal" else "nor does any mixture of them"
            status = f"infeasible: no point meets all limits; the nearest misses {', '.join(misses)}; {mixed}"
    return Choice(status, row, labels[row], pool[row], found.single_value, found)


def _left(preference: Preference, pool: Array, row: int, found: PoolMixture, tasks: tuple[str, ...]) -> str:
    """What the chosen point leaves of a ray or a reference."""
    if isinstance(preference, Ray) and pool.min() < 0:
        below = listed(name for name, lowest in zip(tasks, pool.min(axis=0), strict=True) if lowest < 0)
        return f"losses of {below} fall below 0, where proportions mean nothing: use eq.ReferencePoint"
    left = unmet(preference, pool[row], spread(pool), tasks)
    if left and isinstance(preference, ReferencePoint):
        return f"{left}; {'a mixture of the points does' if found.value <= 0 else 'nor does any mixture of them'}"
    return f"the point is {left}, and no other has a lower largest loss over its proportion" if left else ""


def nondominated(losses: ArrayLike) -> NDArray[np.bool_]:
    """Which points no other dominates: (m, k) -> (m,); equal points stay together.

    Example:
        >>> nondominated([[0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]).tolist()
        [True, True, False]
    """
    pool, _, _ = checked_pool(losses, None)
    return np.asarray(moocore.is_nondominated(pool, keep_weakly=True), dtype=bool)


def knee(losses: ArrayLike) -> int:
    """Row of the knee: the non-dominated point with the smallest sum of losses in shares of their ranges.

    For two losses it is the point farthest below the line through the best points of each. Where none lies below that
    line (the front is flat or concave) there is no knee, and an end is returned.

    Args:
        losses: (m, k) losses of the points.

    Source:
        Das (1999), *On characterizing the knee of the Pareto curve*.

    Example:
        >>> knee([[0.0, 1.0], [0.2, 0.2], [1.0, 0.0], [0.9, 0.9]])
        1
    """
    pool, _, _ = checked_pool(losses, None)
    rows = np.flatnonzero(nondominated(pool))
    front = pool[rows]
    low, ranges = front.min(axis=0), np.ptp(front, axis=0)
    return int(rows[((front - low) / np.where(ranges > 0, ranges, 1.0)).sum(axis=1).argmin()])


def pseudo_weights(losses: ArrayLike) -> Array:
    r"""Where each point lies on the front, as weights: :math:`\propto (\max_i - L_i) / (\max_i - \min_i)`, sum 1.

    They describe a point; the weighted sum with these weights need not have it as its optimum.

    Args:
        losses: (m, k) losses of the points.

    Returns:
        (m, k); 1/k each where a point is worst in everything.

    Source:
        Deb (2001).

    Example:
        >>> pseudo_weights([[0.0, 1.0], [0.5, 0.5], [1.0, 0.0]]).tolist()
        [[1.0, 0.0], [0.5, 0.5], [0.0, 1.0]]
    """
    pool, _, _ = checked_pool(losses, None)
    ranges = np.ptp(pool, axis=0)
    room = (pool.max(axis=0) - pool) / np.where(ranges > 0, ranges, 1.0)
    total = room.sum(axis=1, keepdims=True)
    return np.asarray(np.where(total > 0, room / np.where(total > 0, total, 1.0), 1 / pool.shape[1]))
