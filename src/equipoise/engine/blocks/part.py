"""What every representation of per-task gradients can do, and the two forms in which gradients are passed on."""

from collections.abc import Sequence
from typing import Protocol

from torch import Tensor

__all__ = ["Handout", "Own", "Part"]

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
