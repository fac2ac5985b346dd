"""Weight tasks by their loss's coefficient of variation."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ..base import Answer, State, StateTensor, Step, WeightedSum
from ..parts.domain import refuse_negative_losses
from ..parts.shares import proportional_shares

__all__ = ["CoVWeighting"]

_LARGEST = 1e150  # its square is finite


@dataclass(frozen=True)
class CoVWeighting(WeightedSum):
    r"""Weights in proportion to how much each loss ratio varies, relative to its mean.

    .. math:: a_i \propto \frac{\sigma(\ell_i)}{\mu(\ell_i)}, \qquad
              \ell_i(t) = \frac{L_i(t)}{\mu(L_i(0), \dots, L_i(t-1))}

    with mu and sigma the mean and standard deviation over all steps so far, this one included, in which task i was
    present; :math:`\ell_i(0) = 1`.

    Shapes:
        losses (k,) -> scalar; state ``count``, ``mean_loss``, ``mean_ratio``, ``spread`` (sum of squared deviations
        of the ratio, by Welford's update): each (k,).
    Scale:
        Weights sum to 1 and do not change with the unit of any single loss.
    Degenerate:
        A task seen once has 1/k. A loss that never moves has weight 0; if none moves, all are equal. A mean loss of
        exactly 0 gives the ratio 1. k = 1: the loss itself.
    Errors:
        `LossError` for a negative loss.
    Cost:
        O(k).
    Source:
        Groenendijk et al. (2021), arXiv:2009.01717, eqs. 2 to 5. Their code uses the statistics up to the step before;
        we follow the paper and include the present one.

    Example:
        >>> import equipoise as eq
        >>> eq.direction(CoVWeighting(), [[1.0, 0.0], [0.0, 1.0]], losses=[3.0, 2.0])  # no history yet
        tensor([0.5000, 0.5000], dtype=torch.float64)
    """

    source: ClassVar[str] = "Groenendijk et al. (2021), arXiv:2009.01717"
    cost: ClassVar[str] = "O(k)"
    state_tensors: ClassVar[tuple[StateTensor, ...]] = tuple(
        StateTensor(name, merge="mean") for name in ("count", "mean_loss", "mean_ratio", "spread")
    )

    def init(self, k: int, n: int = 0) -> State:
        del n
        return {tensor.name: torch.zeros(k, dtype=torch.float64) for tensor in self.state_tensors}

    def implied_weights(self, losses: Tensor, state: State, step: Step) -> Answer:
        refuse_negative_losses(losses, step.tasks, "CoVWeighting", "LinearScalarization", why="compares loss ratios")
        ratio = torch.where(state["mean_loss"] > 0, losses / state["mean_loss"], 1.0).clamp(max=_LARGEST)
        count = state["count"] + 1
        deviation = ratio - state["mean_ratio"]
        mean_ratio = state["mean_ratio"] + deviation / count
        spread = state["spread"] + (deviation * (ratio - mean_ratio)).clamp(min=0.0)  # never negative but for rounding
        variation = (spread / count).sqrt() / mean_ratio
        after = {
            "count": count,
            "mean_loss": state["mean_loss"] + (losses - state["mean_loss"]) / count,
            "mean_ratio": mean_ratio,
            "spread": spread,
        }
        return Answer(proportional_shares(variation, count > 1), after)
