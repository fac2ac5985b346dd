"""A finite set of models of a `Problem` along its front."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ...core.numbers import Array
from ...core.simplex_points import lattice_of
from ...training.problem.problem import Problem
from ...training.resuming.randomness import own_generators
from .criteria import Scale, tchebycheff_weights
from .found import FoundSet, judged
from .joint_training import JointTraining, TrainingSettings
from .targets import LEGS, WARM, reference_above, target_of

__all__ = ["TrainedModels", "TrainedSet", "described", "set_of_models"]


@dataclass(frozen=True, eq=False)
class TrainedModels:
    """Models of a `Problem`, and the part of the data that chose them.

    Attributes:
        part: Part of the data that the losses and the choice are of: ``val``, or ``train`` where there is none.
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


@dataclass(frozen=True, eq=False)
class TrainedSet(TrainedModels, FoundSet):
    """Models of a `Problem` along its front; `losses` and `seen` are those of the part that chose them."""


def set_of_models(
    problem: Problem, size: int, steps: int, seed: int, goal: str, reference: Array | None, settings: TrainingSettings
) -> TrainedSet:
    """See `find_set`, which has checked the arguments."""
    began = time.perf_counter()
    k = len(problem.tasks)
    scale = Scale(k, reference)
    with own_generators(seed, torch.device(settings.device or "cpu")):
        training = JointTraining(problem, size, steps, seed, scale, settings)
        rays = np.clip(lattice_of(k, size), 1e-3, None)
        warm = 0 if goal == "cover" else int(WARM * steps)

        def to_rays(losses: Array, share: float) -> Array:
            return tchebycheff_weights(losses, rays, scale, max(0.1 * 0.1 ** (2 * share), 0.01))

        training.descend(warm, to_rays)
        fixed = reference
        if fixed is None:
            seen = training.archive.prune()[0] if warm else training.measured
            fixed = reference_above(seen)
        target = target_of(goal, fixed, rays, scale, seed)
        left = steps - warm
        for before, after in pairwise(LEGS):
            if warm or before:
                training.choose(target)
            width = after - before

            def pull(losses: Array, share: float, before: float = before, width: float = width) -> Array:
                return target.pull(losses, before + width * share)

            training.descend(round(after * left) - round(before * left), pull)
        training.choose(target)
        order = np.lexsort(training.measured.T[::-1])
        losses = training.measured[order]
        test = training.measure("test")[order] if "test" in problem.sources else None
        found = described(training, order)
    return TrainedSet(
        **judged(losses, scale, fixed, goal=goal),
        **found,
        test_losses=test,
        tasks=problem.tasks,
        reference_given=reference is not None,
        goal=goal,
        steps=steps,
        seconds=time.perf_counter() - began,
        seen=training.archive.prune()[0],
    )


def described(training: JointTraining, order: Any) -> dict[str, Any]:
    """What is said of the models of a training, in some order: fields of `TrainedSet` and `TrainedPoints`."""
    values = training.copies.values().cpu()[torch.as_tensor(order)]
    width = sum(parameter.numel() for parameter in training.copies.models[0].parameters())
    return {
        "parameters": values[:, :width].double().numpy(),
        "part": training.part,
        "rows": training.rows,
        "trained": (training.copies.reason and f"one after another: {training.copies.reason}") or "together",
        "_values": values,
        "_make": training.model,
    }
