"""MoCo: the min-norm direction of tracked gradients, by projected steps on the weights."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

import torch
from torch import Tensor

from ...errors import SettingError, listed
from ...solve import Status
from ..base import Answer, CounterExample, JacobianMethod, State, StateTensor, Step
from ..parts.dual_weights import DUAL_STATE, simplex_step, uniform_dual
from ..parts.tracking import TRACKING_STATE, initial_tracking, live_rows, track

__all__ = ["MoCo"]

Schedule = Literal["constant", "decaying"]


@dataclass(frozen=True)
class MoCo(JacobianMethod):
    r"""Multi-objective descent with gradients corrected by a running mean.

    .. math:: y_i \leftarrow y_i - \beta_t (y_i - g_i), \qquad
              \lambda \leftarrow \Pi_\Delta\big(\lambda - \gamma_t (Y Y^\top + \rho I) \lambda\big), \qquad
              d = Y^\top \lambda

    in this order, with Y the matrix of rows y_i. On mini-batches the min-norm weights of noisy gradients are biased;
    those of the tracked ones need not be.

    Shapes:
        jacobian (k, n) -> direction (n,); state ``tracked`` (k, n), ``seen`` (k,), ``dual`` (k,), ``step``.
    Scale:
        A convex combination of the tracked gradients. gamma is per squared gradient: for gradients of size s, use
        gamma near .1 / s^2. Far above that the weights jump between vertices and follow rounding, so that not even
        the order of the tasks is without effect: no law is claimed.
    Degenerate:
        A task's first gradient is its first y. An absent task keeps y and its share of lambda; one of exactly zero
        gradient lets its y fade, keeps its share and is left out of the step. All gradients zero: d = 0, status
        ``STATIONARY``. k = 1: y, a running mean of the gradient.
    Cost:
        8 k n bytes of memory; O(k^2 n) a step, and one copy of a (k, k) matrix to the CPU.
    Source:
        Fernando et al. (2023), arXiv:2210.12624. We differ: y starts at the first gradient, not at zero,
        and the direction uses the new lambda.

    Args:
        beta: Speed of the tracking, in (0, 1]; 1 does not track.
        gamma: Step of the weights, > 0.
        rho: Regularisation of the weights' problem, at least 0.
        schedule: ``"constant"``, or ``"decaying"``: beta and gamma times t^(-1/2), t = 1, 2, ...

    Example:
        >>> import equipoise as eq
        >>> eq.direction(MoCo(gamma=0.5), [[2.0, 0.0], [0.0, 1.0]])
        tensor([0.2500, 0.8750], dtype=torch.float64)
    """

    source: ClassVar[str] = "Fernando et al. (2023), arXiv:2210.12624"
    cost: ClassVar[str] = "O(k^2 n); remembers k n numbers"
    state_tensors: ClassVar[tuple[StateTensor, ...]] = (
        *TRACKING_STATE,
        *DUAL_STATE,
        StateTensor("step", task_axes=()),
    )

    beta: float = 0.5
    gamma: float = 0.1
    rho: float = 0.0
    schedule: Schedule = "constant"

    def __post_init__(self) -> None:
        wrong = []
        if not 0 < self.beta <= 1:
            wrong.append(f"`beta` must lie in (0, 1]; got {self.beta}.")
        if not 0 < self.gamma < float("inf"):
            wrong.append(f"`gamma` must be positive and finite; got {self.gamma}.")
        if not 0 <= self.rho < float("inf"):
            wrong.append(f"`rho` must be at least 0 and finite; got {self.rho}.")
        if self.schedule not in get_args(Schedule):
            wrong.append(f"`schedule` must be one of {listed(get_args(Schedule))}; got {self.schedule!r}.")
        if wrong:
            raise SettingError(" ".join(wrong))

    def init(self, k: int, n: int = 0) -> State:
        return {**initial_tracking(k, n), **uniform_dual(k), "step": torch.zeros((), dtype=torch.int64)}

    def refutes(self) -> Mapping[str, CounterExample]:
        if self.gamma > 1:
            return {}
        # gradients so small that the weights stay where they are: d is the mean
        small = CounterExample(((0.09, 0.0), (-0.01, 0.01)))
        return {"no_conflict": small, "degree": small}  # the weights' steps grow with the square of the gradients

    def direction(self, jacobian: Tensor, state: State, step: Step) -> Answer:
        del step
        slower = float(state["step"] + 1) ** -0.5 if self.schedule == "decaying" else 1.0
        state = {**track(state, jacobian, self.beta * slower), "step": state["step"] + 1}
        rows = live_rows(jacobian)
        if not rows:
            return Answer(torch.zeros_like(jacobian[0]), state, Status.STATIONARY)
        followed = state["tracked"].to(jacobian.device)[rows]
        gramian = (followed @ followed.T).cpu()
        part = {"dual": state["dual"][rows]}
        shares, moved = simplex_step(part, lambda dual: gramian @ dual + self.rho * dual, self.gamma * slower)
        dual = state["dual"].clone()
        dual[rows] = moved["dual"]
        return Answer(shares.to(followed) @ followed, {**state, "dual": dual})
