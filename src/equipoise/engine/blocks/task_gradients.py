"""What the passes brought back: parts that each know their own products, whatever form they are kept in."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor

from ...errors import EquipoiseError
from ..cost.plan import Plan
from ..graph.ownership import Ownership
from ..passes.separable import SeparableRows
from .dense import Jacobian
from .ghost import LinearRows
from .rounding import can_be_trusted

__all__ = ["Gradients", "Own", "Part"]

Own = list[tuple[Tensor, list[tuple[int, Tensor]]]]
"""Parameters that are not balanced, each with (row, gradient) of every task that has one."""


class Part(Protocol):
    """Per-task gradients of some parameters, in any form that can be multiplied and mixed."""

    @property
    def parameters(self) -> Sequence[Tensor]:
        """The parameters; no two parts share one."""
        ...

    def gramian(self) -> Tensor:
        """(k, k) inner products of the rows over these parameters, float64."""
        ...

    def combine(self, weights: Tensor) -> list[Tensor | None]:
        """The weighted sum of the rows, one block a parameter; None where no task has a gradient."""
        ...

    def only(self, rows: Sequence[int]) -> "Part":
        """Some of the rows."""
        ...

    def of(self, parameters: Sequence[Tensor]) -> "Part":
        """Some of the parameters."""
        ...

    def nonfinite(self, row: int) -> tuple[Tensor, int, int] | None:
        """The first parameter at which a row holds NaN or inf, how many values do, and of how many."""
        ...


@dataclass(frozen=True, eq=False)
class Gradients:
    """What came back.

    Attributes:
        parts: Rows over the shared parameters, in as many parts as there are ways to keep them.
        own: Every other parameter -> (row, gradient) for each task with one. More than one row only where `shared`
            was declared by the user and does not name it.
        plan: How.
        count: k, the number of rows.
        certified: Whether linear layers may be multiplied in their own precision, see `products`.
    """

    parts: Sequence[Part]
    own: Own
    plan: Plan
    count: int
    certified: bool = True

    @property
    def shared(self) -> Jacobian:
        """The Jacobian over shared parameters, one row a present task.

        Raises:
            EquipoiseError: The gradients were not asked for with ``jacobian=True``, so it was never formed.
        """
        if len(self.parts) == 1 and isinstance(self.parts[0], Jacobian):
            return self.parts[0]
        if not self.parts:
            return Jacobian([], [[] for _ in range(self.count)])
        raise EquipoiseError("the Jacobian was never formed: ask for it with differentiate(..., jacobian=True).")

    def gramian(self) -> Tensor:
        """(k, k) inner products over the shared parameters, float64."""
        return self.products()[0]

    def products(self) -> tuple[Tensor, bool]:
        """The Gramian, and whether linear layers were multiplied twice.

        Where float64 would cost more than a twelfth of the passes (many rows), and `certified` allows it, linear layers
        are first multiplied in their own precision, and once more in float64 where the result is too badly conditioned
        for that (`can_be_trusted`); else in float64 at once.
        """
        spared = [part.spared() for part in self.parts if isinstance(part, LinearRows | SeparableRows)]
        certified = self.certified and 12 * sum(extra for extra, _ in spared) > sum(passes for _, passes in spared)
        rounded = [
            part.rounded() if certified and isinstance(part, LinearRows | SeparableRows) else None
            for part in self.parts
        ]
        terms = [part.gramian() if found is None else found[0] for part, found in zip(self.parts, rounded, strict=True)]
        errors = [found[1] for found in rounded if found is not None]
        total = self._sum(terms)
        if not errors or can_be_trusted(total, errors):
            return total, False
        both = zip(self.parts, terms, rounded, strict=True)
        return self._sum([term if found is None else part.gramian() for part, term, found in both]), True

    def _sum(self, terms: Sequence[Tensor]) -> Tensor:
        total = torch.zeros(self.count, self.count, dtype=torch.float64)
        for number, term in enumerate(terms):
            total = term if number == 0 else total + term.to(total.device)
        return total

    def combine(self, weights: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Each shared parameter with the weighted sum of its gradients."""
        found = []
        for part in self.parts:
            pairs = zip(part.parameters, part.combine(weights), strict=True)
            found += [(parameter, block) for parameter, block in pairs if block is not None]
        return found

    def parameters(self) -> list[Tensor]:
        """Every parameter that some task reaches."""
        return [*self.shared_parameters(), *(parameter for parameter, _ in self.own)]

    def shared_parameters(self) -> list[Tensor]:
        """Every parameter that is balanced."""
        return [parameter for part in self.parts for parameter in part.parameters]

    def first_nonfinite(self, row: int, ownership: Ownership) -> str:
        """Where the gradient of one task first holds NaN or inf, for a message."""
        found = [spot for part in self.parts if (spot := part.nonfinite(row)) is not None]
        if not found:
            return "the products of gradients overflow float64"
        parameter, count, size = min(found, key=lambda spot: ownership.order(spot[0]))
        return f"{count} of {size} values, first in {ownership.name(parameter)}"

    def only(self, rows: Sequence[int]) -> "Gradients":
        """What some of the rows alone would have given."""
        place = {row: number for number, row in enumerate(rows)}
        own = [(leaf, [(place[n], gradient) for n, gradient in found if n in place]) for leaf, found in self.own]
        kept = [(leaf, found) for leaf, found in own if found]
        return replace(self, parts=[part.only(rows) for part in self.parts], own=kept, count=len(rows))

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
