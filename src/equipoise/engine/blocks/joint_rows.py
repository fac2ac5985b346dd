"""Gradients at the features of tasks that own their rows, kept as their sum."""

from collections.abc import Sequence

import torch
from torch import Tensor

from .factored import FactoredRows
from .row_sparse import ChosenRows

__all__ = ["JointRows"]


class JointRows:
    """Gradients at the features, added up as long as no row of the batch has two tasks.

    A row belongs to a task whose gradient there is not exactly zero. Where every row has one owner the sum holds
    everything, in the memory of one gradient; when a second owner occurs, each task's gradient is read from its rows.

    Attributes:
        owner: (B,) task number of each row, -1 for rows without gradient.
        totals: The sum at each feature tensor; None where no task has a gradient.
        count: Number of tasks added.
    """

    def __init__(self, features: Sequence[Tensor]) -> None:
        self.owner = torch.full((len(features[0]),), -1, dtype=torch.int64, device=features[0].device)
        self.totals: list[Tensor | None] = [None] * len(features)
        self.count = 0
        self._reached: list[list[bool]] = []

    @classmethod
    def of(cls, rows: FactoredRows | ChosenRows) -> "JointRows | None":
        """The sum of all heads' gradients; None where a row of the batch has two owners."""
        joint = cls(rows.parameters)
        batch = len(joint.owner)
        first, last = torch.full_like(joint.owner, rows.count), torch.full_like(joint.owner, -1)
        for number, feature in enumerate(rows.parameters):
            touched = rows.touched(number)
            if touched is not None:
                places, tasks = touched
                places = places // (feature[..., 0].numel() // batch)
                first.scatter_reduce_(0, places, tasks, "amin")
                last.scatter_reduce_(0, places, tasks, "amax")
        if bool(((first != last) & (last >= 0)).any()):
            return None
        joint.owner, joint.count = last, rows.count
        joint.totals = [rows.total(number) for number in range(len(rows.parameters))]
        reaching = rows.reaching()  # once: it lists every row
        joint._reached = [[task in tasks for tasks in reaching] for task in range(rows.count)]
        return joint

    def add(self, gradients: Sequence[Tensor | None]) -> bool:
        """Adds the next task's gradients; returns False, and adds nothing, where one of its rows has an owner."""
        touched = torch.zeros((), device=self.owner.device)
        for gradient in gradients:
            if gradient is not None:
                flat = gradient.reshape(len(gradient), -1)
                largest = torch.maximum(flat.amax(dim=1), flat.amin(dim=1).neg())  # read twice, nothing written
                touched = torch.maximum(touched, largest.to(torch.promote_types(largest.dtype, torch.float32)))
        rows = touched.expand(len(self.owner)).nonzero().ravel()
        if self.count and len(rows) and int(self.owner.index_select(0, rows).amax()) >= 0:
            return False
        for number, gradient in enumerate(gradients):
            total = self.totals[number]
            if total is None:
                self.totals[number] = None if gradient is None else gradient.clone()
            elif gradient is not None:
                total.index_copy_(0, rows, gradient.index_select(0, rows))
        self.owner.index_fill_(0, rows, self.count)
        self.count += 1
        self._reached.append([gradient is not None for gradient in gradients])
        return True

    def apart(self) -> list[list[Tensor | None]]:
        """The gradients of each task so far."""
        found: list[list[Tensor | None]] = []
        for task, reached in enumerate(self._reached):
            row: list[Tensor | None] = []
            for total, present in zip(self.totals, reached, strict=True):
                if not present or total is None:
                    row.append(None)
                    continue
                mine = (self.owner == task).reshape(-1, *[1] * (total.dim() - 1))
                row.append(torch.where(mine, total, torch.zeros((), dtype=total.dtype, device=total.device)))
            found.append(row)
        return found
