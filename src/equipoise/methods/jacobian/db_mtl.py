"""DB-MTL: gradients of log losses, smoothed, all made as long as the longest."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ...errors import LossError, SettingError
from ...solve import Status
from ..base import Answer, CounterExample, JacobianMethod, State, StateTensor, Step
from ..parts.tracking import TRACKING_STATE, initial_tracking, track

__all__ = ["DBMTL"]


@dataclass(frozen=True)
class DBMTL(JacobianMethod):
    r"""Dual balancing: of the losses by the logarithm, of the gradients by their norms.

    .. math:: y_i \leftarrow \beta\, y_i + (1 - \beta)\, \frac{g_i}{L_i}, \qquad
              d = \max_j |y_j| \cdot \frac1k \sum_i \frac{y_i}{|y_i|}

    It looks at the gradients of earlier steps, hence at the Jacobian.

    Shapes:
        jacobian (k, n), losses (k,) -> direction (n,); state ``tracked`` (k, n), ``seen`` (k,).
    Scale:
        Of degree 0: multiplying any loss by a positive number changes nothing. The length is that of relative
        gradients g / L, so a learning rate tuned for the mean loss L carries over as lr * L.
    Degenerate:
        A task's first relative gradient is its first y. An exactly zero gradient has the relative gradient 0, whatever
        its loss: y fades, and the task adds nothing in this step (else its y would pull at full length for ever). All
        gradients zero: d = 0, status ``STATIONARY``. k = 1: y, a running mean of g / L.
    Errors:
        `LossError` where a loss with a gradient is not positive.
    Cost:
        8 k n bytes of memory; O(k n) a step, on the Jacobian's device.
    Source:
        Lin et al. (2023), arXiv:2308.12029. We differ: the mean instead of the sum; y starts at the first
        gradient instead of zero; beta is constant; no 1e-8 is added to the losses.

    Args:
        beta: Share of the old average, in [0, 1); .9 as published, 0 for no memory.

    Example:
        >>> import equipoise as eq
        >>> eq.direction(DBMTL(), [[4.0, 0.0], [0.0, 3.0]], losses=[1.0, 3.0])
        tensor([2., 2.], dtype=torch.float64)
    """

    source: ClassVar[str] = "Lin et al. (2023), arXiv:2308.12029"
    cost: ClassVar[str] = "O(k n); remembers k n numbers"
    state_tensors: ClassVar[tuple[StateTensor, ...]] = TRACKING_STATE

    beta: float = 0.9

    def __post_init__(self) -> None:
        if not 0 <= self.beta < 1:
            raise SettingError(f"`beta` must lie in [0, 1); got {self.beta}.")

    def init(self, k: int, n: int = 0) -> State:
        return initial_tracking(k, n)

    def claims(self, k: int) -> frozenset[str]:
        laws = {"permutation", "degree", "task_scale"}
        return frozenset(laws | {"no_conflict"} if k == 1 and self.beta == 0 else laws)  # y may oppose a new gradient

    def degree(self) -> float:
        return 0.0

    def refutes(self) -> Mapping[str, CounterExample]:
        three = CounterExample(((1.0, 0.0), (-1.0, 0.2), (-1.0, -0.1)))
        return {"single": CounterExample(((1.0,),), losses=(2.0,)), "no_conflict": three}

    def direction(self, jacobian: Tensor, state: State, step: Step) -> Answer:
        if step.losses is None:
            raise LossError("DBMTL takes gradients of log losses; give `losses`.")
        losses = step.losses.to(jacobian)
        live = (jacobian != 0).any(dim=1)
        checked = zip(step.tasks.here, losses.tolist(), live.tolist(), strict=True)
        wrong = [f"{name} = {loss:g}" for name, loss, moving in checked if moving and not loss > 0]
        if wrong:
            raise LossError(f"DBMTL takes logarithms of the losses, so they must be positive; got {', '.join(wrong)}.")
        relative = jacobian / torch.where(live, losses, 1.0)[:, None]
        state = track(state, relative, 1 - self.beta)
        followed = state["tracked"].to(jacobian)
        norms = torch.where(live, torch.linalg.vector_norm(followed, dim=1), 0.0)
        stretch = torch.where(norms > 0, norms.max() / torch.where(norms > 0, norms, 1.0), 0.0)
        status = Status.SOLVED if live.any() else Status.STATIONARY
        return Answer(stretch @ followed / step.count, state, status)
