"""A finite set of points on the front of a problem, trained together."""

import time
from collections.abc import Callable
from itertools import pairwise
from typing import Literal, get_args, overload

import numpy as np
import torch
from numpy.typing import ArrayLike

from ...core.numbers import is_whole
from ...core.progress import Progress
from ...core.simplex_points import lattice_of
from ...errors import SettingError, listed
from ...problems import BoxProblem
from ...training.problem.problem import Problem
from ..indicators.checks import checked_reference
from .criteria import Scale
from .found import FoundSet, describe_set
from .joint_training import TrainingSettings
from .search import Search
from .starting import problem_of, random_starts, refuse_constant
from .targets import Cover, Hypervolume, Rays, Target, Uniform
from .trained_set import TrainedSet, set_of_models

__all__ = ["Goal", "find_set"]

Goal = Literal["hypervolume", "uniform", "rays", "cover"]

_WARM = 0.4
_LEGS = (0.0, 1 / 3, 2 / 3, 1.0)


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
    batch_size: int | None = 256,
    optimizer: Callable[..., torch.optim.Optimizer] | None = None,
    schedule: Callable[[float], float] | None = None,
    every: int | None = None,
    device: str | torch.device | None = None,
    progress: Progress | None = None,
) -> TrainedSet: ...


def find_set(
    problem: BoxProblem | str | Problem,
    size: int = 10,
    steps: int = 1000,
    seed: int = 0,
    *,
    goal: Goal | None = None,
    reference: ArrayLike | None = None,
    batch_size: int | None = 256,
    optimizer: Callable[..., torch.optim.Optimizer] | None = None,
    schedule: Callable[[float], float] | None = None,
    every: int | None = None,
    device: str | torch.device | None = None,
    progress: Progress | None = None,
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
        batch_size: Most rows a step; None for all. This and what follows is for an `eq.Problem`.
        optimizer: Function of a model that returns its optimizer, or an optimizer class; AdamW with learning rate 1e-3
            if None.
        schedule: ``schedule(fraction) -> factor`` of the learning rates; half a cosine from 1 to 0 if None.
        every: Steps between evaluations; a twenty-fifth of the steps if None.
        device: Device to train on; the one that `make_model` puts the model on if None.
        progress: Called after each evaluation.

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
    settings = TrainingSettings(batch_size, optimizer, schedule, every, device, progress)
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
    warm = 0 if wanted == "cover" else int(_WARM * steps)
    search.warm(warm, rays)
    fixed = given
    if fixed is None:
        seen = search.archive.prune()[0] if warm else search.losses(search.descent.points).numpy()
        fixed = seen.max(axis=0) + 0.1 * np.maximum(np.ptp(seen, axis=0), 1e-3 * np.abs(seen).max(axis=0))
    target: Target
    if wanted == "hypervolume":
        target = Hypervolume(fixed, seed)
    elif wanted == "rays":
        target = Rays(rays, scale)
    else:
        target = Uniform(scale) if wanted == "uniform" else Cover(scale)
    left = steps - warm
    for before, after in pairwise(_LEGS):
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
