"""Gradients at the features of heads that use only some rows of them, kept for those rows."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor

__all__ = ["Chosen", "ChosenRows"]


@dataclass(frozen=True, eq=False)
class Chosen:
    """Gradients of all heads at one feature tensor, row by row.

    Attributes:
        gradients: (M, d) gradients, one per chosen row.
        rows: (M,) row of the feature tensor that each belongs to; one row may occur several times.
        tasks: (M,) task number of each.
    """

    gradients: Tensor
    rows: Tensor
    tasks: Tensor


@dataclass(frozen=True, eq=False)
class ChosenRows:
    """Gradients of k losses at the features.

    Attributes:
        parameters: Tensors between trunk and heads.
        chosen: One entry per feature tensor; None where no head uses it.
        count: Number k of tasks.
    """

    parameters: Sequence[Tensor]
    chosen: Sequence[Chosen | None]
    count: int

    def block(self, task: int, number: int) -> Tensor | None:
        """One task's gradient at one feature tensor, over all of its rows."""
        chosen = self.chosen[number]
        if chosen is None:
            return None
        mine = torch.nonzero(chosen.tasks == task).ravel()
        if not len(mine):
            return None
        return _laid_out(chosen.gradients[mine], chosen.rows[mine], self.parameters[number])

    def formed(self) -> list[list[Tensor | None]]:
        """All rows, formed: k lists of one gradient per feature tensor."""
        return [[self.block(task, number) for number in range(len(self.chosen))] for task in range(self.count)]

    def reaching(self) -> list[set[int]]:
        """For each feature tensor the tasks that use it."""
        counts = [None if one is None else torch.bincount(one.tasks, minlength=self.count) for one in self.chosen]
        return [set() if count is None else set(count.nonzero().ravel().tolist()) for count in counts]

    def touched(self, number: int) -> tuple[Tensor, Tensor] | None:
        """Rows of one feature tensor with a gradient, and the task of each; None where no head uses it."""
        chosen = self.chosen[number]
        if chosen is None:
            return None
        # reads twice and writes nothing; NaN counts
        some = torch.maximum(chosen.gradients.amax(dim=1), chosen.gradients.amin(dim=1).neg()) != 0
        return chosen.rows[some], chosen.tasks[some]

    def total(self, number: int) -> Tensor | None:
        """The sum of all tasks' gradients at one feature tensor."""
        chosen = self.chosen[number]
        return None if chosen is None else _laid_out(chosen.gradients, chosen.rows, self.parameters[number])


def _laid_out(gradients: Tensor, rows: Tensor, feature: Tensor) -> Tensor:
    """A tensor of the feature's shape with rows of a gradient added at their places."""
    count = prod(feature.shape[:-1])
    if len(rows) == count and torch.equal(rows, torch.arange(count, device=rows.device)):
        return gradients.reshape(feature.shape)  # every row once, in order: a split of the batch
    found = gradients.new_zeros(count, feature.shape[-1])
    return found.index_add_(0, rows, gradients).reshape(feature.shape)
