"""Weights from the losses' slopes: a task whose loss rises gets more."""

import math
from dataclasses import dataclass
from numbers import Real
from typing import ClassVar

import torch
from torch import Tensor

from ...errors import SettingError
from ..base import Answer, State, StateTensor, Step, WeightedSum
from ..parts.domain import refuse_negative_losses

__all__ = ["SoftAdapt"]

_LARGEST = torch.finfo(torch.float64).max / 4


@dataclass(frozen=True)
class SoftAdapt(WeightedSum):
    r"""A softmax of the losses' last changes.

    .. math:: a = \operatorname{softmax}(\beta s), \qquad s_i = L_i(t) - L_i(t-1)

    With `normalized` s is divided by the sum of its sizes; with `loss_weighted` the weights are multiplied by the
    losses and normalised again, :math:`a_i \propto L_i e^{\beta s_i}`.

    Shapes:
        losses (k,) -> scalar; state ``last`` (k,), the loss of the task's last step, NaN before.
    Scale:
        Weights sum to 1. beta counts per unit of loss; with `normalized` the unit drops out.
    Degenerate:
        A task seen for the first time has s = 0; so have all where no loss changed. All losses zero with
        `loss_weighted`: the plain softmax. k = 1: the loss itself.
    Errors:
        `LossError` for a negative loss with `loss_weighted`.
    Cost:
        O(k).
    Source:
        Heydari, Thompson & Mehmood (2019), arXiv:1912.12355, eqs. 3 to 5, with the one-step difference.

    Args:
        beta: Positive favours tasks whose loss rises, or falls least; negative those that fall most.
        normalized: Whether s is divided by the sum of |s|.
        loss_weighted: Whether weights are multiplied by the losses.

    Example:
        >>> import equipoise as eq
        >>> eq.direction(SoftAdapt(), [[1.0, 0.0], [0.0, 1.0]], losses=[3.0, 2.0])  # no slope yet
        tensor([0.5000, 0.5000], dtype=torch.float64)
    """

    source: ClassVar[str] = "Heydari, Thompson & Mehmood (2019), arXiv:1912.12355"
    cost: ClassVar[str] = "O(k)"
    state_tensors: ClassVar[tuple[StateTensor, ...]] = (StateTensor("last", merge="mean"),)

    beta: float = 0.1
    normalized: bool = False
    loss_weighted: bool = False

    def __post_init__(self) -> None:
        if not (isinstance(self.beta, Real) and math.isfinite(self.beta)):
            raise SettingError(f"`beta` must be finite; got {self.beta!r}.")

    def init(self, k: int, n: int = 0) -> State:
        del n
        return {"last": torch.full((k,), torch.nan, dtype=torch.float64)}

    def degree(self) -> float | None:
        return 1.0 if self.normalized else None

    def implied_weights(self, losses: Tensor, state: State, step: Step) -> Answer:
        slopes = torch.where(state["last"].isnan(), 0.0, losses - state["last"])
        if self.normalized:
            size = slopes.abs().sum()
            slopes = torch.where(size > 0, slopes / size, 0.0)
        scores = (self.beta * slopes).clamp(-_LARGEST, _LARGEST)  # two infinities would make NaN
        if self.loss_weighted:
            refuse_negative_losses(
                losses, step.tasks, "SoftAdapt(loss_weighted=True)", "loss_weighted=False", why="weighs by the losses"
            )
            scores = torch.where((losses > 0).any(), scores + losses.log(), scores)
        return Answer(torch.softmax(scores, dim=0), {"last": losses})
