r"""Tasks that own their rows of the batch: exact products from a single pass.

Where the trunk treats each row separately and every row of the features gets a gradient from at most one task, the sum
of the tasks' gradients goes back in one pass without mixing them. For a linear layer with inputs A and the pass's
output gradients D (N rows each),

.. math:: G_{st} = \sum_{i \in s,\, j \in t} (A A^\top)_{ij} (D D^\top)_{ij} ,

and the weighted gradient is :math:`A^\top \mathrm{diag}(w_{\mathrm{owner}}) D`. Neither depends on the number of tasks.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from .dense import Jacobian
from .products import Products

__all__ = ["SeparableRows", "sums_by_task"]

_BAND = 64  # rows of the product matrices formed at a time; narrower bands are slower


@dataclass(frozen=True, eq=False)
class SeparableRows:
    """Per-task gradients of one linear layer's weight, each from rows of its own.

    Attributes:
        parameter: Weight of the layer.
        inputs: (N, d_in) inputs of the layer.
        delta: (N, d_out) output gradients, summed over all tasks.
        owner: (N,) task number of each row; -1 for rows without a task.
        count: Number k of tasks.
        transposed: Whether the weight is kept as (d_out, d_in).
    """

    parameter: Tensor
    inputs: Tensor
    delta: Tensor
    owner: Tensor
    count: int
    transposed: bool

    @property
    def parameters(self) -> list[Tensor]:
        """The weight alone."""
        return [self.parameter]

    def gramian(self) -> Tensor:
        """(k, k) inner products of the weight gradients, float64 throughout.

        Cost: .6 N² (d_in + d_out) multiply-adds where rows are few, else one weight gradient and k² d_in d_out; the
        cheaper is taken.
        """
        by_rows, by_task = self._ways()
        if by_rows <= by_task:
            return self._products(torch.float64)
        rows = self._rows
        if rows.is_complex():
            return Jacobian([self.parameter], [[row] for row in rows]).gramian()
        flat, products = rows.view(self.count, -1), Products(self.count, rows.device)
        for columns in torch.split(flat, Products.width(*flat.shape), dim=1):
            products.add(columns.double())
        return products.matrix()

    def rounded(self) -> tuple[Tensor, Tensor] | None:
        r"""The products computed from the rows' products in the layer's precision (float32 at least), in half the time.

        Returns:
            (k, k), float64, and an estimate of each row's relative error, (k,): :math:`\epsilon c_t^2 / G_{tt}` with
            :math:`c_t = \sum_{i \in t} \|a_i\| \|d_i\|`, one rounding of each product of two rows of the inputs or the
            gradients. None where the layer is in float64, where rows are many, or where products are set to less than
            float32.
        """
        wide = torch.promote_types(self.delta.dtype, torch.float32)
        by_rows, by_task = self._ways()
        if wide == torch.float64 or by_rows > by_task or torch.get_float32_matmul_precision() != "highest":
            return None
        gramian = self._products(wide)
        sizes = [torch.linalg.vector_norm(rows, dim=1, dtype=wide) for rows in (self.inputs, self.delta)]
        held = sums_by_task((sizes[0] * sizes[1]).double()[:, None], self.owner, self.count).ravel()
        before = held.square() * torch.finfo(wide).eps
        return gramian, torch.where(before == 0, 0.0, before / gramian.diagonal())

    def _products(self, dtype: torch.dtype) -> Tensor:
        """(k, k) sums over pairs of rows, added up in float64; each pair is computed once."""
        inputs, delta, rows = self.inputs.to(dtype), self.delta.to(dtype), len(self.inputs)
        owner = torch.where(self.owner < 0, self.count, self.owner)
        halves = torch.zeros(self.count + 1, rows, dtype=torch.float64, device=inputs.device)
        for start in range(0, rows, _BAND):
            stop = min(start + _BAND, rows)
            pairs = (inputs[start:stop] @ inputs[:stop].T).double()
            pairs *= delta[start:stop] @ delta[:stop].T
            square = pairs[:, start:].tril_()
            square.diagonal().mul_(0.5)
            # added and not multiplied by zeros and ones, NaN and inf stay with the tasks that they belong to
            halves[:, :stop].index_add_(0, owner[start:stop], pairs)
        half = halves.new_zeros(self.count + 1, self.count + 1).index_add_(1, owner, halves)[: self.count, : self.count]
        return half + half.T

    def spared(self) -> tuple[float, float]:
        """Multiply-adds that `rounded` saves (a float64 product counted twice), and those of a plain step's passes."""
        return self._ways()[0], 3.0 * len(self.inputs) * self.inputs.shape[1] * self.delta.shape[1]

    def multiplications(self) -> float:
        """Multiply-adds of `gramian`, a float64 product counted twice."""
        return min(self._ways())

    def _ways(self) -> tuple[float, float]:
        rows, fan_in, fan_out = len(self.inputs), self.inputs.shape[1], self.delta.shape[1]
        by_rows = 0.6 * rows**2 * (fan_in + fan_out)
        return by_rows, (rows + 2 * self.count**2) * float(fan_in * fan_out)

    def combine(self, weights: Tensor) -> list[Tensor | None]:
        """The weighted weight gradient, from one product."""
        wide = torch.promote_types(self.delta.dtype, torch.float32)
        if "_rows" in self.__dict__:  # formed for the products
            mixed = torch.tensordot(weights.to(self._rows), self._rows, dims=1)
            return [mixed.to(self.parameter.dtype)]
        scaled = self.delta.to(wide) * _by_row(weights, self.owner).to(wide)
        return [self._product(self.inputs.to(wide), scaled).to(self.parameter.dtype)]

    def along(self, step: Sequence[Tensor]) -> Tensor:
        """(k,) inner products with a step of the weight, float64; the weight gradients are never formed."""
        moved = step[0].double()
        outputs = self.inputs.double() @ (moved.T if self.transposed else moved)
        by_row = (self.delta.double() * outputs).sum(dim=1, keepdim=True)
        return sums_by_task(by_row, self.owner, self.count).ravel()

    def row(self, task: int) -> Tensor:
        """One task's weight gradient, formed."""
        mine = torch.nonzero(self.owner == task).ravel()
        return self._product(self.inputs[mine], self.delta[mine])

    @cached_property
    def _rows(self) -> Tensor:
        """(k, ...) every task's weight gradient; rows are sorted by task once, not searched k times."""
        wide = torch.promote_types(self.delta.dtype, torch.float32)
        inputs, delta, owner = self.inputs.to(wide), self.delta.to(wide), self.owner
        if bool((owner[1:] < owner[:-1]).any()):
            order = torch.argsort(owner, stable=True)
            inputs, delta = inputs[order], delta[order]
        sizes = torch.bincount(owner + 1, minlength=self.count + 1).tolist()
        found = delta.new_empty(self.count, *self._product(inputs[:0], delta[:0]).shape)
        for slot, mine, own in zip(found, torch.split(inputs, sizes)[1:], torch.split(delta, sizes)[1:], strict=True):
            torch.mm(*((own.T, mine) if self.transposed else (mine.T, own)), out=slot)
        return found

    def only(self, rows: Sequence[int]) -> "SeparableRows":
        """Some of the tasks; the other tasks' rows, which may hold NaN, are dropped."""
        place = torch.full((self.count + 1,), -1, dtype=torch.int64, device=self.owner.device)
        place[torch.tensor(list(rows), device=place.device)] = torch.arange(len(rows), device=place.device)
        owner = place[self.owner]  # owner -1 reads the last place, which stays -1
        mine = torch.nonzero(owner >= 0).ravel()
        return SeparableRows(
            self.parameter, self.inputs[mine], self.delta[mine], owner[mine], len(rows), self.transposed
        )

    def of(self, parameters: Sequence[Tensor]) -> "SeparableRows":
        """The same: there is but one parameter."""
        assert len(parameters) == 1
        return self

    def nonfinite(self, row: int) -> tuple[Tensor, int, int] | None:
        """The weight, the count of NaN and inf in a task's gradient, and the weight's size."""
        count = int((~torch.isfinite(self.row(row))).sum())
        return (self.parameter, count, self.parameter.numel()) if count else None

    def _product(self, inputs: Tensor, delta: Tensor) -> Tensor:
        return delta.T @ inputs if self.transposed else inputs.T @ delta


def sums_by_task(delta: Tensor, owner: Tensor, k: int) -> Tensor:
    """(k, d) sum of each task's rows."""
    spread = owner.repeat_interleave(len(delta) // len(owner)) if len(delta) != len(owner) else owner
    wide = delta.to(torch.promote_types(delta.dtype, torch.float32))
    # added and not multiplied by zeros and ones, NaN and inf stay with the tasks that they belong to
    found = torch.zeros(k + 1, wide.shape[1], dtype=wide.dtype, device=wide.device)
    return found.index_add_(0, torch.where(spread < 0, k, spread), wide)[:k].to(delta.dtype)


def _by_row(weights: Tensor, owner: Tensor) -> Tensor:
    """(N, 1) weight of each row's task, 0 for rows without a task."""
    padded = torch.cat([weights.to(owner.device), torch.zeros(1, dtype=weights.dtype, device=owner.device)])
    return padded[owner][:, None]
