"""The best mixture of trained models for a preference: which of them to serve, and how often each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...errors import DataError, TaskError, listed
from ..minmax.mixture_lp import Program, Vertex
from .preference_lp import Demand, demand_of, spread

if TYPE_CHECKING:
    from ...core.tasks import Preference

__all__ = ["PoolMixture", "checked_pool", "mixture"]

Array = NDArray[np.float64]

MET = 1e-8
"""A limit missed by less than this share of its task's range in the pool counts as met."""


@dataclass(frozen=True, eq=False)
class PoolMixture:
    """Probabilities over a pool of models, and what proves them best.

    Attributes:
        status: ``optimal``; or ``infeasible``: no mixture of the pool meets the limits, and this one misses them
            least (the largest miss, in shares of each limited task's range in the pool, is smallest).
        value: What the preference minimises, at this mixture, in its own terms; for ``infeasible`` the largest miss.
        probabilities: (m,) sum 1.
        members: Positions of the models with positive probability, the likeliest first.
        names: Their names.
        losses: (k,) expected losses.
        variance: (k,) variance of the loss over the draw of the model, sum_j a_j L_ji^2 - (sum_j a_j L_ji)^2: what a
            single user, who gets one model, may see on top of the noise of the data.
        single: Position of the best single model of the pool; of those that meet the limits, where any does.
        single_value: `value` for it; for `Bounds` that no single model meets, inf.
        least_support: Whether no mixture of fewer models is as good (proved); else a basic solution of at most k + 1.
        next_weights: (k,) non-negative, sum 1: the weighted sum to train next. A new model improves the mixture to
            first order exactly where its weighted loss is below that of the mixture; see `gain`.
        miss: 0, or for ``infeasible`` the largest miss, in shares of the range in the pool.
        farkas: (k,) for ``infeasible`` the proof: non-negative, sum 1, and every model of the pool has
            farkas . L > farkas . limits over the limited tasks; else None.
        tasks: k names.
        tied: Positions of all models that some optimal mixture may hold: their weighted loss is the least of the pool.
    """

    status: Literal["optimal", "infeasible"]
    value: float
    probabilities: Array
    members: tuple[int, ...]
    names: tuple[str, ...]
    losses: Array
    variance: Array
    single: int
    single_value: float
    least_support: bool
    next_weights: Array
    miss: float
    farkas: Array | None
    tasks: tuple[str, ...]
    tied: tuple[int, ...] = field(repr=False)

    def gain(self, losses: ArrayLike) -> float:
        """By how much a new model's weighted loss is below the mixture's, next_weights . (mixture - losses).

        Column generation with training as its oracle: train with `next_weights`; where the gain is positive, add
        the model to the pool and ask for the mixture again; where it is 0 or less for the best model that training
        finds, the pool holds the best mixture already.

        Args:
            losses: (k,) of the new model.
        """
        return float(self.next_weights @ (self.losses - np.asarray(losses, dtype=np.float64)))


def mixture(
    losses: ArrayLike | Mapping[str, ArrayLike],
    preference: Preference,
    *,
    tasks: Sequence[str] | None = None,
) -> PoolMixture:
    r"""The mixture of a pool of models that serves a preference best, exactly.

    One of the models is drawn for each request with probabilities a; the expected losses are :math:`a^\top L`, a point
    of the convex hull of the pool. So what no single model of the pool attains, and no weighted sum finds, a mixture
    of at most k + 1 may (Caratheodory). For a fixed weighted sum mixtures never help: the answer is one model.

    Losses measured on few rows are noisy, and a mixture chosen on them is optimistic by the order of
    sqrt(k log m / rows): measure the chosen one again on other rows.

    Args:
        losses: (m, k) losses of m models; or a mapping from the models' names to their (k,) losses. Any models or
            checkpoints, any architecture.
        preference: `LinearScalarization`, `Tchebycheff`, `Bounds`, `ReferencePoint` or `Ray`; formulas in
            `preferences.demand_of`.
        tasks: k names; default the columns of a data frame, else ``task0``, ``task1``, ...

    Returns:
        The mixture with the fewest members that could be found among the best ones, and the weights to train next.

    Raises:
        DataError: No model, losses not finite or of another shape.
        TaskError: Names that do not fit.
        PreferenceError: A preference of another kind.

    Cost: One linear program (HiGHS dual simplex), about 2 ms for m = 100, k = 5; up to 400 small ones where several
    mixtures are equally good.

    Example:
        >>> import equipoise as eq
        >>> pool = {"fast": [0.0, 1.0], "slow": [1.0, 0.0], "middle": [0.8, 0.8]}
        >>> best = mixture(pool, eq.Tchebycheff(ideal=None, utopia=0.0))
        >>> best.names, best.losses.tolist(), best.next_weights.tolist()
        (('fast', 'slow'), [0.5, 0.5], [0.5, 0.5])
        >>> mixture(pool, eq.Bounds({"task0": 0.2, "task1": 0.2})).status
        'infeasible'
    """
    pool, names, labels = checked_pool(losses, tasks)
    size = spread(pool)
    demand = demand_of(preference, pool, names)
    found = _solve(pool, size, demand)
    if found is None:
        return _least_miss(pool, size, demand, names, labels)
    value = found.value + demand.offset
    values = _single_values(pool, demand, size)
    single = int(np.argmin(values))
    return _result(pool, size, names, labels, found, status="optimal", value=value, single=(single, values[single]))


