"""Any Gramian method on gradients that are followed over steps."""

from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from ...errors import SettingError
from ...solve import Status
from ..base import Answer, GramianMethod, JacobianMethod, State, Step
from ..parts.tracking import TRACKING_STATE, initial_tracking, live_rows, track
from ..state import restore, restrict
from ..wrappers.nested import AroundMethod

__all__ = ["Tracked"]


@dataclass(frozen=True)
class Tracked(AroundMethod, JacobianMethod):
    r"""MoCo's tracking under any Gramian method.

    .. math:: y_i \leftarrow y_i - \beta (y_i - g_i), \qquad a = a(Y Y^\top), \qquad d = Y^\top a

    with Y the matrix of rows y_i, a task's first gradient being its first y.

    Shapes:
        jacobian (k, n) -> direction (n,); state ``tracked`` (k, n), ``seen`` (k,), and the inner method's state with
        the prefix ``inner_``.
    Scale:
        The inner method's. What that guarantees, it guarantees for the tracked gradients.
    Degenerate:
        A task absent from a step keeps its y. One of exactly zero gradient lets its y fade, and where the inner method
        leaves out zero gradients, it is left out of this step. Status and certificate are the inner method's. k = 1:
        the inner method of a running mean.
    Errors:
        `SettingError` where the inner method is no method on the Gramian of the parameters' gradients, asks for two
        batches, or trains something.
    Cost:
        8 k n bytes of memory; O(k^2 n) a step beyond the inner method's cost.
    Source:
        Fernando et al. (2023), arXiv:2210.12624.

    Args:
        method: Gramian method that sees the tracked gradients.
        beta: Rate of the tracking, in (0, 1]; 1 changes nothing.

    Example:
        >>> import equipoise as eq
        >>> eq.direction(Tracked(eq.MGDA(), beta=0.5), [[2.0, 0.0], [0.0, 1.0]])  # the first step is MGDA's
        tensor([0.4000, 0.8000], dtype=torch.float64)
    """

    source: ClassVar[str] = "Fernando et al. (2023), arXiv:2210.12624"
    cost: ClassVar[str] = "O(k^2 n) beyond the inner method; remembers k n numbers"

    beta: float = 0.5

    def __post_init__(self) -> None:
        inner = self.method
        if not isinstance(inner, GramianMethod) or inner.needs != "gramian" or inner.trains or inner.samples_twice:
            raise SettingError(
                "`Tracked` needs a method that trains nothing, on the Gramian of the parameters' gradients of one "
                f"batch, for example MGDA(); got {inner!r}."
            )
        if not 0 < self.beta <= 1:
            raise SettingError(f"`beta` must lie in (0, 1]; got {self.beta}.")
        self.settle(TRACKING_STATE, ("heads", "honours"))

    def init(self, k: int, n: int = 0) -> State:
        return {**initial_tracking(k, n), **self.nested(self.method.init(k))}

    def claims(self, k: int) -> frozenset[str]:
        return self.method.claims(k) & {"permutation"}

    def direction(self, jacobian: Tensor, state: State, step: Step) -> Answer:
        state = track(state, jacobian, self.beta)
        followed = state["tracked"].to(jacobian.device)
        gramian = followed @ followed.T
        gramian = gramian.cpu() if self.method.on_host else gramian
        rows = live_rows(jacobian) if self.method.leaves_out_zero_gradients else list(range(len(gramian)))
        if not rows:
            return Answer(torch.zeros_like(followed[0]), state, Status.STATIONARY)
        held = self.inner_state(state)
        inner = replace(
            step,
            tasks=step.tasks.only(rows),
            losses=None if step.losses is None else step.losses[rows],
            factor=None,  # it belongs to this step's gradients, not to the tracked ones
            cross_gramian=None,
        )
        answer = self.method.weights(gramian[rows][:, rows], restrict(self.method, held, rows), inner)
        after = self.nested(restore(self.method, held, answer.state, rows))
        return Answer(answer.value.to(followed) @ followed[rows], {**state, **after}, answer.status, answer.certificate)
