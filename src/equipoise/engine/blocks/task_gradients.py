"""Per-task gradients of a step as blocks: each representation knows its inner products and its mixtures."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Protocol

import torch
from torch import Tensor

from ...errors import EquipoiseError
from ..cost.plan import Plan
from ..graph.ownership import Ownership
from .dense import Jacobian
from .ghost import LinearRows
from .products import can_be_trusted
from .separable import SeparableRows
from .stacked import StackedRows

__all__ = ["Gradients", "Handout", "Own", "Part", "only_own"]

Own = list[tuple[Tensor, list[tuple[int, Tensor]]]]
"""Parameters that are not balanced, each with (row, gradient) of every task that has one."""

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
        """The weighted sum of the rows, one block a parameter; None where no task has a gradient."""
        ...

    def only(self, rows: Sequence[int]) -> "Part":
        """Some of the rows."""
        ...

    def of(self, parameters: Sequence[Tensor]) -> "Part":
        """Some of the parameters."""
        ...

    def nonfinite(self, row: int) -> tuple[Tensor | str, int, int] | None:
        """Where a row first holds NaN or inf (a parameter, or words), how many values do, and of how many."""
        ...


@dataclass(frozen=True, eq=False)
class Gradients:
    """What the passes of a step brought back.

    Attributes:
        parts: Rows over the shared parameters, in as many parts as there are ways to keep them.
        own: Every other parameter -> (row, gradient) for each task with one. More than one row only where `shared`
            was declared by the user and does not name it.
        plan: How.
        count: k, the number of rows.
        certified: Whether linear layers may be multiplied in their own precision, see `products`.
        power: Of two: what the losses were multiplied by for the passes.
        mixed: Whether the parts can be mixed. If not, they serve for weights only, and the weighted losses' own graph
            gives the direction.
        by_pass: Whether mixing is a backward pass, which may overflow where the rows did not.
        reached: Every leaf that some task reaches, where parts and `own` do not name them all.
        at_inputs: Weights of some rows, and which -> gradients of inputs that were not kept, by a pass of its own; None
            where there are none.
        rows: Which rows of those that came back these are; None for all.
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

    @property
    def numbers(self) -> Sequence[int]:
        """Which rows of those that came back these are."""
        return range(self.count) if self.rows is None else self.rows

    @property
    def shared(self) -> Jacobian:
        """The Jacobian over shared parameters, one row a present task.

        Raises:
            EquipoiseError: The gradients were not asked for with ``jacobian=True``, so it was never formed.
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

        Where float64 would cost more than a twelfth of the passes (many rows), and `certified` allows it, linear layers
        are first multiplied in their own precision, and once more in float64 where the result is too badly conditioned
        for that (`can_be_trusted`); else in float64 at once.
        """
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

    def combine(self, weights: Tensor) -> Handout:
        """Each shared parameter with the weighted sum of its gradients, scaled as they are."""
        found = []
        for part in self.parts:
            pairs = zip(part.parameters, part.combine(weights), strict=True)
            found += [(parameter, block) for parameter, block in pairs if block is not None]
        return found

    def parameters(self) -> list[Tensor]:
        """Every leaf that some task reaches."""
        if self.reached is not None:
            return list(self.reached)
        return [*self.shared_parameters(), *(parameter for parameter, _ in self.own)]

    def shared_parameters(self) -> list[Tensor]:
        """Every parameter that is balanced."""
        return [parameter for part in self.parts for parameter in part.parameters]

    def first_nonfinite(self, row: int, ownership: Ownership) -> str:
        """Where the gradient of one task first holds NaN or inf, for a message."""
        found = [spot for part in self.parts if (spot := part.nonfinite(row)) is not None]
        if not found:
            return "the products of gradients overflow float64"
        place, count, size = min(found, key=lambda spot: 0 if isinstance(spot[0], str) else ownership.order(spot[0]))
        words = place if isinstance(place, str) else f"values, first in {ownership.name(place)}"
        return f"{count} of {size} {words}"

    def only(self, rows: Sequence[int]) -> "Gradients":
        """What some of the rows alone would have given; products that are known are not made again."""
        kept = replace(
            self,
            parts=[part.only(rows) for part in self.parts],
            own=only_own(self.own, rows),
            count=len(rows),
            rows=[self.numbers[row] for row in rows],
        )
        if "products" in vars(self):
            gramian, again = self.products
            vars(kept)["products"] = (gramian[list(rows)][:, list(rows)], again)
        return kept

    def of(self, parameters: Iterable[Tensor]) -> "Gradients":
        """The same rows over some of the shared parameters: for weights of their own by layer or tensor.

        The products and mixtures of disjoint groups add up to those of the whole.
        """
        wanted = {id(parameter) for parameter in parameters}
        parts = []
        for part in self.parts:
            inside = [parameter for parameter in part.parameters if id(parameter) in wanted]
            if inside:
                parts.append(part if len(inside) == len(part.parameters) else part.of(inside))
        return replace(self, parts=parts)


def only_own(own: Own, rows: Sequence[int]) -> Own:
    """`Own` with only some of the rows, renumbered."""
    place = {row: number for number, row in enumerate(rows)}
    kept = [(leaf, [(place[n], gradient) for n, gradient in found if n in place]) for leaf, found in own]
    return [(leaf, found) for leaf, found in kept if found]


def _sum(terms: Sequence[Tensor], count: int) -> Tensor:
    if len(terms) == 1:
        return terms[0]
    total = torch.zeros(count, count, dtype=torch.float64)
    for number, term in enumerate(terms):
        total = term if number == 0 else total + term.to(total.device)
    return total
