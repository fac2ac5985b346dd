"""Inner products of k long rows, added up in float64, in bounded memory."""

import torch
from torch import Tensor

__all__ = ["Products"]

_BUFFER = 1 << 19  # float64 numbers multiplied at a time: 4 MiB stays near the processor
_NARROWEST = 4096  # but at least so many columns, or the products become too thin
_STRETCH = 512  # products added up in less than float64: 5e-9 of the norms, where 4096 have 2e-8 at the same cost


class Products:
    """Adds up ``rows @ rows.T`` over stretches of columns.

    Only the lower triangle is computed, by matrix-vector products where rows are few: on one core half the time of a
    thin matrix product.
    """

    def __init__(self, count: int, device: torch.device) -> None:
        self.total = torch.zeros(count, count, dtype=torch.float64, device=device)
        self._band = 1 if count <= 16 and device.type == "cpu" else max(8, -(-count // 8))

    def add(self, rows: Tensor) -> None:
        """Adds the products of (k, m) columns; those of float32 are added up in short stretches, these in float64."""
        if rows.dtype != torch.float64:
            self.total += _in_stretches(rows)
            return
        for start in range(0, len(rows), self._band):
            stop = min(start + self._band, len(rows))
            self.total[start:stop, :stop] += rows[start:stop] @ rows[:stop].T

    def matrix(self) -> Tensor:
        """(k, k), symmetric to the bit."""
        lower = self.total.tril()
        return lower + lower.tril(-1).T

    @staticmethod
    def width(count: int, columns: int) -> int:
        """How many columns to bring at a time."""
        return max(1, min(columns, max(_NARROWEST, _BUFFER // max(count, 1))))


def _in_stretches(rows: Tensor) -> Tensor:
    whole = rows.shape[1] // _STRETCH
    rest = rows[:, whole * _STRETCH :]
    total = (rest @ rest.T).double()
    if whole:
        parts = rows[:, : whole * _STRETCH].view(len(rows), whole, _STRETCH).transpose(0, 1)
        total += torch.bmm(parts, parts.transpose(1, 2)).sum(dim=0, dtype=torch.float64)
    return total
