"""What a search for a set brings back."""

from dataclasses import dataclass, field
from typing import Any

import moocore
import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ...core.numbers import Array
from ...core.tasks import Preference
from ...linear.pools.pool_mixture import PoolMixture, mixture
from ...methods import Tchebycheff
from ...problems import BoxProblem
from .criteria import Scale

__all__ = ["FoundSet", "describe_set", "judged"]

_VOLUMES = 6


@dataclass(frozen=True, eq=False)
class FoundSet:
    """Points of a front, each with its parameters and the preference that it serves.

    Attributes:
        status: ``ok``, or a sentence: which points are dominated, or that none is below the reference.
        tasks: Names of the k losses.
        losses: (K, k), sorted by the first loss.
        parameters: (K, n), float64, on the CPU.
        preferences: K preferences: the `Tchebycheff` criterion whose level set has its corner at the point. A point of
            the front is its minimiser.
        dominated: (K,) whether another point of the set is at least as good in every loss.
        ideal: (k,) lowest losses seen.
        reference: (k,) reference point of the hypervolume.
        reference_given: Whether it was given (by the caller or the problem); else found in the warm start.
        hypervolume: Volume dominated below the reference, exact; None above six losses, where it takes too long.
        goal: What the set was trained for.
        steps: Number of steps, each for all points.
        seconds: Wall time of the search.
        seen: (rows, k) losses of points seen on the way that no other dominates: a picture of the front, not part of
            the set.
    """

    status: str
    tasks: tuple[str, ...]
    losses: Array
    parameters: Array
    preferences: tuple[Preference, ...]
    dominated: NDArray[np.bool_]
    ideal: Array
    reference: Array
    reference_given: bool
    hypervolume: float | None
    goal: str
    steps: int
    seconds: float
    seen: Array = field(repr=False)

    def mixture(self, preference: Preference) -> PoolMixture:
        """The mixture of these points that serves a preference best, and the best single point beside it.

        A point of the set, drawn for each request with these probabilities: on a concave part of a front its expected
        losses lie below every single point. See `equipoise.linear.mixture`.
        """
        return mixture(self.losses, preference, tasks=self.tasks)


def describe_set(
    problem: BoxProblem,
    points: Tensor,
    scale: Scale,
    reference: Array,
    *,
    given: bool,
    steps: int,
    seconds: float,
    goal: str,
    seen: Array,
) -> FoundSet:
    """The set of these points; losses are computed once more, from the parameters that are returned."""
    parameters = points.detach().numpy()
    order = np.lexsort(problem.losses(parameters).T[::-1])
    parameters = parameters[order]
    return FoundSet(
        **judged(problem.losses(parameters), scale, reference, goal=goal),
        tasks=problem.tasks,
        parameters=parameters,
        reference_given=given,
        goal=goal,
        steps=steps,
        seconds=seconds,
        seen=seen,
    )


def judged(losses: Array, scale: Scale, reference: Array, *, goal: str) -> dict[str, Any]:
    """What follows from the losses (K, k) of a set: fields of `FoundSet`."""
    dominated = ~moocore.is_nondominated(losses, keep_weakly=False)
    inside = (losses < reference).all(axis=1)
    volume = None
    if losses.shape[1] <= _VOLUMES:
        volume = float(moocore.hypervolume(losses[inside], ref=reference)) if inside.any() else 0.0
    notes = []
    if dominated.any():
        notes.append(f"{int(dominated.sum())} of {len(losses)} points are dominated or repeated by others of the set")
    if not inside.any() and goal == "hypervolume":
        notes.append(
            f"no point is below the reference {reference.tolist()} in every loss; the lowest losses seen are "
            f"{scale.ideal.tolist()}: raise the reference or train longer"
        )
    ideal = np.minimum(scale.ideal, losses.min(axis=0))
    utopia = ideal - 1e-3 * np.maximum(np.ptp(losses, axis=0), 1e-12 + 1e-9 * np.abs(ideal))
    inverse = 1 / (losses - utopia)
    weights = inverse / inverse.sum(axis=1, keepdims=True)
    preferences = tuple(Tchebycheff(weights=tuple(row.tolist()), ideal=tuple(utopia.tolist())) for row in weights)
    return {
        "status": "; ".join(notes) or "ok",
        "losses": losses,
        "preferences": preferences,
        "dominated": dominated,
        "ideal": ideal,
        "reference": reference,
        "hypervolume": volume,
    }
