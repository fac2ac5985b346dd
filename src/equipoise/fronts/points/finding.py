"""One point of the front for each preference: rays, reference points, bounds, weights."""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import overload

import numpy as np
import torch

from ...core.numbers import is_whole
from ...core.progress import Progress
from ...core.tasks import Preference
from ...errors import PreferenceError, SettingError
from ...methods import LinearScalarization
from ...problems import BoxProblem
from ...training.problem.problem import Problem
from ..sets.criteria import Scale
from ..sets.joint_training import TrainingSettings
from ..sets.search import Search
from ..sets.starting import problem_of, random_starts, refuse_constant
from .found import FoundPoints, status_of
from .trained_points import TrainedPoints, points_of_models
from .wishes import Wishes

__all__ = ["find_points"]

_LEGS = (0.0, 0.4, 0.7, 1.0)


@overload
def find_points(
    problem: BoxProblem | str, preferences: Sequence[Preference], steps: int = 1000, seed: int = 0
) -> FoundPoints: ...


@overload
def find_points(
    problem: Problem,
    preferences: Sequence[Preference],
    steps: int = 1000,
    seed: int = 0,
    *,
    batch_size: int | None = 256,
    optimizer: Callable[..., torch.optim.Optimizer] | None = None,
    schedule: Callable[[float], float] | None = None,
    every: int | None = None,
    device: str | torch.device | None = None,
    progress: Progress | None = None,
) -> TrainedPoints: ...


def find_points(
    problem: BoxProblem | str | Problem,
    preferences: Sequence[Preference],
    steps: int = 1000,
    seed: int = 0,
    *,
    batch_size: int | None = 256,
    optimizer: Callable[..., torch.optim.Optimizer] | None = None,
    schedule: Callable[[float], float] | None = None,
    every: int | None = None,
    device: str | torch.device | None = None,
    progress: Progress | None = None,
) -> FoundPoints:
    r"""The point of the front that serves each preference, all of them trained together.

    The solutions share what they see: three times on the way, and at the end, each continues from the point that serves
    it best among all points seen by any of them, and by k scouts that each lower one loss alone. What each descends is
    in `Wishes`: exponential multipliers for rays, reference points and Tchebycheff criteria, an augmented Lagrangian
    for bounds. The multipliers make a ray exact at one weighted backward pass a step.

    For an `eq.Problem` the solutions are models on common batches; see `find_set` for how they are trained. Preferences
    are judged on the validation part (the training part where there is none): a limit holds there to 1 %, or the status
    says by how much it is missed. The test part is looked at once, with the chosen models.

    Args:
        problem: A name (`equipoise.problems.table`), a problem in a box, or an `eq.Problem`.
        preferences: K of `LinearScalarization`, `Tchebycheff`, `ReferencePoint`, `Ray`, `Bounds`, in any mix.
        steps: Number of steps, at least 10.
        seed: Seed of the starts; for an `eq.Problem` of the models and the order of the data.
        batch_size: Most rows a step; None for all. This and what follows is for an `eq.Problem`.
        optimizer: Function of a model that returns its optimizer, or an optimizer class; AdamW with learning rate 1e-3
            if None.
        schedule: ``schedule(fraction) -> factor`` of the learning rates; half a cosine from 1 to 0 if None.
        every: Steps between evaluations; a twenty-fifth of the steps if None.
        device: Device to train on; the one that `make_model` puts the model on if None.
        progress: Called after each evaluation.

    Returns:
        The points. ``problem.losses(found.parameters)`` equals ``found.losses``; for an `eq.Problem` they are
        `TrainedPoints`, and ``found.model(row)`` is a model.

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
    wanted = (preferences,) if isinstance(preferences, Preference) else tuple(preferences)
    if not wanted:
        raise PreferenceError("`preferences` must hold at least one; found none.")
    if not (is_whole(steps, least=10) and is_whole(seed)):
        raise SettingError(
            f"`steps` must be a whole number of at least 10, `seed` of at least 0; got steps={steps!r}, seed={seed!r}."
        )
    settings = TrainingSettings(batch_size, optimizer, schedule, every, device, progress)
    if isinstance(problem, Problem):
        return points_of_models(problem, wanted, steps, seed, settings)
    chosen = problem_of(problem)
    settings.refuse(f"the formula problem {chosen!r}")
    scale = Scale(chosen.count, chosen.reference)
    # one solution more for each loss alone: so the ideal, and with it every unit, does not depend on the other wishes
    scouts = [LinearScalarization(row) for row in np.eye(chosen.count).tolist()]
    wishes = Wishes([*wanted, *scouts], chosen.tasks, scale)
    search = Search(chosen, random_starts(chosen, len(wanted) + chosen.count, seed), steps, scale, seed)
    refuse_constant(chosen, search.descent.points)
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
        statuses=tuple(status_of(wish, losses[row], over[row], scale, chosen.tasks) for row, wish in enumerate(wanted)),
        misses=np.array([miss.max() for miss in over]),
        steps=steps,
    )