def checked_pool(
    losses: ArrayLike | Mapping[str, ArrayLike], tasks: Sequence[str] | None
) -> tuple[Array, tuple[str, ...], tuple[str, ...]]:
    """A pool's losses (m, k), the names of its tasks and of its models."""
    labels: tuple[str, ...] | None = None
    values: object = losses
    if isinstance(losses, Mapping):
        labels = tuple(str(name) for name in losses)
        values = list(losses.values())
    named = tasks if tasks is not None else getattr(losses, "columns", None)
    try:
        pool = np.array(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(f"losses must be numbers, one row a model and one column a task; {error}") from error
    if pool.ndim != 2 or not pool.size:
        raise DataError(f"losses must have shape (models, tasks), at least one of each; found shape {pool.shape}")
    if not np.isfinite(pool).all():
        rows = np.flatnonzero(~np.isfinite(pool).all(axis=1)).tolist()
        raise DataError(f"losses must be finite; found NaN or inf in the models at {rows[:20]}. Leave these out")
    names = tuple(f"task{i}" for i in range(pool.shape[1])) if named is None else tuple(str(name) for name in named)
    if len(names) != pool.shape[1] or len(set(names)) != len(names):
        raise TaskError(f"tasks must be {pool.shape[1]} different names, one a column; found {listed(names)}")
    return pool, names, labels or tuple(f"model{j}" for j in range(len(pool)))


def _scaled(pool: Array, size: Array, demand: Demand) -> Program:
    """The program in units of each task's range, which keeps the solver's tolerances meaningful."""
    return Program(
        losses=pool / size,
        cost=demand.cost * size,
        pace=None if demand.pace is None else demand.pace / size,
        ceiling=demand.ceiling / size,
    )


def _solve(pool: Array, size: Array, demand: Demand) -> Vertex | None:
    program = _scaled(pool, size, demand)
    if demand.limits is not None:
        missed = _misses(pool, size, demand).solve()
        assert missed is not None
        if missed.level > MET:
            return None
        # limits met to rounding are met: without this slack the solver may call them infeasible
        program = Program(program.losses, program.cost, None, program.ceiling + max(missed.level, 0.0) + 1e-10)
    return program.solve()


def _misses(pool: Array, size: Array, demand: Demand) -> Program:
    """Minimise the largest miss of the limits, in units of the ranges."""
    count = pool.shape[1]
    return Program(pool / size, np.zeros(count), np.ones(count), demand.ceiling / size)


def _least_miss(
    pool: Array, size: Array, demand: Demand, names: tuple[str, ...], labels: tuple[str, ...]
) -> PoolMixture:
    """No mixture meets the limits: the one that misses them least, and the proof."""
    found = _misses(pool, size, demand).solve()
    assert found is not None
    assert demand.limits is not None
    limited = np.isfinite(demand.limits)
    misses = ((pool - np.where(limited, demand.limits, 0.0)) / size)[:, limited].max(axis=1)
    single = int(np.argmin(misses))
    return _result(
        pool, size, names, labels, found, status="infeasible", value=found.level, single=(single, float("inf")),
        miss=found.level,
    )  # fmt: skip


def _single_values(pool: Array, demand: Demand, size: Array) -> Array:
    """(m,) the preference's criterion for each model alone; inf where it misses a limit."""
    values = pool @ demand.cost + demand.offset
    counted = np.isfinite(demand.ceiling)
    over = pool[:, counted] - demand.ceiling[counted]
    if demand.pace is not None:
        return np.asarray(values + (over / demand.pace[counted]).max(axis=1))
    if counted.any():
        values = np.where((over / size[counted]).max(axis=1) <= MET, values, np.inf)
    return np.asarray(values)


def _undominated(scaled: Array, found: Vertex) -> tuple[Array, bool]:
    """Shares as good for the preference, and no worse anywhere, with the least mean loss; whether the fewest.

    Where a task does not bind, optimal mixtures differ in it, and some are dominated by others.
    """
    if found.normal.min() > 1e-9 * found.normal.max():
        return found.shares, found.least_support
    expected = found.shares @ scaled
    even = np.full(scaled.shape[1], 1.0 / scaled.shape[1])
    better = Program(scaled, even, None, expected + 1e-10).solve()
    if better is None or even @ (better.shares @ scaled) >= even @ expected - 1e-8:
        return found.shares, found.least_support
    return better.shares, better.least_support


def _result(
    pool: Array,
    size: Array,
    names: tuple[str, ...],
    labels: tuple[str, ...],
    found: Vertex,
    *,
    status: Literal["optimal", "infeasible"],
    value: float,
    single: tuple[int, float],
    miss: float = 0.0,
) -> PoolMixture:
    shares, least = _undominated(pool / size, found)
    order = [int(j) for j in np.argsort(-shares, kind="stable") if shares[j] > 0]
    expected = shares @ pool
    normal = found.normal / size
    weights = normal / normal.sum() if normal.sum() > 0 else np.full(len(names), 1.0 / len(names))
    priced = (pool / size) @ found.normal
    tied = np.flatnonzero(priced <= priced.min() + 1e-9 * max(float(found.normal.sum()), 1e-300))
    return PoolMixture(
        status=status,
        value=value,
        probabilities=shares,
        members=tuple(order),
        names=tuple(labels[j] for j in order),
        losses=expected,
        # about the mean: the difference of squares would lose the digits of a small variance
        variance=shares @ (pool - expected) ** 2,
        single=single[0],
        single_value=float(single[1]),
        least_support=least,
        next_weights=weights,
        miss=miss,
        farkas=weights if status == "infeasible" else None,
        tasks=names,
        tied=tuple(int(j) for j in tied),
    )
