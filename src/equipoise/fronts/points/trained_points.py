"""One model of a `Problem` for each preference."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch

from ...core.numbers import Array
from ...core.tasks import Preference
from ...training.problem.problem import Problem
from ...training.resuming.randomness import own_generators
from ..sets.criteria import Scale
from ..sets.joint_training import JointTraining, TrainingSettings
from ..sets.trained_set import TrainedModels, described
from .found import FoundPoints, judged
from .wishes import LEGS, wishes_and_scouts

__all__ = ["TrainedPoints", "points_of_models"]

_SLACK = 0.005  # half of what counts as met


@dataclass(frozen=True, eq=False)
class TrainedPoints(TrainedModels, FoundPoints):
    """One model for each preference; losses, statuses and misses are those of the part that chose them."""


def points_of_models(
    problem: Problem, wanted: Sequence[Preference], steps: int, seed: int, settings: TrainingSettings
) -> TrainedPoints:
    """See `find_points`, which has checked the arguments."""
    tasks = problem.tasks
    scale = Scale(len(tasks), None)
    wishes = wishes_and_scouts(wanted, tasks, scale, _SLACK)
    count = len(wanted)
    with own_generators(seed, torch.device(settings.device or "cpu")):
        training = JointTraining(problem, count + len(tasks), steps, seed, scale, settings)
        for before, after in pairwise(LEGS):
            width = after - before

            def pull(losses: Array, share: float, before: float = before, width: float = width) -> Array:
                return wishes.pull(losses, before + width * share)

            training.descend(round(after * steps) - round(before * steps), pull)
            training.choose(wishes)
        losses = training.measured[:count]
        test = training.measure("test")[:count] if "test" in problem.sources else None
        found = described(training, list(range(count)))
    return TrainedPoints(**judged(wishes, losses, scale, tasks), **found, steps=steps, test_losses=test)
