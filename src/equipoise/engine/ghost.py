r"""Linear layers without their per-task weight gradients.

A layer computes :math:`Y = A W`, with inputs :math:`A` (N rows, d_in columns) that all tasks share. Task t's output
gradient is :math:`D_t` (N, d_out) and its weight gradient :math:`A^\top D_t` is never formed. With the triangular
factor of :math:`A^\top = Q R` (Q with orthonormal columns, R of N by N),

.. math:: \langle A^\top D_s, A^\top D_t \rangle = \langle R D_s, R D_t \rangle ,

so :math:`R D_t` is the gradient in an orthonormal basis of the rows of A: an isometry, whose rounding is that of the
gradient itself. (The shorter :math:`\langle D_s, (A A^\top) D_t \rangle` rounds with the square of A's condition and
can lose semidefiniteness.) The weighted gradient is one product, :math:`A^\top \sum_t w_t D_t`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .products import Products

__all__ = ["LinearRows", "triangular_factor"]

_BUFFER = 1 << 19  # float64 numbers converted at a time: 4 MiB stays near the processor
_STRETCH = 1 << 15  # numbers mixed at a time
_COLUMNS = 256  # but at least so many columns, or the products become too thin
_BAND = 64  # rows of the triangular factor multiplied at a time; the zeros below it are skipped


@dataclass(frozen=True, eq=False)
class LinearRows:
    """Per-task gradients of one linear layer's weight, kept as output gradients.

    Attributes:
        parameter: The weight.
        inputs: (N, d_in), shared by all tasks.
        deltas: k output gradients (N, d_out); None stands for zero.
        transposed: The weight is kept as (d_out, d_in), as `nn.Linear` does.
    """

    parameter: Tensor
    inputs: Tensor
    deltas: Sequence[Tensor | None]
    transposed: bool

    @property
    def parameters(self) -> list[Tensor]:
        """The weight alone."""
        return [self.parameter]

    def gramian(self) -> Tensor:
        """(k, k) inner products of the weight gradients, float64.

        Few rows (8 N <= d_in): everything in float64, which is then cheap; relative error about 1e-14. Else R and
        R D are computed in the layer's precision (float32 at least) and the products of the results in float64;
        measured relative error 5e-9 to 3e-8 in float32. Cost: 2 N² d_in + k N² d_out (about two thirds of it, R being
        triangular) + k² N d_out multiply-adds.
        """
        k, device = len(self.deltas), self.inputs.device
        total = torch.zeros(k, k, dtype=torch.float64, device=device)
        present = [(row, delta) for row, delta in enumerate(self.deltas) if delta is not None]
        if not present:
            return total
        exact = 8 * len(self.inputs) <= self.inputs.shape[1]
        factor = triangular_factor(self.inputs.double() if exact else self.inputs)
        height, fan_out = len(factor), present[0][1].shape[1]
        width = min(fan_out, max(_COLUMNS, _BUFFER // (len(present) * height)))
        products = Products(len(present), device)
        buffer = torch.empty(len(present), height * width, dtype=torch.float64, device=device)
        for start in range(0, fan_out, width):
            columns = min(width, fan_out - start)
            buffer = buffer[:, : height * columns]
            for slot, (_, delta) in zip(buffer, present, strict=True):
                _triangular_product(factor, delta[:, start : start + columns].to(factor), slot.view(height, columns))
            products.add(buffer)
        index = torch.tensor([row for row, _ in present], device=device)
        total[index[:, None], index] = products.matrix()
        return total

    def combine(self, weights: Tensor) -> list[Tensor | None]:
        """The weighted weight gradient, from one product."""
        present = [(row, delta) for row, delta in enumerate(self.deltas) if delta is not None]
        if not present:
            return [None]
        scalars = weights.tolist()
        wide = torch.promote_types(self.inputs.dtype, torch.float32)
        inputs, fan_out = self.inputs.to(wide), present[0][1].shape[1]
        out = torch.empty(self.parameter.shape, dtype=wide, device=inputs.device)
        width = max(_COLUMNS // 2, _STRETCH // len(inputs))
        for start in range(0, fan_out, width):  # in stretches, so that little is held beside the rows
            columns = slice(start, start + width)
            total = present[0][1][:, columns].to(wide) * scalars[present[0][0]]
            for row, delta in present[1:]:
                total.add_(delta[:, columns].to(wide), alpha=scalars[row])
            if self.transposed:
                torch.mm(total.T, inputs, out=out[columns])
            else:
                torch.mm(inputs.T, total, out=out[:, columns])
        return [out.to(self.parameter.dtype)]

    def row(self, number: int) -> Tensor | None:
        """One task's weight gradient, formed."""
        delta = self.deltas[number]
        if delta is None:
            return None
        wide = delta.to(torch.promote_types(self.inputs.dtype, torch.float32))
        return self._product(wide).to(self.parameter.dtype)

    def only(self, rows: Sequence[int]) -> "LinearRows":
        """Some of the rows."""
        return LinearRows(self.parameter, self.inputs, [self.deltas[row] for row in rows], self.transposed)

    def of(self, parameters: Sequence[Tensor]) -> "LinearRows":
        """The same: there is but one parameter."""
        assert len(parameters) == 1
        return self

    def nonfinite(self, row: int) -> tuple[Tensor, int, int] | None:
        """Where a task's gradient holds NaN or inf; it is formed to be counted."""
        gradient = self.row(row)
        count = 0 if gradient is None else int((~torch.isfinite(gradient)).sum())
        return (self.parameter, count, self.parameter.numel()) if count else None

    def _product(self, delta: Tensor) -> Tensor:
        inputs = self.inputs.to(delta)
        return delta.T @ inputs if self.transposed else inputs.T @ delta


def triangular_factor(inputs: Tensor) -> Tensor:
    """R of the QR decomposition of the transposed inputs.

    Args:
        inputs: (N, d_in), any float type; half types are widened.

    Returns:
        (min(N, d_in), N), upper triangular (a trapezoid for N > d_in), with ``R.T @ R == inputs @ inputs.T``.
    """
    wide = inputs.to(torch.promote_types(inputs.dtype, torch.float32))
    height = min(wide.shape)
    return torch.geqrf(wide.T)[0][:height].triu()


def _triangular_product(factor: Tensor, delta: Tensor, out: Tensor) -> None:
    """Writes ``factor @ delta`` into a float64 tensor, skipping what is zero."""
    height = len(factor)
    if height < 2 * _BAND:
        if factor.dtype == out.dtype:
            torch.mm(factor, delta, out=out)
        else:
            out.copy_(factor @ delta)
        return
    for start in range(0, height, _BAND):
        stop = min(start + _BAND, height)
        out[start:stop].copy_(factor[start:stop, start:] @ delta[start:])
