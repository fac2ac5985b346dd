"""Can some weights reach this trade-off? If none can: by how much does a mixture of models improve on it?"""

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...core.numbers import Array
from ...errors import SettingError
from ..minmax.mixture_lp import Program
from ..optima.minimal_mixture import ahead_of, mixture_ahead
from ..optima.weighted_sum import optimum
from ..problem.gramian import checked_gramian, checked_vector, checked_width, correlations

__all__ = ["Reach", "SupportPool", "reach", "reach_with"]

ReachStatus = Literal["reachable", "unreachable", "undetermined", "outside"]

_GAP = 0.1
"""The bounds are brought together to this share of the tolerance."""

_SOLVER = 1e-10

_ROUNDING = 1e-9
"""Captured energies may be this much below 0, in units of the largest of the Gramian."""

LARGEST_GENERATION = 10
"""Tasks up to which columns are generated; beyond, their number grows too fast and the central path is followed."""


@dataclass(frozen=True, eq=False)
class Reach:
    """Two bounds on how far a mixture of models of this width is ahead of a point, and their witnesses.

    Attributes:
        lower: Proven by `mixture`: captured energies of the mixture are at least `captured` + lower *
            direction.
        upper: Proven by `weights`: no mixture is further ahead.
        status: ``reachable``: some weights have this point among their optima (upper <= tolerance);
            ``unreachable``: none has, and the mixture improves every task at once (lower > tolerance);
            ``outside``: not even mixtures attain it (upper < -tolerance); else ``undetermined``.
        weights: (k,) w >= 0 with w . direction = 1: the supporting weights if reachable, else separating
            ones.
        mixture: (m,) probabilities of the mixture's models, all positive, sum 1.
        members: (m, k) captured energies of these models, and
        member_weights: (m, k) the weights whose optimum each is; beyond 10 tasks all are optima, to the bounds'
            distance, of `weights`.
        iterations: Eigendecompositions made, or Newton steps beyond 10 tasks.
        tolerance: Tolerance of the status, in units of `direction`.
    """

    lower: float
    upper: float
    status: ReachStatus
    weights: Array
    mixture: Array
    members: Array
    member_weights: Array
    iterations: int
    tolerance: float

    @property
    def reachable(self) -> bool | None:
        """Whether some weights have the point among their optima; None where undetermined."""
        return None if self.status == "undetermined" else self.status == "reachable"


@dataclass(eq=False)
class SupportPool:
    """Scalarized optima of one Gramian and width, kept for many questions about the same feasible set."""

    gramian: Array
    width: int
    weights: list[Array] = field(default_factory=list)
    captured: list[Array] = field(default_factory=list)

    def add(self, weights: Array) -> tuple[Array, float]:
        """The optimum of these weights and its value; it joins the pool."""
        point = optimum(self.gramian, weights, self.width)
        self.weights.append(weights)
        self.captured.append(point.captured)
        return point.captured, point.value


def reach(
    gramian: ArrayLike,
    width: int,
    captured: ArrayLike,
    direction: ArrayLike | None = None,
    *,
    tolerance: float | None = None,
    max_iterations: int = 1000,
) -> Reach:
    """How far a mixture of models of shared width q is ahead of a point, in every task at once.

    With e(P)_i = r_i^T P r_i the captured energies (G = R^T R) and h_q the value of the weighted sum,

        delta = max { t : some P in the Fantope has e(P) >= e + t d } = min { h_q(w) - w . e : w >= 0, w . d
        = 1 };

    the Fantope (0 <= P <= I, trace P <= q) is the convex hull of the projections of rank q, so its energies
    are those of mixtures. delta = 0 exactly when some weights have e among their optimal points; delta > 0
    exactly when no weights have and a mixture improves every task by delta d_i. A dominated point can have
    delta = 0 (with a weight of 0), so this is not a test of Pareto optimality.

    Up to 10 tasks by column generation: a linear program (HiGHS dual simplex) over the optima found so far gives
    the mixture and the next weights, an eigendecomposition their optimum; 10 to 100 rounds up to k = 7, hundreds
    at k = 10. Beyond 10 tasks by an interior-point method over the Fantope (`minimal_mixture`), whose 30 to 80
    Newton steps do not grow with k; the bounds are then certified to 1e-7 or better and the mixture is small.

    Cost: 0.05 s at k = 3, 2 s at k = 10; 0.1 to 1 s at k = 12 to 60.

    Args:
        gramian: (k, k) Gramian G of the least-squares predictions.
        width: Shared width q >= 1.
        captured: (k,) e >= 0 of the point: c_i + G_ii - L_i for losses L; 0 for a task that does worse than nothing.
        direction: (k,) d > 0. Default diag(G): delta is then in shares of each task's predictable variance.
            Tasks without energy take no part in the default.
        tolerance: Values of delta up to this count as 0. Default 1e-7 tr(G) / sum(d): 1e-7 for the default direction.
        max_iterations: Largest number of rounds.

    Raises:
        GramianError: Not a Gramian.
        SettingError: Shapes or values out of range.

    Example:
        >>> G = [[1.0, -0.3, -0.3], [-0.3, 1.0, -0.3], [-0.3, -0.3, 1.0]]
        >>> found = reach(G, 1, [0.2, 0.2, 0.2])
        >>> found.status, round(found.lower, 6), len(found.mixture)
        ('unreachable', 0.233333, 2)
    """
    matrix, width = checked_gramian(gramian), checked_width(width)
    target = checked_vector(captured, len(matrix), "captured")
    if target.min() < -_ROUNDING * max(float(matrix.diagonal().max()), 0.0):
        raise SettingError(
            f"captured energies are squares and never negative; found {target.tolist()}. Pass c + diag(gramian) - "
            "losses, and 0 for a task whose loss is larger than that of predicting nothing"
        )
    return reach_with(SupportPool(matrix, width), captured, direction, tolerance, max_iterations)


