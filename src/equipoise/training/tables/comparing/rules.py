"""By which rule the validation part chooses: the epoch of a training, the weights, the network for each target."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from ...loop.selection import WHOLE, PerTaskBest, Selection

__all__ = ["GeometricMean", "OwnBest", "geometric_mean"]

_LEAST = 1e-6  # of the variance, or nats: below it one target would decide alone by what nobody cares about


@dataclass(frozen=True)
class GeometricMean(Selection):
    """The lowest geometric mean of the validation losses: a change by one percent counts the same in every task.

    Args:
        tasks: Tasks that count: with a labelled row in the validation part.
    """

    words: ClassVar[str] = "lowest geometric mean of the validation losses"
    tasks: tuple[str, ...] = ()

    def scores(self, losses: Mapping[str, float]) -> dict[str, float]:
        """One score."""
        return {WHOLE: geometric_mean({task: losses[task] for task in self.tasks})}


@dataclass(frozen=True)
class OwnBest(PerTaskBest):
    """For each task its lowest validation loss; for a task without a labelled validation row, as `GeometricMean`.

    Args:
        tasks: Tasks with a labelled row in the validation part.
    """

    tasks: tuple[str, ...] = ()

    def scores(self, losses: Mapping[str, float]) -> dict[str, float]:
        """One score for the whole, and one a task."""
        known = {task: losses[task] for task in self.tasks}
        return {WHOLE: geometric_mean({task: loss for task, loss in known.items() if math.isfinite(loss)}), **known}


def geometric_mean(losses: Mapping[str, float]) -> float:
    """The exponential of the mean logarithm; infinite where any loss is, or where there is none.

    A loss below one millionth counts as one millionth.

    Example:
        >>> geometric_mean({"a": 1.0, "b": 4.0})
        2.0
    """
    if not losses or not all(map(math.isfinite, losses.values())):
        return math.inf
    return math.exp(sum(math.log(max(loss, _LEAST)) for loss in losses.values()) / len(losses))
