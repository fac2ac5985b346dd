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

_BUFFER = 4 << 20  # bytes multiplied at a time: they stay in the processor's cache
_STRETCH = 1 << 15  # numbers mixed at a time
_SHARE = 40  # or a fortieth of the gradients held in any case, where that is more
_MIXED = 192  # and at least this number of columns
_COLUMNS = 256  # least number multiplied at a time, or the products become too thin
_TRIANGLE = 0.65  # of a full product
_BAND = 64  # rows of the triangular factor multiplied at a time; the zeros below it are skipped


@dataclass(frozen=True, eq=False)
class LinearRows:
    """Per-task gradients of one linear layer's weight, kept as output gradients.

    Attributes:
        parameter: Weight of the layer.
        inputs: (N, d_in) inputs of the layer, the same for all tasks.
        deltas: k output gradients (N, d_out); None stands for zero.
        transposed: Whether the weight is kept as (d_out, d_in), as `nn.Linear` does.
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
        """(k, k) inner products of the weight gradients, float64 throughout; relative error about 1e-14.

        Cost: 2 N² d_in + k N² d_out (about two thirds of it, R being triangular) + k² N d_out / 2 multiply-adds.
        """
        return self._products(triangular_factor(self.inputs.double()))

    def rounded(self) -> tuple[Tensor, Tensor] | None:
        r"""The products by way of R and R D in the layer's precision (float32 at least), in about half the time.

        Returns:
            (k, k), float64, and an estimate of each row's relative error, (k,): :math:`\epsilon \|A\| \|D_t\| /
            \|A^\top D_t\|`, one rounding of the sum of absolute values; measured errors are a tenth of it and less.
            None where the layer is in float64, or where products are set to less than float32.
        """
        if self.inputs.dtype == torch.float64:
            return None
        if torch.get_float32_matmul_precision() != "highest":  # bfloat16 or TF32 inside: the estimate is not theirs
            return None
        factor = triangular_factor(self.inputs)
        sizes = torch.zeros(len(self.deltas), dtype=torch.float64, device=factor.device)
        gramian = self._products(factor, sizes)
        before = sizes * (factor.norm().double() * torch.finfo(factor.dtype).eps)
        return gramian, torch.where(before == 0, 0.0, before / gramian.diagonal().sqrt())

    def spared(self) -> tuple[float, float]:
        """Multiply-adds that `rounded` saves, and those of a step's passes: forward, k backward, weights."""
        (rows, fan_in), k = self.inputs.shape, len(self.deltas)
        fan_out = self.parameter.numel() / fan_in
        return _TRIANGLE * k * rows**2 * fan_out, (k + 2.0) * rows * fan_in * fan_out

    def _products(self, factor: Tensor, sizes: Tensor | None = None) -> Tensor:
        """Inner products of R D_t over the tasks, in stripes of columns; writes the norms of D_t into `sizes`."""
        k, device = len(self.deltas), self.inputs.device
        total = torch.zeros(k, k, dtype=torch.float64, device=device)
        present = [(row, delta) for row, delta in enumerate(self.deltas) if delta is not None]
        if not present:
            return total
        height, fan_out = len(factor), present[0][1].shape[1]
        stripes = -(-fan_out // max(_COLUMNS, _BUFFER // (len(present) * height * factor.element_size())))
        width = -(-fan_out // stripes)
        products = Products(len(present), device)
        buffer = torch.empty(len(present), height * width, dtype=factor.dtype, device=device)
        for start in range(0, fan_out, width):
            columns = slice(start, min(start + width, fan_out))
            buffer = buffer[:, : height * (columns.stop - start)]
            for slot, (row, delta) in zip(buffer, present, strict=True):
                if sizes is not None and start == 0:  # the product then finds it near the processor
                    sizes[row] = torch.linalg.vector_norm(delta, dtype=factor.dtype)
                stripe = delta if stripes == 1 else delta[:, columns]
                _triangular_product(factor, stripe.to(factor), slot.view(height, -1))
            products.add(buffer)
        index = torch.tensor([row for row, _ in present], device=device)
        total[index[:, None], index] = products.matrix()
        return total

    def along(self, step: Sequence[Tensor]) -> Tensor:
        """(k,) inner products with a step V of the weight, <A^T D_t, V> = <D_t, A V>; float64. Cost: N d_in d_out."""
        moved = step[0].double()
        outputs = self.inputs.double() @ (moved.T if self.transposed else moved)
        products = [
            torch.zeros_like(outputs[:1, 0]).sum() if d is None else (d.double() * outputs).sum() for d in self.deltas
        ]
        return torch.stack(products)

    def combine(self, weights: Tensor) -> list[Tensor | None]:
        """The weighted weight gradient, from one product."""
        present = [(row, delta) for row, delta in enumerate(self.deltas) if delta is not None]
        if not present:
            return [None]
        scalars = weights.tolist()
        wide = torch.promote_types(self.inputs.dtype, torch.float32)
        inputs, (first, delta), rest = self.inputs.to(wide), present[0], present[1:]
        out = torch.empty(self.parameter.shape, dtype=wide, device=inputs.device)
        width = max(_MIXED, len(self.deltas) * delta.shape[1] // _SHARE, _STRETCH // len(inputs))
        for start in range(0, delta.shape[1], width):  # in stretches, so that little is held beside the rows
            columns = slice(start, start + width)
            total = delta[:, columns].to(wide) * scalars[first]
            for row, other in rest:
                total.add_(other[:, columns].to(wide), alpha=scalars[row])
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
        """The weight, the count of NaN and inf in a task's gradient (formed for that), and the weight's size."""
        gradient = self.row(row)
        count = 0 if gradient is None else int((~torch.isfinite(gradient)).sum())
        return (self.parameter, count, self.parameter.numel()) if count else None

    def _product(self, delta: Tensor) -> Tensor:
        inputs = self.inputs.to(delta)
        return delta.T @ inputs if self.transposed else inputs.T @ delta


def triangular_factor(inputs: Tensor) -> Tensor:
    """R of the QR decomposition of the transposed inputs.

    Args:
        inputs: (N, d_in) inputs of the layer, of any float type; half types are widened.

    Returns:
        (min(N, d_in), N), upper triangular (a trapezoid for N > d_in), with ``R.T @ R == inputs @ inputs.T``.
    """
    wide = inputs.to(torch.promote_types(inputs.dtype, torch.float32))
    height = min(wide.shape)
    return torch.geqrf(wide.T)[0][:height].triu()


def _triangular_product(factor: Tensor, delta: Tensor, out: Tensor) -> None:
    """Writes ``factor @ delta``, skipping the zeros of the triangle."""
    height = len(factor)
    if height < 2 * _BAND:
        torch.mm(factor, delta, out=out)
        return
    for start in range(0, height, _BAND):
        rows = slice(start, start + _BAND)
        torch.mm(factor[rows, start:], delta[start:], out=out[rows])
