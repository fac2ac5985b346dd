"""Per-task gradients as blocks; each representation knows its inner products."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor
from torch._C._nn import unflatten_dense_tensors

from ...errors import EquipoiseError, NonFiniteError
from ..cost.plan import Plan
from ..graph.ownership import Ownership
from .dense import Jacobian
from .ghost import LinearRows
from .part import Handout, Own, Part, head_gradients, nonfinite_heads, only_own, sums_of
from .products import can_be_trusted
from .separable import SeparableRows

_LARGE = 2.0**96  # weights above this are applied in two factors: the gradients' own type may not hold them

__all__ = ["Gradients", "Handout", "Own", "Part", "StackedRows", "head_gradients", "nonfinite_heads", "only_own"]


@dataclass(frozen=True, eq=False)
class Gradients:
    """Per-task gradients of a step.

    Attributes:
        parts: Rows over the shared parameters, one part per representation.
        own: Every other parameter -> (row, gradient) for each task with one. More than one row only where the user's
            `shared` does not name it.
        plan: The plan by which the gradients were computed.
        count: Number k of rows.
        certified: Whether linear layers may be multiplied in their own precision, see `products`.
        power: Exponent of the power of two that multiplied the losses for the passes.
        mixed: Whether the parts can be mixed. If not, they serve for weights only, and the weighted losses' own graph
            gives the direction.
        by_pass: Whether mixing is a backward pass, which may overflow where the rows did not.
        reached: Every leaf that some task reaches, where parts and `own` do not name them all.
        at_inputs: Function from weights and row numbers to gradients of inputs that were not kept, by a separate pass;
            None where there are none.
        rows: Numbers of the original rows that these are; None for all.
        merged: Whether they are those of all ranks' rows already, as pieces of sharded parameters.
        packed: The gradients in `own` concatenated into one tensor, where they are few numbers and each belongs to one
            task; else None.
    """

    parts: Sequence[Part]
    own: Own
    plan: Plan
    count: int
    certified: bool = True
    power: int = 0
    mixed: bool = True
    by_pass: bool = False
    reached: Sequence[Tensor] | None = None
    at_inputs: Callable[[Tensor, Sequence[int]], Handout] | None = None
    rows: Sequence[int] | None = None
    packed: Tensor | None = None
    merged: bool = False

    @property
    def numbers(self) -> Sequence[int]:
        """Numbers of the original rows that these are."""
        return range(self.count) if self.rows is None else self.rows

    @property
    def shared(self) -> Jacobian:
        """The Jacobian over shared parameters, one row per present task.

        Raises:
            EquipoiseError: The gradients were computed without ``jacobian=True``, so it was never formed.
        """
        part = self.parts[0] if len(self.parts) == 1 else None
        if isinstance(part, Jacobian):
            return part
        if isinstance(part, StackedRows):
            return Jacobian(part.parameters, part.rows())
        if not self.parts:
            return Jacobian([], [[] for _ in range(self.count)])
        raise EquipoiseError("the Jacobian was never formed: ask for it with differentiate(..., jacobian=True).")

    def gramian(self) -> Tensor:
        """(k, k) inner products of the unscaled rows over the shared parameters, float64."""
        return self.products[0]

    @cached_property
    def products(self) -> tuple[Tensor, bool]:
        """The Gramian, and whether some products were made twice; computed once.

        Where float64 would cost more than a twelfth of the passes, and `certified` allows it, linear layers are first
        multiplied in their own precision, and again in float64 where the result is too badly conditioned for that.
        """
        if len(self.parts) == 1 and isinstance(self.parts[0], StackedRows):  # a small model: in float64 at once
            return self.parts[0].gramian(), False
        linear = [part for part in self.parts if isinstance(part, LinearRows | SeparableRows)] if self.certified else []
        spared = [part.spared() for part in linear]
        rounded: dict[int, tuple[Tensor, Tensor]] = {}
        if spared and 12 * sum(extra for extra, _ in spared) > sum(passes for _, passes in spared):
            rounded = {id(part): found for part in linear if (found := part.rounded()) is not None}
        terms = [rounded[id(part)][0] if id(part) in rounded else part.gramian() for part in self.parts]
        again = bool(rounded) and not can_be_trusted(_sum(terms, self.count), [error for _, error in rounded.values()])
        if again:
            pairs = zip(self.parts, terms, strict=True)
            terms = [part.gramian() if id(part) in rounded else term for part, term in pairs]
        total = _sum(terms, self.count)
        again = again or any(getattr(part, "again", False) for part in self.parts)
        return (total * 4.0**-self.power if self.power else total), again

    @cached_property
    def on_host(self) -> tuple[Tensor, list[float]]:
        """The Gramian in the CPU's memory, and sums of the own gradients; one copy from the device for both.

        NaN and inf make a sum NaN or inf, so finite sums mean finite gradients; the reverse may fail by overflow.
        """
        gramian = self.gramian()
        sums = sums_of([(None, [(0, self.packed)])] if self.packed is not None else self.own, gramian.device)
        if sums is None:
            return gramian.cpu(), []
        copied = torch.cat([gramian.flatten(), sums.to(gramian)]).cpu()
        return copied[: gramian.numel()].view_as(gramian), copied[gramian.numel() :].tolist()

    def combine(self, weights: Tensor) -> Handout:
        """Each shared parameter with the weighted sum of its gradients, scaled as they are.

        A method that divides by norms gives a nearly finished task a weight that the gradients' own type may not hold,
        though its product with them is of ordinary size: such weights are applied in two factors.

        Raises:
            NonFiniteError: The sum itself overflows the gradients' type.
        """
        largest = max(map(abs, weights.tolist()), default=0.0) if weights.device.type == "cpu" else 0.0
        second = 2.0 ** (math.frexp(largest)[1] - 64) if largest > _LARGE else 1.0
        found = []
        for part in self.parts:
            pairs = zip(part.parameters, part.combine(weights / second if second > 1 else weights), strict=True)
            found += [(parameter, block) for parameter, block in pairs if block is not None]
        if second > 1:
            found = [(parameter, block * second) for parameter, block in found]
            if not all(bool(torch.isfinite(block).all()) for _, block in found):
                raise NonFiniteError(
                    f"the balanced gradient must be finite in the type of the parameters; with a weight of "
                    f"{largest:.3g} for a task whose gradient almost vanishes it is not. Leave a finished task out of "
                    "the step, or choose a method whose weights sum to 1, such as MGDA()."
                )
        return found

    def on_own(self, weights: Tensor, factor: float) -> Handout:
        """`head_gradients` of `own`."""
        if self.packed is not None:
            shares = weights.tolist()
            if min(shares) == max(shares):
                leaves = [leaf for leaf, _ in self.own]
                blocks = unflatten_dense_tensors(self.packed * (shares[0] * factor), leaves)
                return list(zip(leaves, blocks, strict=True))
        return head_gradients(self.own, weights, factor)

    def nonfinite_own(self) -> dict[int, int]:
        """`nonfinite_heads` of `own`."""
        return {} if all(map(math.isfinite, self.on_host[1])) else nonfinite_heads(self.own)

    @property
    def found_power(self) -> int:
        """Exponent with which the next step begins, where float16 occurs; 0 where it does not."""
        return self.power

    def spots_own(self, ownership: Ownership) -> dict[int, str]:
        """Rows with NaN or inf in the gradient of an own parameter, each with words for a message."""
        return {row: f"first in {ownership.name(self.own[place][0])}" for row, place in self.nonfinite_own().items()}

    def parameters(self) -> list[Tensor]:
        """Every leaf that some task reaches."""
        if self.reached is not None:
            return list(self.reached)
        return [*self.shared_parameters(), *(parameter for parameter, _ in self.own)]

    def shared_parameters(self) -> list[Tensor]:
        """Every parameter that is balanced."""
        return [parameter for part in self.parts for parameter in part.parameters]

    def first_nonfinite(self, row: int, ownership: Ownership) -> str:
        """First place of NaN or inf in one task's gradient, as words for a message."""
        found = [spot for part in self.parts if (spot := part.nonfinite(row)) is not None]
        if not found:
            return "the products of gradients overflow float64"
        place, count, size = min(found, key=lambda spot: 0 if isinstance(spot[0], str) else ownership.order(spot[0]))
        words = place if isinstance(place, str) else f"values, first in {ownership.name(place)}"
        return f"{count} of {size} {words}"

    def only(self, rows: Sequence[int]) -> "Gradients":
        """Some of the rows; known products are not computed again."""
        kept = replace(
            self,
            parts=[part.only(rows) for part in self.parts],
            own=only_own(self.own, rows),
            count=len(rows),
            rows=[self.numbers[row] for row in rows],
            packed=None,
        )
        if "products" in vars(self):
            gramian, again = self.products
            vars(kept)["products"] = (gramian[list(rows)][:, list(rows)], again)
        return kept

    def of(self, parameters: Iterable[Tensor]) -> "Gradients":
        """The same rows over some of the shared parameters, for separate weights by layer or tensor.

        The products and mixtures of disjoint groups add up to those of all parameters.
        """
        wanted = {id(parameter) for parameter in parameters}
        parts = []
        for part in self.parts:
            inside = [parameter for parameter in part.parameters if id(parameter) in wanted]
            if inside:
                parts.append(part if len(inside) == len(part.parameters) else part.of(inside))
        return replace(self, parts=parts)


