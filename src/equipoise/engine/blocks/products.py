r"""Inner products of k long rows, added up in float64 in bounded memory; and a check of rounded products.

The gradients of a float32 network are accurate to some 1e-7 of their size, and so are their products: measured on an
MLP, G of the network in float32 and in float64 differ by 3e-8 to 6e-7. Products rounded to float32 add an error of that
size. It matters where rows are nearly dependent: with G scaled to a unit diagonal, a relative error e moves the weights
of a method that inverts G by up to :math:`e / \lambda_{\min}`.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

__all__ = ["Products", "can_be_trusted"]

_BUFFER = 1 << 19  # float64 numbers multiplied at a time: 4 MiB stay in the processor's cache
_NARROWEST = 4096  # the least number of columns: below it the products become too thin
_STRETCH = 512  # products added up in less than float64: 5e-9 of the norms, where 4096 have 2e-8 at the same cost
_LIMIT = 1e-4  # of the weights; the estimates are ten times too large or more, so weights are right to about 1e-5


class Products:
    """Adds up ``rows @ rows.T`` over stretches of columns.

    Only the lower triangle is computed, by matrix-vector products where rows are few: on one core half the time of a
    thin matrix product.
    """

    def __init__(self, count: int, device: torch.device) -> None:
        self.total = torch.zeros(count, count, dtype=torch.float64, device=device)
        self._band = 1 if count <= 16 and device.type == "cpu" else max(8, -(-count // 8))

    def add(self, rows: Tensor) -> None:
        """Adds the products of (k, m) columns; float32 products are summed in short stretches, these in float64."""
        if rows.dtype != torch.float64:
            self.total += _in_stretches(rows)
            return
        for start in range(0, len(rows), self._band):
            stop = min(start + self._band, len(rows))
            self.total[start:stop, :stop] += rows[start:stop] @ rows[:stop].T

    def matrix(self) -> Tensor:
        """(k, k) sum of the products, exactly symmetric."""
        lower = self.total.tril()
        return lower + lower.tril(-1).T

    @staticmethod
    def width(count: int, columns: int) -> int:
        """Number of columns to add at a time."""
        return max(1, min(columns, max(_NARROWEST, _BUFFER // max(count, 1))))


def _in_stretches(rows: Tensor) -> Tensor:
    whole = rows.shape[1] // _STRETCH
    rest = rows[:, whole * _STRETCH :]
    total = (rest @ rest.T).double()
    if whole:
        parts = rows[:, : whole * _STRETCH].view(len(rows), whole, _STRETCH).transpose(0, 1)
        total += torch.bmm(parts, parts.transpose(1, 2)).sum(dim=0, dtype=torch.float64)
    return total


def can_be_trusted(gramian: Tensor, errors: Sequence[Tensor]) -> bool:
    """Whether weights from a Gramian with rounded parts are accurate.

    Args:
        gramian: (k, k) Gramian, float64.
        errors: (k,) estimated relative error of each row, one tensor per rounded part.

    Returns:
        Whether the largest error is at most 1e-4 of the smallest eigenvalue of the Gramian scaled to a unit diagonal,
        rows of zeros left out. False where something is not finite.

    Example:
        >>> can_be_trusted(torch.eye(2, dtype=torch.float64), [torch.tensor([1e-6, 2e-6])])
        True
        >>> near = torch.tensor([[1.0, 1 - 1e-7], [1 - 1e-7, 1.0]], dtype=torch.float64)
        >>> can_be_trusted(near, [torch.tensor([1e-6, 2e-6])])
        False
    """
    worst = 0.0
    if errors:  # one copy from the device for all
        largest = torch.stack([error.max().to(gramian) for error in errors]).max()
        seen = torch.cat([gramian.flatten(), largest[None]]).cpu()
        gramian, worst = seen[:-1].view_as(gramian), float(seen[-1])
    gramian = gramian.cpu()
    sizes = gramian.diagonal().sqrt()
    if not (worst < _LIMIT and bool(torch.isfinite(gramian).all())):
        return False
    present = sizes > 0
    unit = (gramian / (sizes[:, None] * sizes))[present][:, present]
    if not len(unit) or not worst:
        return True
    # eigenvalues are above a number if the matrix less that number on the diagonal has a Cholesky factor
    left = unit - worst / _LIMIT * torch.eye(len(unit), dtype=unit.dtype)
    return not int(torch.linalg.cholesky_ex(left).info)
