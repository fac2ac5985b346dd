"""The mean gradient projected so that it opposes no task."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...solve.dual_cone import project_on_dual_cone
from ...types import PerTask, freeze_per_task
from ..base import Answer, CounterExample, GramianMethod, State, Step
from ..loss.linear_scalarization import preference_factors, refuse_negative

__all__ = ["DualProj", "mean_shares"]


@dataclass(frozen=True)
class DualProj(GramianMethod):
    r"""Projection of the mean gradient on the cone of directions that raise no loss.

    .. math:: d = \arg\min_{y} \{|y - J^\top w| : J y \ge 0\}

    Shapes:
        gramian (k, k) -> weights (k,).
    Scale:
        At most as long as the mean gradient, and equal to it where that opposes no task. Weights are at least w.
    Degenerate:
        A zero gradient is left out, and the mean still counts it. Dependent gradients: the shortest weights with this
        direction, status ``RANK_DEFICIENT``. A stationary point: status ``STATIONARY``, and d follows the formula: zero
        where all tasks take part in the conflict, else what the others still allow. k = 1: the gradient.
    Cost:
        O(k^3) on the CPU: 0.1 ms for k = 10, 0.3 ms for k = 100.
    Source:
        Lopez-Paz & Ranzato (2017), arXiv:1706.08840, eq. 11, there for past tasks. We add no ridge to G.

    Args:
        task_weights: w, non-negative, by task name or in task order, normalised to sum 1; None for 1/k.

    Example:
        >>> import equipoise as eq
        >>> eq.direction(DualProj(), [[1.0, 0.0], [-3.0, 1.0]])
        tensor([0.0000, 0.5000], dtype=torch.float64)
    """

    source: ClassVar[str] = "Lopez-Paz & Ranzato (2017), arXiv:1706.08840"
    cost: ClassVar[str] = "O(k^3) on the CPU"

    task_weights: PerTask | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "task_weights", freeze_per_task(self.task_weights, "task_weights"))
        refuse_negative(self.task_weights, "DualProj(task_weights)")

    def claims(self, k: int) -> frozenset[str]:
        del k
        laws = {"degree", "no_conflict"}
        return frozenset(laws | {"permutation", "unanimity", "single"} if self.task_weights is None else laws)

    def degree(self) -> float:
        return 1.0

    def refutes(self) -> Mapping[str, CounterExample]:
        if self.task_weights is not None:
            return {}
        return {
            "simplex": CounterExample(((1.0, 0.0), (-3.0, 1.0))),
            "task_scale": CounterExample(((1.0, 0.0), (0.0, 1.0))),
            "stationary": CounterExample(((1.0, 0.0), (-1.0, 0.0), (0.0, 1.0))),
            # whether the mean opposes the first task depends on the factors
            "linear_under_scaling": CounterExample(((1.0, 0.0), (-0.13, 1.0))),
        }

    def weights(self, gramian: Tensor, state: State, step: Step) -> Answer:
        shares = mean_shares(self.task_weights, step)
        solution = project_on_dual_cone(gramian.numpy(), shares[None, :], checked=True)
        return Answer(torch.from_numpy(solution.value), state, solution.status, solution.certificate)


def mean_shares(task_weights: PerTask | None, step: Step) -> NDArray[np.float64]:
    """What each task of a step weighs in the mean: w, or 1 over the number of present tasks.

    Args:
        task_weights: Frozen setting, or None.
        step: A task of zero gradient has no row and still counts.

    Returns:
        (k,), sum 1 where every task is present and has a row.
    """
    k = len(step.tasks.present)
    if task_weights is None:
        return np.full(k, 1 / step.count)
    like = torch.empty(k, dtype=torch.float64)
    return (preference_factors(task_weights, step.tasks, like) / step.count).numpy()