@dataclass(frozen=True, eq=False)
class StackedRows:
    """Rows over all shared parameters in one tensor.

    Attributes:
        parameters: Shared parameters, all of one type and on one device.
        values: (k, n) gradients of the parameters' type; n counts the numbers of all parameters.
    """

    parameters: Sequence[Tensor]
    values: Tensor

    def gramian(self) -> Tensor:
        """(k, k) inner products of the rows, float64, exactly symmetric. Cost: k² n multiply-adds."""
        wide = self.values.double()
        products = wide @ wide.T
        return (products + products.T).mul_(0.5)

    def along(self, step: Sequence[Tensor]) -> Tensor:
        """(k,) inner products of the rows with a step, given as one block per parameter; float64."""
        return self.values.double() @ torch.cat([block.reshape(-1).double() for block in step])

    def combine(self, weights: Tensor) -> list[Tensor | None]:
        """The weighted sum of the rows, one block per parameter."""
        return list(unflatten_dense_tensors(weights.to(self.values) @ self.values, list(self.parameters)))

    def only(self, rows: Sequence[int]) -> "StackedRows":
        """Some of the rows."""
        return StackedRows(self.parameters, self.values[list(rows)])

    def of(self, parameters: Sequence[Tensor]) -> "StackedRows":
        """Some of the parameters."""
        wanted = {id(parameter) for parameter in parameters}
        kept = [(parameter, block) for parameter, block in self._blocks() if id(parameter) in wanted]
        return StackedRows([parameter for parameter, _ in kept], torch.cat([block for _, block in kept], dim=1))

    def nonfinite(self, row: int) -> tuple[Tensor, int, int] | None:
        """The first parameter at which a row holds NaN or inf, the count of such values, and its size."""
        for parameter, block in self._blocks():
            count = int((~torch.isfinite(block[row])).sum())
            if count:
                return parameter, count, parameter.numel()
        return None

    def rows(self) -> list[list[Tensor]]:
        """For each task one gradient per parameter, of its shape: views."""
        blocks = [block.view(-1, *parameter.shape).unbind() for parameter, block in self._blocks()]
        return [[block[row] for block in blocks] for row in range(len(self.values))]

    def _blocks(self) -> list[tuple[Tensor, Tensor]]:
        pieces = self.values.split_with_sizes([parameter.numel() for parameter in self.parameters], dim=1)
        return list(zip(self.parameters, pieces, strict=True))


def _sum(terms: Sequence[Tensor], count: int) -> Tensor:
    if len(terms) == 1:
        return terms[0]
    total = torch.zeros(count, count, dtype=torch.float64)
    for number, term in enumerate(terms):
        total = term if number == 0 else total + term.to(total.device)
    return total
