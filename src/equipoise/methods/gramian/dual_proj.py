"""The mean gradient projected so that it opposes no task."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ...solve.dual_cone import project_on_dual_cone
from ..base import Answer, CounterExample, State, Step
from .weighted_mean import FromWeightedMean

__all__ = ["DualProj"]


@dataclass(frozen=True)
class DualProj(FromWeightedMean):
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
    Accuracy:
        No task is opposed by more than 1e-6 of the longest gradient, whatever the gradients. Where some cancel but for
        a part e of their length, the projection is found to that as well for e > 1e-7 (from a Gramian alone: e > 1e-3);
        below, a part of it that weights of size 1/e would have to hold is left out.
    Optimizer:
        That no loss rises to first order, where its laws say so, holds for this direction and not for the step that
        momentum or Adam makes of it; `equipoise.record` counts how often that step raises one.
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

    def claims(self, k: int) -> frozenset[str]:
        return super().claims(k) | {"no_conflict"}

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
        solution = project_on_dual_cone(gramian.numpy(), self.shares(step)[None, :], factor=step.root, checked=True)
        return Answer(torch.from_numpy(solution.value), state, solution.status, solution.certificate)
