"""Gradients over ranks as parts: rows scattered by columns, and a rank's own rows under merged products."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..blocks.dense import Jacobian
from ..blocks.task_gradients import Part
from ..reals import of_reals, real_count
from .wire import Wire

__all__ = ["RankRows", "ScatteredRows"]


@dataclass(frozen=True, eq=False)
class RankRows:
    """Products of the merged rows, mixtures of this rank's: for gradients that are averaged after they are handed out.

    Attributes:
        parameters: Parameters of the rows, whether or not this rank has a gradient there.
        products: (k, k) Gramian of the merged rows, float64.
        inner: Gradients of this rank's tasks; None where it has none.
        places: Merged row of each of them.
        factors: (number of these,) factor of each in a mixture, float64.
    """

    parameters: Sequence[Tensor]
    products: Tensor
    inner: Part | None
    places: Sequence[int]
    factors: Tensor

    def gramian(self) -> Tensor:
        """(k, k) inner products of the merged rows."""
        return self.products

    def combine(self, weights: Tensor) -> list[Tensor | None]:
        """This rank's part of the weighted sum."""
        if self.inner is None or not self.places:
            return [None] * len(self.parameters)
        mine = weights[list(self.places)] * self.factors.to(weights)
        found = {id(p): block for p, block in zip(self.inner.parameters, self.inner.combine(mine), strict=True)}
        return [found.get(id(parameter)) for parameter in self.parameters]

    def only(self, rows: Sequence[int]) -> "RankRows":
        """Some of the merged rows."""
        place = {row: number for number, row in enumerate(rows)}
        kept = [number for number, row in enumerate(self.places) if row in place]
        return replace(
            self,
            products=self.products[list(rows)][:, list(rows)],
            inner=None if self.inner is None else self.inner.only(kept),
            places=[place[self.places[number]] for number in kept],
            factors=self.factors[kept],
        )

    def of(self, parameters: Sequence[Tensor]) -> "RankRows":
        """Not possible; settings that need it merge whole rows."""
        raise NotImplementedError

    def nonfinite(self, row: int) -> tuple[Tensor | str, int, int] | None:
        """First place of NaN or inf in this rank's part of a row."""
        if self.inner is None or row not in self.places:
            return None
        return self.inner.nonfinite(list(self.places).index(row))


@dataclass(frozen=True, eq=False)
class ScatteredRows:
    """Merged rows, of which each rank holds some columns.

    Attributes:
        parameters: Parameters of the rows, of one type.
        values: (k, m) this rank's columns; the last may be zeros that fill up the last rank.
        products: (k, k) Gramian of the whole rows, float64.
        wire: Collectives of the ranks.
    """

    parameters: Sequence[Tensor]
    values: Tensor
    products: Tensor
    wire: Wire

    def gramian(self) -> Tensor:
        """(k, k) inner products of the whole rows."""
        return self.products

    def combine(self, weights: Tensor) -> list[Tensor | None]:
        """The weighted sum, gathered from all ranks: each calls this."""
        whole = self.wire.gathered((weights.to(self.values) @ self.values).contiguous())
        counts = [real_count(parameter) for parameter in self.parameters]
        pieces = whole[: sum(counts)].split_with_sizes(counts)
        return [of_reals(piece, parameter) for piece, parameter in zip(pieces, self.parameters, strict=True)]

    def only(self, rows: Sequence[int]) -> "ScatteredRows":
        """Some of the rows."""
        chosen = list(rows)
        return replace(self, values=self.values[chosen], products=self.products[chosen][:, chosen])

    def of(self, parameters: Sequence[Tensor]) -> "ScatteredRows":
        """Not possible; settings that need it merge whole rows."""
        raise NotImplementedError

    def nonfinite(self, row: int) -> tuple[str, int, int] | None:
        """The count of NaN and inf among this rank's columns of a row, and their number."""
        bad = int((~torch.isfinite(self.values[row])).sum())
        return ("values in this rank's columns", bad, self.values.shape[1]) if bad else None


def products_of(values: Tensor) -> Tensor:
    """(k, k) inner products of (k, m) columns, float64."""
    return Jacobian([values[0]], [[row] for row in values]).gramian() if values.numel() else _nothing(values)


def _nothing(values: Tensor) -> Tensor:
    return torch.zeros(len(values), len(values), dtype=torch.float64, device=values.device)
