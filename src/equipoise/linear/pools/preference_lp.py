"""Preferences as linear programs over the mixtures of a pool: the objective, and the limits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ...core.numbers import Array
from ...errors import PreferenceError

if TYPE_CHECKING:
    from ...core.tasks import PerTask, Preference

__all__ = ["Demand", "demand_of", "per_task", "spread"]


MET = 1e-8
"""A limit missed by less than this share of its task's range in the pool counts as met; so does one that is missed by
the rounding of the losses, which is more where they differ by 1e-8 of their size."""


@dataclass(frozen=True, eq=False)
class Demand:
    """A preference in the form of `Program`: minimise cost . losses + t with losses_i - pace_i t <= ceiling_i."""

    cost: Array
    pace: Array | None
    ceiling: Array
    offset: float = 0.0  # number added to the program's value to get the preference's own criterion
    # upper limits of the losses, (k,), inf where there are none; None unless the preference is `Bounds`
    limits: Array | None = None
    unit: Array | None = None  # units in which misses of the limits are measured, (k,); with `limits` only

    def criterion(self, losses: Array) -> Array:
        """Values of the preference's criterion, (n,), for losses (n, k); inf where limits are missed."""
        values = losses @ self.cost + self.offset
        counted = np.isfinite(self.ceiling)
        over = losses[:, counted] - self.ceiling[counted]
        if self.pace is not None:
            return np.asarray(values + (over / self.pace[counted]).max(axis=1))
        if self.unit is not None and counted.any():
            values = np.where(self.met(losses), values, np.inf)
        return np.asarray(values)

    def met(self, losses: Array) -> NDArray[np.bool_]:
        """(n,) whether losses (n, k) meet the limits, to `MET` of each unit or to the rounding of the losses."""
        assert self.unit is not None
        counted = np.isfinite(self.ceiling)
        limits = self.ceiling[counted]
        slack = MET * self.unit[counted] + 4 * np.spacing(np.abs(limits))
        return np.asarray((losses[:, counted] - limits <= slack).all(axis=1))


def spread(losses: Array, aims: Array | None = None) -> Array:
    """(k,) unit of each task: the range of its loss over the pool; where it does not vary, the size of its aim.

    Aims are limits or a reference, inf where there is nothing. Without an aim, or with one of 0, the unit is the size
    of the loss itself: no unit is absolute. 1 only where both are 0.

    Example:
        >>> spread(np.array([[0.0, 5.0], [2.0, 5.0]])).tolist()
        [2.0, 5.0]
    """
    ranges, size = np.ptp(losses, axis=0), np.abs(losses).max(axis=0)
    aimed = np.zeros(len(size)) if aims is None else np.abs(np.where(np.isfinite(aims), aims, 0.0))
    known = np.where(aimed > 0, aimed, np.where(size > 0, size, 1.0))
    return np.where(ranges > 1e-12 * size, ranges, known)


def per_task(values: PerTask, tasks: tuple[str, ...], argument: str) -> Array:
    """One number a task, by name or in task order, as (k,) float64.

    Raises:
        TaskError: Names that do not fit, or another number of them.
    """
    from ...core.tasks import Tasks  # noqa: PLC0415 - imports torch

    return np.asarray(Tasks(tasks).vector(values, argument).numpy(), dtype=np.float64)


def demand_of(preference: Preference, losses: Array, tasks: tuple[str, ...]) -> Demand:
    """The linear program of a preference.

    ========================================  =====================================================================
    ``LinearScalarization(weights)``          minimise w . L
    ``Tchebycheff(weights, ideal, ...)``      minimise max_i k w_i (L_i - z_i) + rho sum_i k w_i (L_i - z_i)
    ``Bounds(limits)``                        L_i <= limit_i; the mean of the other tasks (or of `minimise`), each over
                                              its range in the pool, as low as it goes
    ``ReferencePoint(losses)``                minimise max_i (L_i - reference_i) / range_i
    ``Ray(losses)``                           minimise max_i L_i / ray_i
    ========================================  =====================================================================

    A running ideal is the lowest loss of each task in the pool, and z = ideal - utopia |ideal|; unless asked for,
    utopia is 0 where the ideal is given. Where a task has the same loss in every model, the size of what it is compared
    with stands for its range; see `spread`.

    Raises:
        PreferenceError: Another kind.
        TaskError: Names that do not fit.
    """
    from ...core.tasks import Bounds, Ray, ReferencePoint  # noqa: PLC0415 - imports torch
    from ...methods import LinearScalarization, Tchebycheff  # noqa: PLC0415 - imports torch

    count = len(tasks)
    nothing, open_ends = np.zeros(count), np.full(count, np.inf)
    if isinstance(preference, LinearScalarization):
        weights = np.full(count, 1 / count)
        if preference.weights is not None:
            weights = per_task(preference.weights, tasks, "weights")
        return Demand(weights, None, open_ends)
    if isinstance(preference, Tchebycheff):
        return _tchebycheff(preference, losses, tasks)
    if isinstance(preference, Bounds):
        found, lowered = preference.split(tasks)
        limits, free = np.array(found), np.array(lowered)
        cost = np.where(free, 1.0 / spread(losses), 0.0) / free.sum()
        return Demand(cost, None, limits, limits=limits, unit=spread(losses, limits))
    if isinstance(preference, ReferencePoint):
        aims = per_task(preference.losses, tasks, "losses")
        return Demand(nothing, spread(losses, aims), aims)
    if isinstance(preference, Ray):
        return Demand(nothing, per_task(preference.losses, tasks, "losses"), nothing)
    kinds = "LinearScalarization, Tchebycheff, Bounds, ReferencePoint or Ray"
    raise PreferenceError(f"`preference` must be {kinds}; got {preference!r}.")


def _tchebycheff(preference: object, losses: Array, tasks: tuple[str, ...]) -> Demand:
    from ...methods import Tchebycheff  # noqa: PLC0415 - imports torch
    from ...methods.parts.ideal import utopia_shift  # noqa: PLC0415 - imports torch

    assert isinstance(preference, Tchebycheff)
    count = len(tasks)
    weights = np.full(count, 1 / count)
    if preference.weights is not None:
        weights = per_task(preference.weights, tasks, "weights")
    if preference.ideal == "running":
        ideal = losses.min(axis=0)
    elif preference.ideal is None:
        ideal = np.zeros(count)
    else:
        assert not isinstance(preference.ideal, str)
        ideal = per_task(preference.ideal, tasks, "ideal")
    utopia = ideal - utopia_shift(preference.utopia, preference.ideal) * np.abs(ideal)
    factors = weights / weights.sum() * count
    cost = preference.augmented * factors
    counted = factors > 0
    pace = np.where(counted, 1.0 / np.where(counted, factors, 1.0), 0.0)
    return Demand(cost, pace, np.where(counted, utopia, np.inf), offset=-float(cost @ utopia))
