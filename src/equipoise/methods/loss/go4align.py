"""GO4Align: tasks of similar progress form groups, and each group has one weight."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ...core.numbers import is_whole
from ...errors import SettingError
from ...solve.grouping import group_means
from ..base import Answer, CounterExample, State, StateTensor, Step, WeightedSum
from ..parts.domain import is_positive, refuse_nonpositive

__all__ = ["GO4Align"]


@dataclass(frozen=True)
class GO4Align(WeightedSum):
    r"""Group weights from the losses' sizes and their history.

    .. math:: p_i \leftarrow \frac{p_i e^{-\eta L_i}}{\sum_j p_j e^{-\eta L_j}}, \qquad
              w_i = \frac{\sum_j L_j}{L_i}\, p_i, \qquad a_i = \frac1k\, \bar w_{g(i)}

    with p the risk indicators (1/k at first), eta the step size, and :math:`\bar w_g` the mean of w over the group g.
    The groups are those of k-means on the numbers w: tasks with similar w share one weight. For one group all tasks
    have the same weight; for as many groups as tasks :math:`a_i = w_i / k`, and :math:`a_i L_i \propto p_i`.

    Shapes:
        losses (k,) -> scalar; state ``log_indicators`` (k,), the logarithms of p.
    Scale:
        With equal losses and indicators the mean loss; else the weights' sum depends on how far the losses are apart.
        eta counts per unit of loss.
    Degenerate:
        An absent task keeps its p; the present ones share what they have together. Of several best groupings one is
        taken, by the order of w. k = 1: the loss itself.
    Errors:
        `LossError` where a loss is not positive.
    Cost:
        O(groups k^2) on the CPU: 0.2 ms for k = 3, 0.7 ms for k = 40.
    Source:
        Shen et al. (2024), arXiv:2404.06486, by the authors' code. We differ: k-means is solved exactly, where the
        code iterates from a random start; the mean loss is the unit, not the sum.

    Args:
        groups: Number of groups, at least 1; the authors choose it for each data set.
        step_size: Step size eta of the indicators, positive; 0.0001 as in the authors' code.

    Example:
        >>> import equipoise as eq
        >>> eq.direction(GO4Align(step_size=1e-9), [[1.0, 0.0], [0.0, 1.0]], losses=[1.0, 3.0]).round(decimals=4)
        tensor([1.0000, 0.3333], dtype=torch.float64)
    """

    source: ClassVar[str] = "Shen et al. (2024), arXiv:2404.06486"
    cost: ClassVar[str] = "O(groups k^2)"
    state_tensors: ClassVar[tuple[StateTensor, ...]] = (StateTensor("log_indicators", merge="mean"),)

    groups: int = 2
    step_size: float = 1e-4

    def __post_init__(self) -> None:
        if not is_whole(self.groups, least=1):
            raise SettingError(f"`groups` must be a whole number of at least 1; got {self.groups!r}.")
        if not is_positive(self.step_size):
            raise SettingError(f"`step_size` must be positive and finite; got {self.step_size!r}.")

    def init(self, k: int, n: int = 0) -> State:
        del n
        return {"log_indicators": torch.full((k,), -math.log(k), dtype=torch.float64)}

    def claims(self, k: int) -> frozenset[str]:
        return frozenset({"permutation", "single"} | ({"no_conflict", "unanimity", "simplex"} if k == 1 else set()))

    def degree(self) -> float | None:
        return None  # eta is per unit of loss

    def refutes(self) -> Mapping[str, CounterExample]:
        apart = CounterExample(((1.0,), (1.0,)), losses=(1.0, 3.0))
        return {**super().refutes(), "unanimity": apart, "simplex": apart}

    def implied_weights(self, losses: Tensor, state: State, step: Step) -> Answer:
        refuse_nonpositive(losses, step.tasks, "GO4Align", "LinearScalarization", why="divides by the losses")
        before = state["log_indicators"]
        moved = before - self.step_size * losses
        moved = moved - moved.logsumexp(0) + before.logsumexp(0)  # the present tasks share what they had together
        indicators = torch.softmax(moved, dim=0)
        largest = losses.max()
        wanted = (losses / largest).sum() * (largest / losses) * indicators
        if torch.isfinite(wanted).all():  # what is not is refused by name
            wanted = torch.from_numpy(group_means(wanted.cpu().numpy(), self.groups)).to(losses)
        return Answer(wanted / len(losses), {"log_indicators": moved})
