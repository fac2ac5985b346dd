"""Per-task gradients, kept as one block per parameter, never flattened."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from ..pieces import is_sharded, local_of
from ..reals import real_count, reals
from .products import Products

__all__ = ["Jacobian"]

_COLUMNS = 1 << 16  # columns multiplied at a time, for products of two batches
_FEW = 1 << 18  # numbers that are copied together: for so few, every single operation would cost more than its copy


@dataclass(frozen=True, eq=False)
class Jacobian:
    """Gradients of k losses with respect to some parameters.

    Attributes:
        parameters: The p tensors that were differentiated.
        rows: k rows of p gradients, each of its parameter's shape, or of one shape where the parameter is sharded; None
            stands for zero.
    """

    parameters: Sequence[Tensor]
    rows: Sequence[Sequence[Tensor | None]]

    @cached_property
    def likes(self) -> list[Tensor]:
        """A tensor of the shape and type of each parameter's gradients here, which may be pieces (`pieces`)."""
        return [self._like(number) if is_sharded(p) else p for number, p in enumerate(self.parameters)]

    def _like(self, number: int) -> Tensor:
        present = (row[number] for row in self.rows)
        return next((block for block in present if block is not None), local_of(self.parameters[number]))

    def gramian(self, products: torch.dtype = torch.float64) -> Tensor:
        """Inner products of the rows.

        Args:
            products: Type in which rows are multiplied. With float32, sums of 512 products are added up in float64.

        Returns:
            (k, k), float64, on the device of the first parameter. Relative error about 1e-15
            of the product of the norms; about 5e-8 with products in float32.
        """
        k = len(self.rows)
        device = self.parameters[0].device if self.parameters else torch.device("cpu")
        total = torch.zeros(k, k, dtype=torch.float64, device=device)
        by_device: dict[torch.device, list[int]] = {}
        for number, parameter in enumerate(self.parameters):
            if any(row[number] is not None for row in self.rows):
                by_device.setdefault(parameter.device, []).append(number)
        for place, numbers in by_device.items():
            total += self._products(numbers, place, products).to(device)
        return total

    def _products(self, numbers: Sequence[int], device: torch.device, dtype: torch.dtype) -> Tensor:
        """Rows are copied side by side into a buffer, small parameters together, and multiplied."""
        k = len(self.rows)
        products = Products(k, device)
        columns = sum(real_count(self.likes[number]) for number in numbers)
        dense = not any(block is not None and block.is_sparse for row in self.rows for block in row)
        if k * columns <= _FEW and dense:
            stacks = [self.real_rows(number).to(dtype) for number in numbers]
            products.add(stacks[0] if len(stacks) == 1 else torch.cat(stacks, dim=1))
            return products.matrix()
        width = Products.width(k, columns)
        buffer = torch.empty(k, width, dtype=dtype, device=device)
        filled = 0
        for number in numbers:
            flat = _side_by_side([row[number] for row in self.rows])
            size, start = next(len(values) for values in flat if values is not None), 0
            while start < size:
                stop = min(size, start + width - filled)
                for slot, values in zip(buffer, flat, strict=True):
                    window = slot[filled : filled + stop - start]
                    if values is None:
                        window.zero_()
                    else:
                        window.copy_(values[start:stop])
                filled, start = filled + stop - start, stop
                if filled == width:
                    products.add(buffer)
                    filled = 0
        if filled:
            products.add(buffer[:, :filled])
        return products.matrix()

    def real_rows(self, number: int) -> Tensor:
        """(k, m) gradients of one parameter, as m real numbers per row."""
        stack = self._stack(number)
        return torch.view_as_real(stack.resolve_conj()).flatten(1) if stack.is_complex() else stack

    def _stack(self, number: int) -> Tensor:
        """(k, size of the parameter) gradients of one parameter."""
        like = self.likes[number]
        blocks = [torch.zeros_like(like) if (block := row[number]) is None else block for row in self.rows]
        if any([block.is_sparse for block in blocks]):  # noqa: C419 - a generator costs a call an entry
            blocks = [block.to_dense() for block in blocks]
        return torch.stack(blocks).reshape(len(blocks), like.numel())

    def combine(self, weights: Tensor) -> list[Tensor | None]:
        """The weighted sum of the rows.

        Args:
            weights: (k,) weight of each row.

        Returns:
            One tensor per parameter, of its shape and type (half types are summed in float32), sparse where every row
            is; None where every row has None.
        """
        scalars: Sequence[float | Tensor] = weights.tolist() if weights.device.type == "cpu" else weights.unbind()
        return [self._combine_one(number, weights, scalars) for number in range(len(self.parameters))]

    def _combine_one(self, number: int, weights: Tensor, scalars: Sequence[float | Tensor]) -> Tensor | None:
        parameter, blocks = self.likes[number], [row[number] for row in self.rows]
        if len(blocks) * parameter.numel() <= _FEW and not any(block is None or block.is_sparse for block in blocks):
            together = self._stack(number)
            together = together.to(torch.promote_types(together.dtype, torch.float32))
            return (weights.to(together) @ together).to(parameter.dtype).reshape(parameter.shape)
        total: Tensor | None = None
        sparse = all(row[number] is None or row[number].is_sparse for row in self.rows)  # type: ignore[union-attr]
        for scalar, row in zip(scalars, self.rows, strict=True):
            block = row[number]
            if block is None:
                continue
            wide = block.to_dense() if block.is_sparse and not sparse else block
            wide = wide.to(torch.promote_types(block.dtype, torch.float32))
            if isinstance(scalar, float) and total is not None and not sparse:
                total.add_(wide, alpha=scalar)
                continue
            term = wide * (scalar.to(wide) if isinstance(scalar, Tensor) else scalar)
            total = term if total is None else total.add_(term)
        if total is None:
            return None
        return (total.coalesce() if sparse else total).to(parameter.dtype)

    def map(self, function: Callable[[Tensor], Tensor]) -> "Jacobian":
        """The Jacobian with a function applied to every block."""
        rows = [[None if block is None else function(block) for block in row] for row in self.rows]
        return Jacobian(self.parameters, rows)

    def only(self, rows: Sequence[int]) -> "Jacobian":
        """Some of the rows."""
        return Jacobian(self.parameters, [self.rows[i] for i in rows])

    def of(self, parameters: Sequence[Tensor]) -> "Jacobian":
        """Some of the parameters."""
        wanted = {id(parameter) for parameter in parameters}
        chosen = [number for number, parameter in enumerate(self.parameters) if id(parameter) in wanted]
        return Jacobian([self.parameters[n] for n in chosen], [[row[n] for n in chosen] for row in self.rows])

    def nonfinite(self, row: int) -> tuple[Tensor, int, int] | None:
        """The first parameter at which a row holds NaN or inf, the count of such values, and its size."""
        for parameter, block in zip(self.parameters, self.rows[row], strict=True):
            if block is not None:
                values = block.coalesce().values() if block.is_sparse else block
                count = int((~torch.isfinite(values)).sum())
                if count:
                    return parameter, count, values.numel()
        return None

    def flat(self) -> Tensor:
        """(k, n) all blocks side by side, float64, for methods that work on coordinates."""
        if not self.parameters:
            return torch.zeros(len(self.rows), 0, dtype=torch.float64)
        return torch.stack(
            [
                torch.cat(
                    [
                        torch.zeros(real_count(parameter), dtype=torch.float64, device=parameter.device)
                        if block is None
                        else reals(block).double()
                        for parameter, block in zip(self.likes, row, strict=True)
                    ]
                )
                for row in self.rows
            ]
        )

    def cross(self, other: "Jacobian") -> Tensor:
        """J1 J2^T over the parameters in both, for methods that sample twice.

        Args:
            other: Gradients of the same k losses on another batch, or any other rows over some of the parameters.

        Returns:
            (k, number of the other's rows), float64; row i belongs to gradient i of this one. Not symmetric.

        Example:
            >>> w = torch.zeros(2, requires_grad=True)
            >>> one, two = Jacobian([w], [[torch.tensor([1.0, 2.0])]]), Jacobian([w], [[torch.tensor([3.0, -1.0])]])
            >>> one.cross(two)
            tensor([[1.]], dtype=torch.float64)
        """
        device = self.parameters[0].device if self.parameters else torch.device("cpu")
        total = torch.zeros(len(self.rows), len(other.rows), dtype=torch.float64, device=device)
        place = {id(parameter): number for number, parameter in enumerate(other.parameters)}
        for number, parameter in enumerate(self.parameters):
            if id(parameter) in place:
                left, right = self._flat(number), other._flat(place[id(parameter)])
                for start in range(0, real_count(self.likes[number]), _COLUMNS):
                    columns = slice(start, start + _COLUMNS)
                    total += (_wide(left, columns) @ _wide(right, columns).T).to(device)
        return total

    def along(self, step: Sequence[Tensor]) -> Tensor:
        """(k,) inner products of the rows with a step, given as one block per parameter; float64."""
        return self.cross(Jacobian(self.parameters, [step]))[:, 0]

    def _flat(self, number: int) -> list[Tensor]:
        """Each row's gradient of one parameter as real numbers; dense ones are not copied."""
        like = self.likes[number]
        return [reals(torch.zeros_like(like) if (block := row[number]) is None else block) for row in self.rows]


def _wide(rows: Sequence[Tensor], columns: slice) -> Tensor:
    return torch.stack([row[columns] for row in rows]).double()


def _side_by_side(blocks: Sequence[Tensor | None]) -> list[Tensor | None]:
    """Flat rows of equal length; sparse ones are expanded to the slices that occur in any row."""
    present = [block for block in blocks if block is not None]
    if not all(block.is_sparse for block in present):
        return [None if block is None else reals(block) for block in blocks]
    held = [None if block is None else block.coalesce() for block in blocks]
    places = torch.cat([block.indices() for block in held if block is not None], dim=1)
    _, owner = torch.unique(places, dim=1, return_inverse=True)
    count, start = int(owner.max()) + 1 if len(owner) else 0, 0
    found: list[Tensor | None] = []
    for block in held:
        if block is None:
            found.append(None)
            continue
        values = block.values()
        laid = torch.zeros(count, *values.shape[1:], dtype=values.dtype, device=values.device)
        laid[owner[start : start + len(values)]] = values
        start += len(values)
        found.append(reals(laid))
    return found
