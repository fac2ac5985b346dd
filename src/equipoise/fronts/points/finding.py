"""One point of the front for each preference: rays, reference points, bounds, weights."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from ...core.numbers import Array, is_whole
from ...core.tasks import Bounds, Preference, Ray
from ...errors import PreferenceError, SettingError
from ...methods import LinearScalarization
from ...problems import BoxProblem
from ..indicators.adherence import ray_angles
from ..sets.criteria import Scale
from ..sets.search import Search
from ..sets.starting import problem_of, random_starts, refuse_constant
from .wishes import Wishes

__all__ = ["FoundPoints", "find_points"]

_MET = 0.01
"""A limit missed by at most this share of it counts as met."""
_ON_RAY = 0.5
"""Degrees between losses and ray from which the status says so."""
_LEGS = (0.0, 0.4, 0.7, 1.0)


@dataclass(frozen=True, eq=False)
class FoundPoints:
    """One point for each preference.

    Attributes:
        tasks: Names of the k losses.
        preferences: K, as given.
        losses: (K, k) losses of the points.
        parameters: (K, n), float64, on the CPU.
        statuses: K: ``ok``, or a sentence: ``infeasible: ...`` with the miss and the task, or the angle to a ray.
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


def find_points(
    problem: BoxProblem | str, preferences: Sequence[Preference], steps: int = 1000, seed: int = 0
) -> FoundPoints:
    r"""The point of the front that serves each preference, all of them trained together.

    The solutions share what they see: three times on the way, and at the end, each continues from the point that serves
    it best among all points seen by any of them, and by k scouts that each lower one loss alone. What each descends is
    in `Wishes`: exponential multipliers for rays, reference points and Tchebycheff criteria, an augmented Lagrangian
    for bounds. The multipliers make a ray exact at one weighted backward pass a step.

    Args:
        problem: A name (`equipoise.problems.table`) or a problem in a box.
        preferences: K of `LinearScalarization`, `Tchebycheff`, `ReferencePoint`, `Ray`, `Bounds`, in any mix.
        steps: Number of steps, at least 10.
        seed: Seed of the starts.

    Returns:
        The points. ``problem.losses(found.parameters)`` equals ``found.losses``.

    Raises:
        PreferenceError: No preference, or one of another kind.
        TaskError: One that does not fit the tasks.
        LossError: A negative loss where a ray is asked for; a loss that does not depend on the parameters.
        NonFiniteError: A loss is NaN or infinite on the way.

    Cost:
        Per step one forward and one backward pass of K + k points and a few arrays of K k numbers: about 1.2 times a
        step of weighted sums.

    Example:
        >>> import equipoise as eq
        >>> found = find_points("quad", [eq.Ray((1, 2)), eq.Bounds({"f1": 0.04})])
        >>> found.statuses, found.losses.round(3).tolist()
        (('ok', 'ok'), [[0.172, 0.343], [0.04, 0.64]])
    """
    chosen = problem_of(problem)
    wanted = (preferences,) if isinstance(preferences, Preference) else tuple(preferences)
    if not wanted:
        raise PreferenceError("`preferences` must hold at least one; found none.")
    if not (is_whole(steps, least=10) and is_whole(seed)):
        raise SettingError(
            f"`steps` must be a whole number of at least 10, `seed` of at least 0; got steps={steps!r}, seed={seed!r}."
        )
    scale = Scale(chosen.count, chosen.reference)
    # one solution more for each loss alone: so the ideal, and with it every unit, does not depend on the other wishes
    scouts = [LinearScalarization(row) for row in np.eye(chosen.count).tolist()]
    wishes = Wishes([*wanted, *scouts], chosen.tasks, scale)
    search = Search(chosen, random_starts(chosen, len(wanted) + chosen.count, seed), steps, scale, seed)
    refuse_constant(search, chosen.tasks)
    for before, after in pairwise(_LEGS):
        search.polish(round(after * steps) - round(before * steps), wishes, before=before, after=after)
        search.choose(wishes)
    parameters = search.descent.points[: len(wanted)].numpy()
    losses = chosen.losses(parameters)
    over = [np.maximum(losses[row] - wishes.limits(row), 0.0) for row in range(len(wanted))]
    return FoundPoints(
        tasks=chosen.tasks,
        preferences=wanted,
        losses=losses,
        parameters=parameters,
        statuses=tuple(_status(wish, losses[row], over[row], scale, chosen.tasks) for row, wish in enumerate(wanted)),
        misses=np.array([miss.max() for miss in over]),
        steps=steps,
    )


def _status(wish: Preference, losses: Array, over: Array, scale: Scale, tasks: tuple[str, ...]) -> str:
    if isinstance(wish, Bounds):
        limits = dict(wish.limits)
        unmet = [
            f"{name!r} is {losses[i]:.6g}, {over[i]:.3g} above its limit {limits[name]:.6g}"
            for i, name in enumerate(tasks)
            if name in limits and over[i] > _MET * (abs(limits[name]) or float(scale.size[i]))
        ]
        return f"infeasible: no point found meets all limits; {'; '.join(unmet)}" if unmet else "ok"
    if isinstance(wish, Ray):
        angle = float(ray_angles(losses[None], np.array([_proportions(wish, tasks)]))[0])
        if angle > _ON_RAY:
            return f"{angle:.2g} degrees off the ray: it may miss the front, of which this is the nearest point found"
    return "ok"


def _proportions(ray: Ray, tasks: tuple[str, ...]) -> list[float]:
    named = {entry[0]: entry[1] for entry in ray.losses if isinstance(entry, tuple)}
    return [named[name] for name in tasks] if named else [float(v) for v in ray.losses if not isinstance(v, tuple)]
