"""Interface of every representation of per-task gradients, and the two forms in which gradients are passed on."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from torch import Tensor

__all__ = ["Handout", "Kept", "Own", "Part"]

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
