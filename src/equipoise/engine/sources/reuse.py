"""Weights of an earlier step, used again."""

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
    """APPROXIMATION: the exact Gramian every n steps; the weights are used again in between.

    In a step that reuses weights the method is not asked: its state does not move, and `Balancer.plan` says
    ``reused``. Another set of present tasks, or a parameter that was never met, makes a step exact. The weights are
    part of the saved state.

    Error:
        Zero in an exact step; in between, that of weights up to n - 1 steps old. Cosine after 9 gradient steps of size
        0.01, same model as in `Features`: 0.88 (MGDA), 0.94 (CAGrad). `equipoise.profile` measures it.
    Cost:
        (1 + 2k/(3n)) plain steps on average for an exact step of (1 + 2k)/3.

    Args:
        n: At least 1; 1 is exact.

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
        """That of an exact step."""
        return Exact().estimate(k, leaves, ownership, features)

    def compute(self, request: Request) -> Gradients:
        """Those of an exact step."""
        return Exact().compute(request)

    def recall(self, losses: Sequence[Tensor], tasks: Tasks, ownership: Ownership, reused: Reused) -> Reused | None:
        """The weights for this step, or None where it has to be exact."""
        if reused.age >= self.n or reused.present != tasks.present:
            return None
        leaves = leaves_behind(losses)
        ownership.meet(leaves, complete=len(tasks.present) == len(tasks.names))
        if any(ownership.is_unknown(leaf) for leaf in leaves):
            return None
        return replace(reused, age=reused.age + 1)

    def remember(self, weights: Tensor, heads: Tensor, step: Step) -> Reused:
        """An exact step's weights, to serve again."""
        return Reused(step.tasks.present, tuple(weights.tolist()), tuple(heads.tolist()), 1)


def weights_again(reused: Reused, state: State) -> tuple[Tensor, Tensor, Plan, Weighed]:
    """Weights of shared parameters and of heads, how they were computed, and the record of the step."""
    weights = torch.tensor(reused.weights, dtype=torch.float64)
    heads = torch.tensor(reused.heads, dtype=torch.float64)
    reason = f"APPROXIMATION: weights of {reused.age - 1} steps ago (gradients=Every)"
    # a plain step; with heads of their own, those are passed through once more
    return weights, heads, Plan("reused", reason, 0, 1.0, 0), Weighed(weights, state)
