"""Per-task gradients, kept in blocks: one a parameter, never flattened."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["Jacobian"]

_COLUMNS = 65_536  # float32 products of longer rows lose digits: 2e-3 at 2e7 columns


@dataclass(frozen=True, eq=False)
class Jacobian:
    """Gradients of k losses with respect to some parameters.

    Attributes:
        parameters: p tensors.
        rows: k rows of p gradients, each of its parameter's shape; None stands for zero.
    """

    parameters: Sequence[Tensor]
    rows: Sequence[Sequence[Tensor | None]]

    def gramian(self) -> Tensor:
        """Inner products of the rows.

        Returns:
            (k, k), float64, on the parameters' device (the first's, if they lie on several). Products are accumulated
            in float64, in chunks of 65,536 columns: relative error about 1e-15 of the product of the norms.
        """
        k = len(self.rows)
        device = self.parameters[0].device if self.parameters else torch.device("cpu")
        total = torch.zeros(k, k, dtype=torch.float64, device=device)
        for number in range(len(self.parameters)):
            present = [i for i in range(k) if self.rows[i][number] is not None]
            if not present:
                continue
            flat = [_flat(self.rows[i][number]) for i in present]
            block = torch.zeros(len(present), len(present), dtype=torch.float64, device=flat[0].device)
            for start in range(0, flat[0].numel(), _COLUMNS):
                chunk = torch.stack([row[start : start + _COLUMNS] for row in flat]).double()
                block.addmm_(chunk, chunk.T)
            index = torch.tensor(present, device=device)
            total[index[:, None], index] += block.to(device)
        return total

    def combine(self, weights: Tensor) -> list[Tensor | None]:
        """The weighted sum of the rows.

        Args:
            weights: (k,).

        Returns:
            One tensor a parameter, of its shape and type (half types are summed in float32); None where every row
            has None.
        """
        scalars: Sequence[float | Tensor] = weights.tolist() if weights.device.type == "cpu" else weights.unbind()
        return [self._combine_one(number, scalars) for number in range(len(self.parameters))]

    def _combine_one(self, number: int, scalars: Sequence[float | Tensor]) -> Tensor | None:
        total: Tensor | None = None
        for scalar, row in zip(scalars, self.rows, strict=True):
            block = row[number]
            if block is None:
                continue
            wide = block.to_dense() if block.is_sparse else block
            wide = wide.to(torch.promote_types(block.dtype, torch.float32))
            term = wide * (scalar.to(wide) if isinstance(scalar, Tensor) else scalar)
            total = term if total is None else total.add_(term)
        return None if total is None else total.to(self.parameters[number].dtype)

    def map(self, function: Callable[[Tensor], Tensor]) -> "Jacobian":
        """The Jacobian with a function applied to every block."""
        rows = [[None if block is None else function(block) for block in row] for row in self.rows]
        return Jacobian(self.parameters, rows)

    def only(self, rows: Sequence[int]) -> "Jacobian":
        """Some of the rows."""
        return Jacobian(self.parameters, [self.rows[i] for i in rows])

    def flat(self) -> Tensor:
        """All blocks side by side, (k, n), float64: for methods that look at coordinates."""
        if not self.parameters:
            return torch.zeros(len(self.rows), 0, dtype=torch.float64)
        return torch.stack(
            [
                torch.cat(
                    [
                        torch.zeros(parameter.numel(), dtype=torch.float64, device=parameter.device)
                        if block is None
                        else _flat(block).double()
                        for parameter, block in zip(self.parameters, row, strict=True)
                    ]
                )
                for row in self.rows
            ]
        )

    def unflatten(self, direction: Tensor) -> list[Tensor | None]:
        """A flat direction (n,) as one block a parameter."""
        sizes = [parameter.numel() for parameter in self.parameters]
        pieces = torch.split(direction, sizes) if sizes else ()
        return [
            piece.reshape(parameter.shape).to(parameter)
            for piece, parameter in zip(pieces, self.parameters, strict=True)
        ]


def _flat(block: Tensor | None) -> Tensor:
    assert block is not None
    return (block.to_dense() if block.is_sparse else block).reshape(-1)
