"""Learned scales that bring every loss to the same size."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ..base import Answer, CounterExample, LossMethod, State, StateTensor, Step
from ..parts.domain import refuse_negative_losses

__all__ = ["IMTLL"]


@dataclass(frozen=True)
class IMTLL(LossMethod):
    r"""Impartial multi-task learning, the loss half: a learned log-scale a task.

    .. math:: \sum_{i=1}^k \bigl( e^{s_i} L_i - s_i \bigr), \qquad a_i = e^{s_i}

    with L_i the loss of task i and s_i a trained parameter, ``log_scale``, zero at the start. At its optimum
    :math:`e^{s_i} L_i = 1`: every scaled loss has size one, and the direction is that of `ScaleInvariant`, times k.

    Shapes:
        losses (k,) -> scalar; trained state ``log_scale`` (k,), float32.
    Scale:
        A sum, as published: at the start every weight is 1, k times the mean. The criterion may be negative.
    Degenerate:
        A loss of exactly 0 raises its scale by a step of constant size each time, without end. k = 1: e^s L - s.
    Errors:
        `LossError` for a negative loss: the criterion then falls without bound as s grows.
    Cost:
        None; k parameters to train, in an optimizer group of their own without weight decay.
    Source:
        Liu et al. (2021), "Towards Impartial Multi-task Learning", ICLR, section 3.2, with a = e.

    Example:
        >>> import equipoise as eq
        >>> eq.direction(IMTLL(), [[1.0, 0.0], [0.0, 1.0]], losses=[2.0, 3.0])
        tensor([1., 1.], dtype=torch.float64)
    """

    source: ClassVar[str] = "Liu et al. (2021), Towards Impartial Multi-task Learning, ICLR"
    cost: ClassVar[str] = "none; k trained parameters"
    state_tensors: ClassVar[tuple[StateTensor, ...]] = (StateTensor("log_scale", trained=True),)

    def init(self, k: int, n: int = 0) -> State:
        del n
        return {"log_scale": torch.zeros(k, dtype=torch.float32)}

    def claims(self, k: int) -> frozenset[str]:
        del k
        return frozenset({"degree", "permutation"})  # at given scales; what the scales learn depends on the losses

    def degree(self) -> float:
        return 1.0

    def refutes(self) -> Mapping[str, CounterExample]:
        pair = CounterExample(((1.0,), (1.0,)))
        return {
            "simplex": pair,
            "unanimity": pair,
            "no_conflict": CounterExample(((3.0, 0.0), (-1.0, 1.0))),
        }

    def scalar(self, losses: Tensor, state: State, step: Step) -> Answer:
        _refuse_negative(losses, step)
        log_scale = state["log_scale"].to(losses.dtype)
        return Answer((log_scale.exp() * losses - log_scale).sum(), state)

    def implied_weights(self, losses: Tensor, state: State, step: Step) -> Answer:
        _refuse_negative(losses, step)
        scales = state["log_scale"].detach().to(losses.dtype).exp()
        return Answer(scales, state, trained={"log_scale": scales * losses - 1})


def _refuse_negative(losses: Tensor, step: Step) -> None:
    why = "learns a scale for which scale times loss is 1"
    refuse_negative_losses(losses, step.tasks, "IMTLL", "LinearScalarization", why=why)
