"""Per-task gradients of a small model: one row a task, all parameters side by side."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["StackedRows"]


@dataclass(frozen=True, eq=False)
class StackedRows:
    """Rows over all shared parameters in one tensor.

    Attributes:
        parameters: All of one type, on one device.
        values: (k, n), of their type; n counts the numbers of all parameters.
    """

    parameters: Sequence[Tensor]
    values: Tensor

    def gramian(self) -> Tensor:
        """(k, k) inner products of the rows, float64, symmetric to the bit. Cost: k² n / 2 multiply-adds."""
        wide = self.values.double()
        if wide.device.type == "cpu":
            rows = wide.numpy()
            return torch.from_numpy(rows @ rows.T)  # NumPy sees that both factors are one, and computes half of it
        lower = (wide @ wide.T).tril()
        return lower + lower.tril(-1).T

    def combine(self, weights: Tensor) -> list[Tensor | None]:
        """The weighted sum of the rows, one block a parameter."""
        mixed = weights.to(self.values) @ self.values
        pieces = mixed.split([parameter.numel() for parameter in self.parameters])
        return [piece.view(parameter.shape) for piece, parameter in zip(pieces, self.parameters, strict=True)]

    def only(self, rows: Sequence[int]) -> "StackedRows":
        """Some of the rows."""
        return StackedRows(self.parameters, self.values[list(rows)])

    def of(self, parameters: Sequence[Tensor]) -> "StackedRows":
        """Some of the parameters."""
        wanted = {id(parameter) for parameter in parameters}
        kept = [(parameter, block) for parameter, block in self._blocks() if id(parameter) in wanted]
        return StackedRows([parameter for parameter, _ in kept], torch.cat([block for _, block in kept], dim=1))

    def nonfinite(self, row: int) -> tuple[Tensor, int, int] | None:
        """The first parameter at which a row holds NaN or inf, how many values do, and of how many."""
        for parameter, block in self._blocks():
            count = int((~torch.isfinite(block[row])).sum())
            if count:
                return parameter, count, parameter.numel()
        return None

    def rows(self) -> list[list[Tensor]]:
        """For each task one gradient a parameter, of its shape: views."""
        blocks = [block.view(-1, *parameter.shape).unbind() for parameter, block in self._blocks()]
        return [[block[row] for block in blocks] for row in range(len(self.values))]

    def _blocks(self) -> list[tuple[Tensor, Tensor]]:
        pieces = self.values.split([parameter.numel() for parameter in self.parameters], dim=1)
        return list(zip(self.parameters, pieces, strict=True))
