"""What every way to get gradients gives back."""

from collections.abc import Sequence
from typing import Protocol

from torch import Tensor

from ..blocks.targets import Targets
from ..graph.ownership import Ownership
from ..passes.exact import Own, Plan

__all__ = ["Source"]


class Source(Protocol):
    """Gradients of the present tasks, as far as a step needs them; `Gradients` is the exact one."""

    @property
    def own(self) -> Own:
        """Parameters that are not balanced, each with (row, gradient) of every task that has one."""

    @property
    def plan(self) -> Plan:
        """How the gradients were computed."""

    def gramian(self) -> Tensor:
        """(k, k), float64."""

    def combine(self, weights: Tensor) -> Targets | None:
        """The weighted sum on each shared parameter; None where the losses' own graph has to give it."""

    def only(self, rows: Sequence[int]) -> "Source":
        """What some of the rows alone would have given."""

    def parameters(self) -> list[Tensor]:
        """Every parameter that some task reaches."""

    def first_nonfinite(self, row: int, ownership: Ownership) -> str:
        """Where the gradient of one task first holds NaN or inf, for a message."""
