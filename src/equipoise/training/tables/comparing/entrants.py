"""The ways to predict all targets that `fit_table` compares, and the trainings that each of them takes."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ....core.records.fitted import Role
from ....methods.base import Method
from ....methods.loss import LinearScalarization
from ..networks.recipe import Recipe

__all__ = ["STACKED", "Plan", "Training", "plans", "tried_weights"]

STACKED = 8
"""Separate networks that are trained side by side; of each the best epoch is kept, so memory grows with the square."""


@dataclass(frozen=True)
class Training:
    """One call of `equipoise.fit`.

    Attributes:
        name: Name of the training within its seed, and of its folder.
        recipe: Sizes and settings of the network.
        method: Method that balances the losses.
        tasks: Targets of the network.
        weights: Task weights, where the method is a weighted mean.
    """

    name: str
    recipe: Recipe
    method: Method
    tasks: tuple[str, ...]
    weights: Mapping[str, float] | None = None


@dataclass(frozen=True)
class Plan:
    """One entrant: the trainings of each seed, of which either the best is taken, or all serve different targets.

    Attributes:
        name, role, words, method: Fields of the record's `Entrant`.
        trainings: Trainings in order. With several of the same targets, the validation part chooses one.
    """

    name: str
    role: Role
    words: str
    method: str
    trainings: tuple[Training, ...]


def plans(
    tasks: Sequence[str], recipe: Recipe, method: Method, baselines: Sequence[str], trials: int, width: int | None
) -> Iterator[Plan]:
    """All networks that are compared, in the order of the ladder; gradient boosting is no network.

    Args:
        tasks: Names of the targets.
        recipe: Recipe of the joint network; the others get its epochs and batches.
        method: Method of the joint network.
        baselines: Which of ``weights`` and ``separate`` take part.
        trials: Trainings among which weights are tuned.
        width: Width of the linear network's shared layer; None for no linear network.
    """
    own, plain = tuple(tasks), LinearScalarization()
    equal = method == plain
    words = "one network, equal weights" if equal else f"one network, {method!r}"
    even = dict.fromkeys(own, 1 / len(own))
    joint = Training("joint", recipe, method, own, even if equal else None)
    yield Plan("joint", "joint", words, repr(method), (joint,))
    if "weights" in baselines and trials > 1:
        first = joint if equal else Training("weights-0", recipe, plain, own, even)
        tried = [
            Training(f"weights-{number}", recipe, LinearScalarization(weights), own, weights)
            for number, weights in enumerate(tried_weights(own, trials - 1), start=1)
        ]
        yield Plan("weights", "weights", f"one network, best of {trials} weights", "", (first, *tried))
    if width is not None:
        linear = Training("linear", recipe.linear(width), method, own)
        yield Plan("linear", "linear", f"one linear model, shared layer of width {width}", repr(method), (linear,))
    if "separate" in baselines:
        groups = [own[start : start + STACKED] for start in range(0, len(own), STACKED)]
        alone = recipe.each_alone()
        yield Plan(
            "separate",
            "separate",
            f"{len(own)} networks, one for each target",
            "",
            tuple(Training(f"separate-{number}", alone, plain, group) for number, group in enumerate(groups)),
        )


def tried_weights(tasks: Sequence[str], count: int) -> list[dict[str, float]]:
    """Task weights to try besides equal ones: independent, log-normal, scaled to sum 1; the same for all seeds.

    Example:
        >>> [round(sum(weights.values()), 9) for weights in tried_weights(["a", "b"], 2)]
        [1.0, 1.0]
    """
    drawn = np.exp(np.random.default_rng(0).standard_normal((count, len(tasks))))
    scaled = drawn / drawn.sum(axis=1, keepdims=True)
    return [dict(zip(tasks, map(float, row), strict=True)) for row in scaled]
