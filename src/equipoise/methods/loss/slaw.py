"""Weights from the losses' fluctuations, a free estimate of the gradient norms."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ...errors import SettingError
from ..base import Answer, State, StateTensor, Step, WeightedSum
from ..parts.domain import is_non_negative, is_positive
from ..parts.shares import proportional_shares

__all__ = ["SLAW"]


@dataclass(frozen=True)
class SLAW(WeightedSum):
    r"""Scaled loss approximate weighting: the inverse standard deviation of each loss over the recent steps.

    .. math:: a_i \propto 1/s_i, \qquad s_i = \sqrt{m_{2,i} - m_{1,i}^2}

    with m_1, m_2 the exponentially weighted means of L_i and L_i^2, weights :math:`\beta^{t-u}` normalised to sum 1. As
    parameters move a little, a loss varies in proportion to the norm of its gradient: s estimates that norm, and the
    weights are near those of `InverseNorm` at no backward pass. An approximation: mini-batch noise counts as movement.

    Shapes:
        losses (k,) -> scalar; state ``count``, ``mean``, ``spread`` (s without its floor): each (k,).
    Scale:
        Weights sum to 1; multiplying a single loss by c divides its weight by c.
    Degenerate:
        A task seen once has 1/k. A loss that stands still counts as a tiny gradient: s is at least ``floor`` times
        its mean's size, and it gets nearly all the weight; one that stands still at exactly 0 has 1/k. k = 1: the
        loss itself.
    Cost:
        O(k).
    Source:
        Crawshaw & Kosecka (2021), arXiv:2108.09218, eqs. 4 and 5. We differ: the moments are free of their start at
        zero; s is updated as such (m2 - m1^2 loses all digits of a slow loss); the floor 1e-5 is relative
        to the mean loss, theirs absolute.

    Args:
        beta: Memory, between 0 and 1; 0.99 looks back about 100 steps.
        floor: Smallest s, in units of the mean loss, at least 0.

    Example:
        >>> import equipoise as eq
        >>> eq.direction(SLAW(), [[1.0, 0.0], [0.0, 1.0]], losses=[3.0, 2.0])  # no history yet
        tensor([0.5000, 0.5000], dtype=torch.float64)
    """

    source: ClassVar[str] = "Crawshaw & Kosecka (2021), arXiv:2108.09218"
    cost: ClassVar[str] = "O(k)"
    state_tensors: ClassVar[tuple[StateTensor, ...]] = tuple(
        StateTensor(name, merge="mean") for name in ("count", "mean", "spread")
    )

    beta: float = 0.99
    floor: float = 1e-5

    def __post_init__(self) -> None:
        if not (is_positive(self.beta) and self.beta < 1 and is_non_negative(self.floor)):
            raise SettingError(
                f"`beta` must lie strictly between 0 and 1, `floor` be at least 0 and finite; got beta={self.beta!r}, "
                f"floor={self.floor!r}."
            )

    def init(self, k: int, n: int = 0) -> State:
        del n
        return {tensor.name: torch.zeros(k, dtype=torch.float64) for tensor in self.state_tensors}

    def implied_weights(self, losses: Tensor, state: State, step: Step) -> Answer:
        del step
        count = state["count"] + 1
        share = (1 - self.beta) / (1 - self.beta**count)  # of this step in the mean
        deviation = losses - state["mean"]
        mean = state["mean"] + share * deviation
        # the root of (1 - share) (spread^2 + share deviation^2), without squares that over- or underflow
        moved = (1 - share).sqrt() * torch.hypot(state["spread"], share.sqrt() * deviation)
        spread = torch.maximum(moved, self.floor * mean.abs())
        known = (count > 1) & (spread > 0)
        smallest = torch.where(known, spread, torch.inf).amin()
        weights = proportional_shares(smallest / torch.where(known, spread, 1.0), known)
        return Answer(weights, {"count": count, "mean": mean, "spread": moved})
