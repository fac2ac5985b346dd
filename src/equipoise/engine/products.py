"""Inner products of k long rows, float64, in bounded memory."""

import torch
from torch import Tensor

__all__ = ["Products"]

_BUFFER = 1 << 19  # float64 numbers multiplied at a time: 4 MiB stays near the processor
_NARROWEST = 4096  # but at least so many columns, or the products become too thin


class Products:
    """Adds up ``rows @ rows.T`` over stretches of columns.

    Only the lower triangle is computed, by matrix-vector products where rows are few: on one core half the time of a
    thin matrix product.
    """

    def __init__(self, count: int, device: torch.device) -> None:
        self.total = torch.zeros(count, count, dtype=torch.float64, device=device)
        self._band = 1 if count <= 16 and device.type == "cpu" else max(8, -(-count // 8))

    def add(self, rows: Tensor) -> None:
        """Adds the products of (k, m) float64 columns."""
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
