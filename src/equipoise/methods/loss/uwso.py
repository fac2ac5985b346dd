"""Soft-optimal uncertainty weighting: a softmax of the inverse losses."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ...errors import SettingError
from ..base import Answer, State, Step, WeightedSum
from ..parts.domain import is_positive, refuse_nonpositive

__all__ = ["UWSO"]

_LARGEST = torch.finfo(torch.float64).max / 4


@dataclass(frozen=True)
class UWSO(WeightedSum):
    r"""The closed-form optimum of uncertainty weighting, 1/L, passed through a softmax.

    .. math:: \sum_i a_i L_i, \qquad a = \operatorname{softmax}\bigl((1/L) / T\bigr)\ \text{held constant}

    with L_i > 0 the loss of task i and T the temperature.

    Shapes:
        losses (k,) -> scalar.
    Scale:
        Weights sum to 1. They do depend on the losses' unit: 1/L and T are compared, so T must be tuned.
    Degenerate:
        A loss far below 1/(T log k) takes all the weight. k = 1: the loss itself.
    Errors:
        `LossError` for a loss that is not positive.
    Cost:
        None.
    Source:
        Kirchdorfer et al. (2024), arXiv:2408.07985, eq. 8.

    Args:
        T: Temperature, > 0, in units of 1/loss. Large T gives equal weights.

    Example:
        >>> import equipoise as eq
        >>> eq.direction(UWSO(), [[1.0, 0.0], [0.0, 1.0]], losses=[1.0, 0.5])  # softmax(1, 2)
        tensor([0.2689, 0.7311], dtype=torch.float64)
    """

    source: ClassVar[str] = "Kirchdorfer et al. (2024), arXiv:2408.07985"
    cost: ClassVar[str] = "none"

    T: float = 1.0

    def __post_init__(self) -> None:
        if not is_positive(self.T):
            raise SettingError(f"`T` is a temperature and must be positive and finite; got {self.T!r}.")

    def degree(self) -> None:
        return None

    def implied_weights(self, losses: Tensor, state: State, step: Step) -> Answer:
        refuse_nonpositive(losses, step.tasks, "UWSO", "LinearScalarization", why="divides by the losses")
        # two infinities would make NaN: the largest number stands for both
        scores = (1 / losses / self.T).clamp(max=_LARGEST)
        return Answer(torch.softmax(scores, dim=0), state)
