r"""Creases: where two surfaces of sign patterns meet, which of them lie on the front, and why no weights reach those.

Let s be the signed roots of a model, s^T Q s = 1 with Q = G^-1 (see `surfaces`), and x = s^2. Flipping the signs of the
tasks in A changes s^T Q s by -4 times

.. math:: c_A(s) = \sum_{i \in A} \sum_{j \notin A} s_i Q_{ij} s_j,

so the surfaces of sigma and of D_A sigma meet exactly where c_A(s) = 0. A and its complement are the same flip: there
are 2^(k-1) - 1 of them.

**Single flips suffice for k = 3** (every A has one task, or its complement has) **and not beyond**: from k = 4 on two
neighbouring pieces of the front may differ in two tasks at once and in no fewer, for example where two tasks are nearly
the same and always flip together. So all flips are taken, up to a number of tasks where these are few.

**A crease point is out of reach of all weights**, where x > 0 and the two normals differ: a weighted sum with x among
its optima would have w as the normal of a supporting plane, both surfaces are attained near x and smooth there, so w
would be parallel to both normals. Creases on the front are therefore holes in what weights reach, and the skeleton of
them only: around each lies an open set of unreachable points, up to where the bridging plane touches the front.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...errors import SettingError
from ..minmax.problem import Array
from ..problem.gramian import checked_gramian, checked_width
from ..reachability.pareto import pareto_test
from ..reachability.reach import SupportPool, reach_with
from .surfaces import Signs, SurfaceKind, inverse_gramian, sign_patterns, surface_kind

__all__ = ["ALL_FLIPS", "Crease", "crease_points", "flips", "judge_creases"]

ALL_FLIPS = 5
"""Tasks up to which all flips are taken by default: 15 at k = 5, 511 at k = 10."""

_ENUMERATED = 12
"""Tasks up to which all sign patterns are compared before a point is judged one by one."""


@dataclass(frozen=True, eq=False)
class Crease:
    """Points where two surfaces meet that differ in the signs of some tasks.

    Attributes:
        flipped: Positions of these tasks, at most half of all.
        kind: Coordinates x of the points, named as in `Surfaces`.
        captured: (n, k) captured energies of the points.
        points: (n, k) coordinates x of the points.
        signs: Signs of one of the two surfaces, (n, k); the other has the signs of `flipped` turned.
        disagreement: (n,) angle between the two surfaces' normals, in radians; 0 where they touch smoothly.
        optimal: (n,) whether no single model improves on the point in every task; filled by `judge_creases`, else None.
        lead: (n,) delta of `reach`, in shares of diag(G), at the Pareto-optimal points, NaN elsewhere; None where
            leads were not computed.
        tolerance: Below which a lead, or an angle, counts as 0.
    """

    flipped: tuple[int, ...]
    kind: SurfaceKind
    captured: Array
    points: Array
    signs: Signs
    disagreement: Array
    optimal: NDArray[np.bool_] | None = None
    lead: Array | None = None
    tolerance: float = 1e-6

    @property
    def unreachable(self) -> NDArray[np.bool_]:
        """(n,) Pareto-optimal, and no weighted sum has the point among its optima.

        With leads: where a mixture is ahead by more than the tolerance. Without: where the normals differ by more,
        which proves it (see the module).
        """
        if self.optimal is None:
            raise SettingError("the crease was not judged: pass it through judge_creases(gramian, width, creases)")
        if self.lead is None:
            return np.asarray(self.optimal & (self.disagreement > self.tolerance))
        return np.asarray(self.optimal & (np.nan_to_num(self.lead, nan=-1.0) > self.tolerance))


def flips(tasks: int, most: int | None = None) -> tuple[tuple[int, ...], ...]:
    """The sets of tasks in whose signs two surfaces may differ, each without its complement, small ones first.

    At most `most` tasks are flipped at once; by default any number up to `ALL_FLIPS` tasks, single tasks beyond.

    Example:
        >>> flips(3), len(flips(4)), len(flips(5)), len(flips(6))
        (((0,), (1,), (2,)), 7, 15, 6)
    """
    size = (tasks // 2 if tasks <= ALL_FLIPS else 1) if most is None else min(most, tasks // 2)
    found = [chosen for count in range(1, size + 1) for chosen in combinations(range(tasks), count)]
    return tuple(chosen for chosen in found if 2 * len(chosen) < tasks or 0 in chosen)


def crease_points(
    gramian: ArrayLike, width: int, flipped: int | Sequence[int], count: int = 200, *, seed: int = 0
) -> Crease:
    """Points of the crease between all pairs of surfaces that differ in the signs of some tasks.

    With a the signed roots of the flipped tasks A and b those of the others, c_A = a^T Q_AB b = 0 says that b lies in
    the plane with normal Q_BA a, and then a^T Q_AA a + b^T Q_BB b = 1. So a is drawn, then b in its plane. For k = 3
    this is one closed curve on the unit sphere, run through at even angles (in x the planar curve Q_ij^2 x_j = Q_il^2
    x_l); for more tasks it is sampled.

    Args:
        gramian: (k, k) G of full rank, k >= 3.
        width: 1 or k - 1.
        flipped: Position of the task whose sign differs, or positions; more than half are replaced by the others.
        count: Number of points.
        seed: Seed of the samples, used for k > 3.

    Raises:
        GramianError: Not a Gramian.
        SettingError: Rank-deficient, another width, no such tasks, or tasks that are independent of all others.
    """
    matrix, width = checked_gramian(gramian), checked_width(width)
    kind, tasks = surface_kind(matrix, width), len(matrix)
    inverse = inverse_gramian(matrix)
    chosen = _chosen(flipped, tasks)
    others = np.setdiff1d(np.arange(tasks), chosen)
    if not np.any(inverse[np.ix_(np.array(chosen), others)]):
        raise SettingError(
            f"tasks {list(chosen)} are independent of all others: their two surfaces are the same"
            if len(chosen) > 1
            else f"the task at {chosen[0]} is independent of all others: its two surfaces are the same"
        )
    if tasks == 3:
        angle = np.pi * (np.arange(count) + 0.5) / count
        sphere = np.column_stack([np.cos(angle), np.sin(angle)])
    else:
        sphere = np.random.default_rng(seed).normal(size=(count, tasks - 1))
        sphere /= np.linalg.norm(sphere, axis=1, keepdims=True)
    own = np.linalg.inv(
        np.linalg.cholesky(inverse[np.ix_(np.array(chosen), np.array(chosen))])
    ).T  # the unit sphere -> a^T Q_AA a = 1
    roots = np.zeros((count, tasks))
    roots[:, chosen] = sphere[:, : len(chosen)] @ own.T
    across, within = inverse[np.ix_(others, np.array(chosen))], inverse[np.ix_(others, others)]
    for number in range(count):
        plane = np.linalg.svd((across @ roots[number, list(chosen)])[None])[2][1:].T
        back = np.linalg.inv(np.linalg.cholesky(plane.T @ within @ plane)).T
        roots[number, others] = plane @ back @ sphere[number, len(chosen) :]
    signs, _ = sign_patterns(roots)
    points = roots**2
    captured = points if kind == "captured" else np.diag(matrix) - points
    turned = roots.copy()
    turned[:, chosen] *= -1
    first, second = _normals(inverse, roots), _normals(inverse, turned)
    disagreement = np.arccos(np.clip(np.sum(first * second, axis=1), -1.0, 1.0))
    return Crease(chosen, kind, captured, points, signs, disagreement)


def _chosen(flipped: int | Sequence[int], tasks: int) -> tuple[int, ...]:
    given = (flipped,) if isinstance(flipped, int | np.integer) else tuple(flipped)
    chosen = tuple(sorted({int(task) for task in given}))
    if tasks < 3 or not 0 < len(chosen) < tasks or chosen[0] < 0 or chosen[-1] >= tasks:
        raise SettingError(
            f"the flipped tasks must be positions below the number of tasks, at least 3, and not all of them; found "
            f"{list(given)} of {tasks}"
        )
    rest = tuple(task for task in range(tasks) if task not in chosen)
    return min(chosen, rest, key=lambda part: (len(part), part))


def _normals(inverse: Array, roots: Array) -> Array:
    """Unit normals of the surfaces at the squares of signed roots; x_i = 0 is moved off 0 by rounding."""
    safe = np.where(np.abs(roots) > 1e-12, roots, 1e-12)
    slopes = (roots @ inverse) / safe
    return np.asarray(slopes / np.linalg.norm(slopes, axis=1, keepdims=True))


def judge_creases(
    gramian: ArrayLike,
    width: int,
    count: int = 60,
    *,
    most: int | None = None,
    leads: bool = True,
    tolerance: float = 1e-6,
    seed: int = 0,
) -> tuple[Crease, ...]:
    """Every crease, with which of its points are Pareto-optimal and out of reach of all weights.

    Args:
        gramian: (k, k) G of full rank, k >= 3.
        width: 1 or k - 1.
        count: Number of points on each crease.
        most: Most tasks flipped at once, as in `flips`.
        leads: Whether to compute by how much a mixture is ahead at every Pareto-optimal point; that no weights reach it
            is known without.
        tolerance: Leads below it, in shares of diag(G), and angles below it, in radians, count as 0.
        seed: Seed of the samples, used for k > 3.

    Returns:
        One crease a flip whose tasks depend on the others.

    Raises:
        GramianError, SettingError: As `crease_points`.

    Cost: A comparison of 2^(k-1) patterns a point (some 10 ms in all at k = 3, 0.1 s at k = 5); above 5 tasks and at
        width 1 5 ms for each point that it does not rule out; 3 to 20 ms for each lead.
    """
    matrix, width = checked_gramian(gramian), checked_width(width)
    inverse = inverse_gramian(matrix)
    pool = SupportPool(matrix, width)
    judged = []
    for chosen in flips(len(matrix), most):
        others = np.setdiff1d(np.arange(len(matrix)), chosen)
        if not np.any(inverse[np.ix_(np.array(chosen), others)]):
            continue
        crease = crease_points(matrix, width, chosen, count, seed=seed)
        optimal = ~_dominated(matrix, inverse, crease, tolerance)
        if len(matrix) > (ALL_FLIPS if crease.kind == "captured" else _ENUMERATED):
            for number in np.flatnonzero(optimal):
                found = pareto_test(matrix, width, crease.captured[number], tolerance=tolerance)
                optimal[number] = found.status == "optimal"
        lead = None
        if leads:
            lead = np.full(count, np.nan)
            for number in np.flatnonzero(optimal):
                lead[number] = reach_with(pool, crease.captured[number]).lower
        judged.append(replace(crease, optimal=optimal, lead=lead, tolerance=tolerance))
    return tuple(judged)


def _dominated(gramian: Array, inverse: Array, crease: Crease, tolerance: float) -> NDArray[np.bool_]:
    """(n,) points that one model beats in every task by more than the tolerance, in shares of diag(G).

    y is the point moved by the tolerance. In residuals some model is at least as good as y exactly where some f_tau(y)
    >= 1. In energies exactly where some tau has min { f_tau(x) : x >= y } <= 1: up to `ALL_FLIPS` tasks the minimum is
    taken, beyond f_tau(y) alone, and points for which that does not tell are left to be judged one by one.
    """
    tasks = len(gramian)
    if tasks > _ENUMERATED:
        return np.zeros(len(crease.points), dtype=bool)
    moved = crease.points + (tolerance if crease.kind == "captured" else -tolerance) * np.diag(gramian)
    roots = np.sqrt(np.maximum(moved, 0.0))
    numbers = np.arange(2 ** (tasks - 1))
    patterns = 1.0 - 2 * np.column_stack([0 * numbers, *(numbers >> i & 1 for i in range(tasks - 1))])
    if crease.kind == "captured" and tasks <= ALL_FLIPS:
        return np.asarray(np.min([_least(inverse * np.outer(row, row), roots) for row in patterns], axis=0) <= 1.0)
    signed = roots[:, None, :] * patterns
    values = np.sum(signed * (signed @ inverse), axis=2)
    if crease.kind == "captured":
        return np.asarray(values.min(axis=1) <= 1.0)
    return np.asarray((moved.min(axis=1) > 0) & (values.max(axis=1) >= 1.0))


def _least(form: Array, roots: Array) -> Array:
    """(n,) min { z^T form z : z >= roots } of a positive definite form: the best of the feasible stationary points.

    One for each set of coordinates that may leave their bound; the minimum is among them, and none lies below it.
    """
    tasks = len(form)
    least = np.full(len(roots), np.inf)
    for number in range(2**tasks - 1):
        free = np.array([bool(number >> i & 1) for i in range(tasks)])
        at = roots.copy()
        at[:, free] = -np.linalg.solve(form[np.ix_(free, free)], form[np.ix_(free, ~free)] @ roots[:, ~free].T).T
        value = np.sum(at * (at @ form), axis=1)
        least = np.minimum(least, np.where(np.all(at >= roots, axis=1), value, np.inf))
    return least
