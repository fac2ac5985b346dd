"""Impartial multi-task learning, both halves: learned loss scales, then equal projections."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ...errors import LossError
from ..base import Answer, CounterExample, GramianMethod, State, StateTensor, Step
from ..parts.domain import refuse_negative_losses
from .imtl_g import IMTLG

__all__ = ["IMTL"]


@dataclass(frozen=True)
class IMTL(GramianMethod):
    r"""`IMTLL` scales the losses, `IMTLG` balances the gradients of the scaled losses.

    .. math:: d = \sum_i \alpha_i e^{s_i} g_i, \qquad
              \frac{\langle g_i, d \rangle}{|g_i|} \text{ equal for all } i, \quad \sum_i \alpha_i = 1

    with g_i the gradient of loss i and s_i a trained log-scale that descends :math:`\sum_i (e^{s_i} L_i - s_i)`. On the
    shared parameters the line through d is that of `IMTLG`, because equal projections do not see positive factors; the
    scales set its length.

    Shapes:
        gramian (k, k), losses (k,) -> weights :math:`\alpha_i e^{s_i}`, (k,); trained state ``log_scale`` (k,),
        float32.
    Scale:
        Alpha sums to 1. Where the scales have settled, d has the size of a relative improvement, g / L.
    Degenerate:
        As `IMTLG`, of the scaled gradients. A task with a zero gradient is left out and its scale does not move.
        k = 1: e^s g.
    Errors:
        `LossError` for a negative loss, or where no losses are given.
    Cost:
        That of `IMTLG`; k parameters to train, in an optimizer group of their own without weight decay.
    Source:
        Liu et al. (2021), "Towards Impartial Multi-task Learning", ICLR, algorithm 1. We differ: there a head receives
        e^{s_i} g_i; here, by default, g_i / k, or with ``heads="weighted"`` its full weight.

    Example:
        >>> import equipoise as eq
        >>> eq.direction(IMTL(), [[3.0, 0.0], [0.0, 1.0]], losses=[2.0, 1.0])  # scales are 1 at the start
        tensor([0.7500, 0.7500], dtype=torch.float64)
    """

    source: ClassVar[str] = "Liu et al. (2021), Towards Impartial Multi-task Learning, ICLR"
    cost: ClassVar[str] = "O(k^3) on the CPU; k trained parameters"
    state_tensors: ClassVar[tuple[StateTensor, ...]] = (StateTensor("log_scale", trained=True),)

    def init(self, k: int, n: int = 0) -> State:
        del n
        return {"log_scale": torch.zeros(k, dtype=torch.float32)}

    def claims(self, k: int) -> frozenset[str]:
        return IMTLG().claims(k) - {"unanimity", "single"}  # those hold only while all scales are 1

    def degree(self) -> float:
        return 1.0

    def refutes(self) -> Mapping[str, CounterExample]:
        return IMTLG().refutes()

    def weights(self, gramian: Tensor, state: State, step: Step) -> Answer:
        if step.losses is None:
            raise LossError("IMTL learns scales from the losses; give `losses`.")
        losses = step.losses.to(gramian)
        refuse_negative_losses(
            losses, step.tasks, "IMTL", "IMTLG", why="learns a scale for which scale times loss is 1"
        )
        scales = state["log_scale"].detach().to(gramian).exp()
        answer = IMTLG().weights(scales[:, None] * gramian * scales, {}, step)
        return Answer(
            answer.value * scales, state, answer.status, answer.certificate, trained={"log_scale": scales * losses - 1}
        )
