"""Weights of an earlier step, reused."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from ...core.tasks import Tasks
from ...errors import SettingError
from ...methods.base import State, Step
from ...methods.run import Weighed
from ..blocks.task_gradients import Gradients
from ..cost.plan import Plan
from ..engine_state import Reused
from ..graph.autograd_graph import leaves_behind
from ..graph.ownership import Ownership
from .exact import Exact
from .mode import Mode, Request

__all__ = ["Every", "weights_again"]


@dataclass(frozen=True)
class Every(Mode):
    """APPROXIMATION: the exact Gramian every n steps; the steps in between reuse the weights.

    A step that reuses weights does not run the method: its state does not move, and `Balancer.plan` says ``reused``.
    Another set of present tasks, or a new parameter, makes a step exact. The weights are part of the saved state. With
    the MGDA method and n = R this is PSMGD, which keeps MGDA's weights for R steps.

    Error:
        Zero in an exact step; in between, that of weights up to n - 1 steps old. Cosine after 9 gradient steps of size
        0.01, same model as in `Features`: 0.88 (MGDA), 0.94 (CAGrad). `equipoise.profile` measures it.
    Cost:
        (1 + 2k/(3n)) plain steps on average for an exact step of (1 + 2k)/3.
    Source:
        Xu et al. (2024), arXiv:2412.10961, for MGDA.

    Args:
        n: Number of steps that share one set of weights, at least 1; 1 is exact.

    Example:
        >>> Every(10)
        Every(n=10)
    """

    n: int
    straight: ClassVar[bool] = True
    looks_for_room: ClassVar[bool] = True
    remembers: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if isinstance(self.n, bool) or not isinstance(self.n, int) or self.n < 1:
            raise SettingError(f"`Every(n)` needs a whole number of at least 1; got {self.n!r}.")

    def estimate(self, k: int, leaves: Sequence[Tensor], ownership: Ownership, features: Sequence[Tensor] = ()) -> int:
        """Bytes of an exact step."""
        return Exact().estimate(k, leaves, ownership, features)

    def compute(self, request: Request) -> Gradients:
        """Gradients of an exact step."""
        return Exact().compute(request)

    def recall(self, losses: Sequence[Tensor], tasks: Tasks, ownership: Ownership, reused: Reused) -> Reused | None:
        """The weights for this step, or None where it must be exact."""
        if reused.age >= self.n or reused.present != tasks.present:
            return None
        leaves = leaves_behind(losses)
        ownership.meet(leaves, complete=len(tasks.present) == len(tasks.names))
        if any(ownership.is_unknown(leaf) for leaf in leaves):
            return None
        return replace(reused, age=reused.age + 1)

    def remember(self, weights: Tensor, heads: Tensor, step: Step) -> Reused:
        """An exact step's weights, for reuse."""
        return Reused(step.tasks.present, tuple(weights.tolist()), tuple(heads.tolist()), 1)


def weights_again(reused: Reused, state: State) -> tuple[Tensor, Tensor, Plan, Weighed]:
    """Weights of shared parameters and of heads, the plan, and the method's outcome for the record."""
    weights = torch.tensor(reused.weights, dtype=torch.float64)
    heads = torch.tensor(reused.heads, dtype=torch.float64)
    reason = f"APPROXIMATION: weights of {reused.age - 1} steps ago (gradients=Every)"
    # a plain step; with heads of their own, those are passed through once more
    return weights, heads, Plan("reused", reason, 0, 1.0, 0), Weighed(weights, state)