def reach_with(
    pool: SupportPool,
    captured: ArrayLike,
    direction: ArrayLike | None = None,
    tolerance: float | None = None,
    max_iterations: int = 1000,
) -> Reach:
    """`reach` on a pool that other points have filled: optima found before are columns from the start."""
    energy = pool.gramian.diagonal()
    count = len(energy)
    target = checked_vector(captured, count, "captured")
    if direction is None:
        ahead = np.where(correlations(pool.gramian).diagonal() == 0, 0.0, energy)
    else:
        ahead = checked_vector(direction, count, "direction", positive=True)
    if max_iterations < 1:
        raise SettingError(f"max_iterations must be at least 1; found {max_iterations}. Pass for example 1000")
    active = ahead > 0
    if not active.any():
        raise SettingError("nothing can be predicted of any task: there is no trade-off to reach")
    limit = 1e-7 * float(energy.sum()) / float(ahead.sum()) if tolerance is None else float(tolerance)
    if not limit > 0:
        raise SettingError(f"tolerance must be positive; found {tolerance!r}. Leave it out for the default")
    if (target[~active] > limit * energy.max()).any():
        return _nowhere(pool, active, limit)

    if int(active.sum()) > LARGEST_GENERATION:
        found = _by_path(pool, target, ahead, limit)
        if found is not None:
            return found
    if not pool.weights:
        for weights in (*np.diag(_inverse(ahead)), _inverse(ahead)):
            if weights.any():
                pool.add(weights)
    base, scale = target[active], ahead[active]
    lower, upper, made = -np.inf, np.inf, 0
    best, shares = np.zeros(count), np.zeros(0)
    used: list[int] = []
    # an optimum found before bounds delta from above by its own weights
    for weights, energies in zip(pool.weights, pool.captured, strict=True):
        size = float(weights[active] @ scale)
        bound = float(weights[active] @ (energies[active] - base)) / size if size > 0 else np.inf
        if bound < upper and weights.min() >= 0:
            upper, best = bound, weights / size
    while made < max_iterations:
        columns = (np.array(pool.captured)[:, active] - base) / scale
        mixed = Program.least_level(-columns, _SOLVER).vertex()
        mixture, price = mixed.shares, mixed.normal / mixed.normal.sum()
        ahead_by = float((mixture @ columns).min())
        if ahead_by > lower:
            lower, used = ahead_by, np.flatnonzero(mixture).tolist()
            shares = mixture[used]
        if upper - lower <= _GAP * limit:
            break
        weights = np.zeros(count)
        weights[active] = price / scale
        energies, value = pool.add(weights)
        made += 1
        bound = value - float(weights[active] @ base)
        if bound < upper:
            upper, best = bound, weights
        # the price's own optimum is already a column: the linear program has nothing more to gain
        if (np.abs(np.array(pool.captured[:-1]) - energies).max(axis=1) <= 1e-14 * energy.max()).any():
            break
    # in exact arithmetic lower <= upper; rounding may cross them by less than the program's tolerance
    upper = max(upper, lower)
    return Reach(
        lower=lower,
        upper=upper,
        status=_status(lower, upper, limit),
        weights=best,
        mixture=shares,
        members=np.array([pool.captured[j] for j in used]),
        member_weights=np.array([pool.weights[j] for j in used]),
        iterations=made,
        tolerance=limit,
    )


def _by_path(pool: SupportPool, target: Array, direction: Array, tolerance: float) -> Reach | None:
    """The answer of the interior-point method; None where the width is at least the rank."""
    ahead = ahead_of(pool.gramian, pool.width, target, direction)
    if ahead is None:
        return None
    found = mixture_ahead(pool.gramian, ahead, direction)
    return Reach(
        lower=found.lead,
        upper=max(found.upper, found.lead),
        status=_status(found.lead, found.upper, tolerance),
        weights=found.weights,
        mixture=found.probabilities,
        members=found.captured,
        member_weights=np.tile(found.weights, (len(found.probabilities), 1)),
        iterations=found.iterations,
        tolerance=tolerance,
    )


def _status(lower: float, upper: float, tolerance: float) -> ReachStatus:
    if upper < -tolerance:
        return "outside"
    if lower > tolerance:
        return "unreachable"
    if upper <= tolerance and lower >= -tolerance:
        return "reachable"
    return "undetermined"


def _inverse(values: Array) -> Array:
    return np.divide(1.0, values, out=np.zeros_like(values), where=values > 0)


def _nowhere(pool: SupportPool, active: NDArray[np.bool_], tolerance: float) -> Reach:
    """The point asks for energy of a task that has none."""
    count = len(active)
    empty = np.zeros((0, count))
    return Reach(-np.inf, -np.inf, "outside", (~active).astype(np.float64), np.zeros(0), empty, empty, 0, tolerance)
