"""Gradients at the features of heads that are given only some rows of them: kept for those rows."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor

__all__ = ["Chosen", "ChosenRows"]


@dataclass(frozen=True, eq=False)
class Chosen:
    """What all heads send back to one of the features, one below the other.

    Attributes:
        gradients: (M, d).
        rows: (M,), the row of the feature that each belongs to; one row may occur several times.
        tasks: (M,), whose it is.
    """

    gradients: Tensor
    rows: Tensor
    tasks: Tensor


@dataclass(frozen=True, eq=False)
class ChosenRows:
    """Gradients of k losses at the features.

    Attributes:
        parameters: The features.
        chosen: One a feature; None where no head takes it.
        count: k.
    """

    parameters: Sequence[Tensor]
    chosen: Sequence[Chosen | None]
    count: int

    def block(self, task: int, number: int) -> Tensor | None:
        """One task's gradient at one of the features, over all of its rows."""
        chosen = self.chosen[number]
        if chosen is None:
            return None
        mine = torch.nonzero(chosen.tasks == task).ravel()
        if not len(mine):
            return None
        return _laid_out(chosen.gradients[mine], chosen.rows[mine], self.parameters[number])

    def formed(self) -> list[list[Tensor | None]]:
        """All rows, formed: k lists of one gradient a feature."""
        return [[self.block(task, number) for number in range(len(self.chosen))] for task in range(self.count)]

    def reaching(self) -> list[set[int]]:
        """For each feature the tasks that take it."""
        return [set() if chosen is None else set(chosen.tasks.tolist()) for chosen in self.chosen]

    def touched(self, number: int) -> tuple[Tensor, Tensor] | None:
        """Rows of one of the features that are not zero, and whose each is; None where no head takes it."""
        chosen = self.chosen[number]
        if chosen is None:
            return None
        # two readings, and nothing is written; NaN counts
        some = torch.maximum(chosen.gradients.amax(dim=1), chosen.gradients.amin(dim=1).neg()) != 0
        return chosen.rows[some], chosen.tasks[some]

    def total(self, number: int) -> Tensor | None:
        """The sum of all tasks' gradients at one of the features."""
        chosen = self.chosen[number]
        return None if chosen is None else _laid_out(chosen.gradients, chosen.rows, self.parameters[number])


def _laid_out(gradients: Tensor, rows: Tensor, feature: Tensor) -> Tensor:
    """Rows of a gradient, added up at their places in a tensor of the feature's shape."""
    found = gradients.new_zeros(prod(feature.shape[:-1]), feature.shape[-1])
    return found.index_add_(0, rows, gradients).reshape(feature.shape)
