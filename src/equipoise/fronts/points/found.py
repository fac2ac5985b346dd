"""What a search for points brings back, and what is said of each."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from ...core.numbers import Array
from ...core.tasks import Bounds, Preference, Ray
from ..sets.criteria import Scale
from ..unmet import unmet
from .wishes import Wishes

__all__ = ["FoundPoints", "judged"]

_MET = 0.01
"""A limit missed by at most this share of it counts as met."""


@dataclass(frozen=True, eq=False)
class FoundPoints:
    """One point for each preference.

    Attributes:
        tasks: Names of the k losses.
        preferences: K, as given.
        losses: (K, k) losses of the points.
        parameters: (K, n), float64, on the CPU.
        statuses: K: ``ok``, or a sentence: ``infeasible: ...`` with the miss and the task, the angle to a ray, or
            by how much a reference is not reached.
        misses: (K,) largest excess over a limit, in the unit of its loss; 0 where there is none.
        steps: Number of steps, each for all points.
    """

    tasks: tuple[str, ...]
    preferences: tuple[Preference, ...]
    losses: Array
    parameters: Array
    statuses: tuple[str, ...]
    misses: Array
    steps: int


def judged(wishes: Wishes, losses: Array, scale: Scale, tasks: tuple[str, ...]) -> dict[str, Any]:
    """What follows from the losses (K, k) of the first K wishes: fields of `FoundPoints`."""
    over = [np.maximum(found - wishes.limits(row), 0.0) for row, found in enumerate(losses)]
    wanted = wishes.preferences[: len(losses)]
    return {
        "tasks": tasks,
        "preferences": wanted,
        "losses": losses,
        "statuses": tuple(_status(wish, losses[row], over[row], scale, tasks) for row, wish in enumerate(wanted)),
        "misses": np.array([miss.max() for miss in over]),
    }


def _status(wish: Preference, losses: Array, over: Array, scale: Scale, tasks: tuple[str, ...]) -> str:
    """``ok``, or what is not: limits that are missed, with the miss in the unit of the loss; see `unmet`."""
    if isinstance(wish, Bounds):
        limits = dict(wish.limits)
        missed = [
            f"{name!r} is {losses[i]:.6g}, {over[i]:.3g} above its limit {limits[name]:.6g}"
            for i, name in enumerate(tasks)
            if name in limits and over[i] > _MET * (abs(limits[name]) or float(scale.size[i]))
        ]
        return f"infeasible: no point found meets all limits; {'; '.join(missed)}" if missed else "ok"
    left = unmet(wish, losses, scale.size, tasks)
    if left and isinstance(wish, Ray):
        return f"{left}: it may miss the front, of which this is the nearest point found"
    return left or "ok"
