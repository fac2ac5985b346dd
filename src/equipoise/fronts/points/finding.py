"""One point of the front for each preference: rays, reference points, bounds, weights."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Unpack, overload

from ...core.numbers import is_whole
from ...core.tasks import Preference
from ...errors import PreferenceError, SettingError
from ...problems import BoxProblem
from ...training.problem.problem import Problem
from ..sets.criteria import Scale
from ..sets.joint_training import TrainingOptions, TrainingSettings
from ..sets.search import Search
from ..sets.starting import problem_of, random_starts, refuse_constant
from .found import FoundPoints, judged
from .trained_points import TrainedPoints, points_of_models
from .wishes import LEGS, wishes_and_scouts

__all__ = ["find_points"]


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
    **training: Unpack[TrainingOptions],
) -> TrainedPoints: ...


def find_points(
    problem: BoxProblem | str | Problem,
    preferences: Sequence[Preference],
    steps: int = 1000,
    seed: int = 0,
    **training: Unpack[TrainingOptions],
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
        **training: Settings for an `eq.Problem`: ``batch_size``, ``optimizer``, ``schedule``, ``every``, ``device`` and
            ``progress``, as for `find_set`.

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
    settings = TrainingSettings(**training)
    if isinstance(problem, Problem):
        return points_of_models(problem, wanted, steps, seed, settings)
    chosen = problem_of(problem)
    settings.refuse(f"the formula problem {chosen!r}")
    scale = Scale(chosen.count, chosen.reference)
    wishes = wishes_and_scouts(wanted, chosen.tasks, scale)
    search = Search(chosen, random_starts(chosen, len(wanted) + chosen.count, seed), steps, scale, seed)
    refuse_constant(chosen, search.descent.points)
    for before, after in pairwise(LEGS):
        search.polish(round(after * steps) - round(before * steps), wishes, before=before, after=after)
        search.choose(wishes)
    parameters = search.descent.points[: len(wanted)].numpy()
    found = judged(wishes, chosen.losses(parameters), scale, chosen.tasks)
    return FoundPoints(**found, parameters=parameters, steps=steps)
