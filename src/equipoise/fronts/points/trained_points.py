"""One model of a `Problem` for each preference."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn

from ...core.numbers import Array
from ...core.tasks import Preference
from ...methods import LinearScalarization
from ...training.problem.problem import Problem
from ...training.resuming.randomness import own_generators
from ..sets.criteria import Scale
from ..sets.joint_training import JointTraining, TrainingSettings
from ..sets.trained_set import described
from .found import FoundPoints, status_of
from .wishes import Wishes

__all__ = ["TrainedPoints", "points_of_models"]

_LEGS = (0.0, 0.4, 0.7, 1.0)
_SLACK = 0.005  # half of what counts as met


@dataclass(frozen=True, eq=False)
class TrainedPoints(FoundPoints):
    """One model for each preference; losses, statuses and misses are those of the part that chose them.

    Attributes:
        part: Part of the data that chose: ``val``, or ``train`` where there is none.
        rows: Task -> labelled rows of that part.
        test_losses: (K, k) losses of the chosen models on the test part, looked at once; None without a test part.
        trained: ``together`` for one vectorized step, or why the models stepped one after another.
    """

    part: str
    rows: dict[str, int]
    test_losses: Array | None
    trained: str
    _values: Tensor = field(repr=False)
    _make: Callable[[Tensor], nn.Module] = field(repr=False)

    def model(self, row: int) -> nn.Module:
        """A copy of one model, in evaluation mode; ``parameters[row]`` holds its parameters in the module's order."""
        return self._make(self._values[row])


def points_of_models(
    problem: Problem, wanted: Sequence[Preference], steps: int, seed: int, settings: TrainingSettings
) -> TrainedPoints:
    """See `find_points`, which has checked the arguments."""
    tasks = problem.tasks
    scale = Scale(len(tasks), None)
    scouts = [LinearScalarization(row) for row in np.eye(len(tasks)).tolist()]
    wishes = Wishes([*wanted, *scouts], tasks, scale, slack=_SLACK)
    count = len(wanted)
    with own_generators(seed, torch.device(settings.device or "cpu")):
        training = JointTraining(problem, count + len(tasks), steps, seed, scale, settings)
        for before, after in pairwise(_LEGS):
            width = after - before

            def pull(losses: Array, share: float, before: float = before, width: float = width) -> Array:
                return wishes.pull(losses, before + width * share)

            training.descend(round(after * steps) - round(before * steps), pull)
            training.choose(wishes)
        losses = training.measured[:count]
        test = training.measure("test")[:count] if "test" in problem.sources else None
        found = described(training, list(range(count)))
    over = [np.maximum(losses[row] - wishes.limits(row), 0.0) for row in range(count)]
    return TrainedPoints(
        **found,
        tasks=tasks,
        preferences=tuple(wanted),
        losses=losses,
        statuses=tuple(status_of(wish, losses[row], over[row], scale, tasks) for row, wish in enumerate(wanted)),
        misses=np.array([miss.max() for miss in over]),
        steps=steps,
        test_losses=test,
    )
