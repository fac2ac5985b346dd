"""A finite set of points on the front of a problem, trained together."""

import time
from itertools import pairwise
from typing import Literal, Unpack, get_args, overload

import numpy as np
from numpy.typing import ArrayLike

from ...core.numbers import is_whole
from ...core.simplex_points import lattice_of
from ...errors import SettingError, listed
from ...problems import BoxProblem
from ...training.problem.problem import Problem
from ..indicators.checks import checked_reference
from .criteria import Scale
from .found import FoundSet, describe_set
from .joint_training import TrainingOptions, TrainingSettings
from .search import Search
from .starting import problem_of, random_starts, refuse_constant
from .targets import LEGS, WARM, reference_above, target_of
from .trained_set import TrainedSet, set_of_models

__all__ = ["Goal", "find_set"]

Goal = Literal["hypervolume", "uniform", "rays", "cover"]


@overload
def find_set(
    problem: BoxProblem | str,
    size: int = 10,
    steps: int = 1000,
    seed: int = 0,
    *,
    goal: Goal | None = None,
    reference: ArrayLike | None = None,
) -> FoundSet: ...


@overload
def find_set(
    problem: Problem,
    size: int = 10,
    steps: int = 1000,
    seed: int = 0,
    *,
    goal: Goal | None = None,
    reference: ArrayLike | None = None,
    **training: Unpack[TrainingOptions],
) -> TrainedSet: ...


def find_set(
    problem: BoxProblem | str | Problem,
    size: int = 10,
    steps: int = 1000,
    seed: int = 0,
    *,
    goal: Goal | None = None,
    reference: ArrayLike | None = None,
    **training: Unpack[TrainingOptions],
) -> FoundSet:
    r"""K solutions that together show a front, trained jointly; one batched backward pass a step.

    ``goal="hypervolume"`` (default up to five losses): two fifths of the steps by smooth Tchebycheff on K rays, in the
    second half of which each solution wanders through its part of the front; then the gradient of the hypervolume.
    Three times, and at the end, the best K are chosen from all points seen and from probes on the lines through the
    chosen ones, which re-seeds solutions that are dominated or sit on the wrong piece of a front. ``"uniform"``:
    instead of the hypervolume the smallest distance between neighbours. ``"rays"`` (default above five losses): one
    point on each of K spread rays. ``"cover"``: each loss is served by the solution that is best at it, for few
    solutions and many losses.

    For an `eq.Problem` the solutions are K models, each from a start of its own, that see the same batches: in one
    vectorized step where `torch.func.vmap` can, else one after another within each step (``found.trained`` says why).
    They follow the same plan without wandering and probes. Weights come from what the losses are estimated to be on the
    validation part (the training part where there is none), models are chosen from all evaluations on that part, and
    the test part is looked at once, with the chosen ones.

    Args:
        problem: A name (`equipoise.problems.table`), a problem in a box (`equipoise.problems.Function` for your own),
            or an `eq.Problem`.
        size: Number of solutions K, at least 1.
        steps: Number of steps, at least 10.
        seed: Seed of the starts and probes; the same seed gives the same set.
        goal: What the set is trained for.
        reference: (k,) reference point of the hypervolume, above the losses that matter. By default the problem's own;
            where it has none, a tenth of the range above the largest losses of the warm start, fixed from then on.
        **training: Settings for an `eq.Problem`: ``batch_size``, most rows a step (256; None for all); ``optimizer``, a
            function of a model that returns its optimizer, or an optimizer class (AdamW with learning rate 1e-3);
            ``schedule(fraction)``, the factor of the learning rates (half a cosine from 1 to 0); ``every``, the steps
            between evaluations (a twenty-fifth of the steps); ``device`` (the one that `make_model` puts the model on);
            ``progress``, called after each evaluation.

    Returns:
        The set. ``problem.losses(found.parameters)`` equals ``found.losses``; parameters lie in the box exactly. For an
        `eq.Problem` it is a `TrainedSet`, and ``found.model(row)`` is a model.

    Raises:
        SettingError: An unknown name or goal, sizes out of range, a reference of another length.
        LossError: A loss that does not depend on the parameters.
        NonFiniteError: A loss is NaN or infinite on the way, with its name and step.

    Cost:
        Per step one forward and one backward pass of K points, and arrays of K k numbers (three losses: 3 K^2; above
        three: K k times 256 samples). 0.3 to 0.5 ms a step for two losses, K = 10, n = 30.
    Source:
        Lin et al. (2024), arXiv:2402.19078; Deist et al. (2021), arXiv:2102.04523; Lin et al. (2025), arXiv:2405.19650.
        We differ: one weighted backward pass instead of Jacobians; the wandering warm start; choosing anew.

    Example:
        >>> found = find_set("quad", size=5, steps=300)
        >>> found.status, found.losses.shape, round(found.hypervolume, 2)
        ('ok', (5, 2), 0.97)
    """
    chosen = problem if isinstance(problem, Problem) else problem_of(problem)
    if not (is_whole(size, least=1) and is_whole(steps, least=10) and is_whole(seed)):
        raise SettingError(
            "`size` must be a whole number of at least 1, `steps` of at least 10, `seed` of at least 0; "
            f"got size={size!r}, steps={steps!r}, seed={seed!r}."
        )
    k = len(chosen.tasks)
    wanted: Goal = goal or ("hypervolume" if k <= 5 else "rays")
    if wanted not in get_args(Goal):
        raise SettingError(f"`goal` must be one of {listed(get_args(Goal))}; got {goal!r}.")
    settings = TrainingSettings(**training)
    if isinstance(chosen, Problem):
        corner = None if reference is None else checked_reference(reference, k)
        return set_of_models(chosen, size, steps, seed, wanted, corner, settings)
    settings.refuse(f"the formula problem {chosen!r}")
    began = time.perf_counter()
    given = chosen.reference if reference is None else checked_reference(reference, k)
    scale = Scale(k, given)
    search = Search(chosen, random_starts(chosen, size, seed), steps, scale, seed)
    refuse_constant(chosen, search.descent.points)
    rays = np.clip(lattice_of(k, size), 1e-3, None)
    warm = 0 if wanted == "cover" else int(WARM * steps)
    search.warm(warm, rays)
    fixed = given
    if fixed is None:
        seen = search.archive.prune()[0] if warm else search.losses(search.descent.points).numpy()
        fixed = reference_above(seen)
    target = target_of(wanted, fixed, rays, scale, seed)
    left = steps - warm
    for before, after in pairwise(LEGS):
        search.choose(target)
        search.polish(round(after * left) - round(before * left), target, before=before, after=after)
    search.choose(target)
    return describe_set(
        chosen,
        search.descent.points,
        scale,
        fixed,
        given=given is not None,
        steps=steps,
        seconds=time.perf_counter() - began,
        goal=wanted,
        seen=search.archive.prune()[0],
    )
