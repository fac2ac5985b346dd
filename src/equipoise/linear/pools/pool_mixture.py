"""The best mixture of trained models for a preference: which of them to serve, and how often each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import ArrayLike

from ...core.numbers import Array
from ...errors import DataError, TaskError, listed
from .pool_optimum import Best, best_of
from .preference_lp import Demand, demand_of

if TYPE_CHECKING:
    from ...core.tasks import Preference

__all__ = ["PoolMixture", "checked_pool", "mixture"]


@dataclass(frozen=True, eq=False)
class PoolMixture:
    """Probabilities over a pool of models, and the proof that they are the best ones.

    Attributes:
        status: ``optimal``; or ``infeasible``: no mixture of the pool meets the limits, and this one misses them
            least (the largest miss, in shares of each limited task's range in the pool, is smallest).
        value: Value that the preference minimises, in its own terms, computed at this mixture; for ``infeasible`` the
            largest miss.
        probabilities: Probabilities of the members, (m,), sum 1.
        members: Positions of the models with positive probability, the likeliest first.
        names: Names of the members.
        losses: Expected losses of the mixture, (k,).
        variance: (k,) variance of the loss over the draw of the model, sum_j a_j L_ji^2 - (sum_j a_j L_ji)^2: what a
            single user, who gets one model, may see on top of the noise of the data.
        single: Position of the best single model of the pool; of those that meet the limits, where any does.
        single_value: `value` for it; for `Bounds` that no single model meets, inf.
        least_support: Whether no mixture of fewer models is as good (proved); else a basic solution of at most k + 1.
        next_weights: (k,) non-negative, sum 1: the weighted sum to train next. A new model improves the mixture to
            first order exactly where its weighted loss is below that of the mixture; see `gain`.
        miss: 0, or for ``infeasible`` the largest miss, in shares of the range in the pool.
        farkas: Proof for ``infeasible``, (k,): non-negative, sum 1, and every model of the pool has farkas . L > farkas
            . limits over the limited tasks; else None.
        tasks: Names of the k tasks.
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
            losses: Losses of the new model, (k,).
        """
        return float(self.next_weights @ (self.losses - np.asarray(losses, dtype=np.float64)))


def mixture(
    losses: ArrayLike | Mapping[str, ArrayLike], preference: Preference, *, tasks: Sequence[str] | None = None
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
    demand = demand_of(preference, pool, names)
    if demand.limits is None or demand.unit is None:
        return _result(pool, names, labels, demand, best_of(pool, demand))
    # how far the limits are missed at best, in units of each task's range
    misses = Demand(np.zeros(len(names)), demand.unit, demand.limits)
    least = best_of(pool, misses)
    if not demand.met((least.shares @ pool)[None])[0]:
        return _result(pool, names, labels, misses, least, miss=least.value)
    # limits met to rounding are met: without this slack the solver may call them infeasible
    met = replace(demand, ceiling=demand.ceiling + (max(least.value, 0.0) + 1e-10) * demand.unit)
    return _result(pool, names, labels, met, best_of(pool, met))


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


def _result(
    pool: Array, names: tuple[str, ...], labels: tuple[str, ...], demand: Demand, found: Best, miss: float = 0.0
) -> PoolMixture:
    values = demand.criterion(pool)
    single = int(np.argmin(values))
    order = [int(j) for j in np.argsort(-found.shares, kind="stable") if found.shares[j] > 0]
    expected = found.shares @ pool
    total = float(found.normal.sum())
    weights = found.normal / total if total > 0 else np.full(len(names), 1.0 / len(names))
    return PoolMixture(
        status="infeasible" if miss else "optimal",
        value=found.value,
        probabilities=found.shares,
        members=tuple(order),
        names=tuple(labels[j] for j in order),
        losses=expected,
        # about the mean: the difference of squares would lose the digits of a small variance
        variance=found.shares @ (pool - expected) ** 2,
        single=single,
        single_value=float("inf") if miss else float(values[single]),
        least_support=found.least_support,
        next_weights=weights,
        miss=miss,
        farkas=weights if miss else None,
        tasks=names,
        tied=found.tied,
    )
