"""Interface of every representation of per-task gradients, the forms that are passed on, and sums over heads."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from ..reals import reals

__all__ = ["Handout", "Kept", "Own", "Part", "head_gradients", "nonfinite_heads", "only_own", "sums_of"]

Own = list[tuple[Tensor, list[tuple[int, Tensor]]]]
"""Parameters that are not balanced, each with (row, gradient) for every task that has a gradient there."""

Handout = list[tuple[Tensor, Tensor]]
"""Parameters, or losses that lead to them, each with the gradient that it receives in `backward`."""


class Part(Protocol):
    """Per-task gradients of some parameters, in any form that can be multiplied and mixed."""

    @property
    def parameters(self) -> Sequence[Tensor]:
        """The parameters; no two parts share one."""
        ...

    def gramian(self) -> Tensor:
        """(k, k) inner products of the rows over these parameters, float64."""
        ...

    def combine(self, weights: Tensor) -> Sequence[Tensor | None]:
        """The weighted sum of the rows, one block per parameter; None where no task has a gradient."""
        ...

    def only(self, rows: Sequence[int]) -> "Part":
        """Some of the rows."""
        ...

    def of(self, parameters: Sequence[Tensor]) -> "Part":
        """Some of the parameters."""
        ...

    def nonfinite(self, row: int) -> tuple[Tensor | str, int, int] | None:
        """First place of NaN or inf in a row (a parameter, or words), the count of such values, and its size."""
        ...


@runtime_checkable
class Kept(Protocol):
    """Gradients that are still at hand after the weights were computed, so that a step can be multiplied with them."""

    def along(self, step: Sequence[Tensor]) -> Tensor | None:
        """(k,) inner products of the rows with a step, given as one block per parameter; float64."""
        ...


def only_own(own: Own, rows: Sequence[int]) -> Own:
    """`Own` with only some of the rows, renumbered."""
    place = {row: number for number, row in enumerate(rows)}
    kept = [(leaf, [(place[n], gradient) for n, gradient in found if n in place]) for leaf, found in own]
    return [(leaf, found) for leaf, found in kept if found]


def head_gradients(own: Own, weights: Tensor, factor: float) -> Handout:
    """Parameters that are not balanced, with the weighted sum of their gradients (half types summed in float32)."""
    factors = [weight * factor for weight in weights.tolist()]
    handout = []
    for leaf, rows in own:
        wide = torch.promote_types(leaf.dtype, torch.float32)
        total: Tensor | None = None
        for number, gradient in rows:
            block = gradient.to_dense() if gradient.is_sparse else gradient
            block = (block if block.dtype == wide else block.to(wide)) * factors[number]
            total = block if total is None else total.add_(block)
        if total is not None:
            handout.append((leaf, total if leaf.dtype == wide else total.to(leaf.dtype)))
    return handout


def nonfinite_heads(own: Own) -> dict[int, int]:
    """Rows with NaN or inf in the gradient of an own parameter, each with the place of the first in `own`."""
    sums = sums_of(own, own[0][0].device) if own else None
    if sums is None:
        return {}
    places = [(row, place, _values(block)) for place, (_, rows) in enumerate(own) for row, block in rows]
    entries = [entry for entry in places if entry[2].numel()]
    flags = torch.isfinite(sums).tolist()
    found: dict[int, int] = {}
    for (row, place, block), fine in zip(entries, flags, strict=True):
        if not fine and not bool(torch.isfinite(block).all()):  # a sum of finite numbers may overflow
            found.setdefault(row, place)
    return found


def sums_of(own: Sequence[tuple[Tensor | None, Sequence[tuple[int, Tensor]]]], device: torch.device) -> Tensor | None:
    """The sum of each gradient with numbers, which reads each once; None where there is none."""
    blocks = [values for _, rows in own for _, block in rows if (values := _values(block)).numel()]
    if not blocks:
        return None
    sums = [block.sum(dtype=torch.promote_types(block.dtype, torch.float32)) for block in blocks]
    if len({(total.dtype, total.device) for total in sums}) > 1:
        sums = [total.to(device, torch.float64) for total in sums]
    return torch.stack(sums)


def _values(block: Tensor) -> Tensor:
    values = block.coalesce().values() if block.is_sparse else block
    return reals(values) if values.is_complex() else values  # a sum in float64 would lose the imaginary parts
