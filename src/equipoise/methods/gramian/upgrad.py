"""Each gradient projected so that it opposes no task, then the mean."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from ...solve.dual_cone import project_on_dual_cone
from ..base import Answer, CounterExample, State, Step
from .weighted_mean import FromWeightedMean

__all__ = ["UPGrad"]


@dataclass(frozen=True)
class UPGrad(FromWeightedMean):
    r"""Unconflicting projection of gradients.

    .. math:: d = \sum_i w_i\, \pi(g_i), \qquad \pi(x) = \arg\min_{y} \{|y - x| : J y \ge 0\}

    No task is opposed, and d is linear in positive factors of the losses: a gradient that shrinks loses influence in
    proportion, and nothing else changes.

    Shapes:
        gramian (k, k) -> weights (k,).
    Scale:
        The mean of the projected gradients; without conflict it is the mean gradient. Weights are at least w.
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
        k problems of O(k^3) on the CPU: 0.15 ms for k = 10, 3 ms for k = 50, 25 ms at most for k = 100.
    Source:
        Quinton & Rey (2024), arXiv:2406.16232, eq. 5. We differ: no ridge is added to G, which costs two to five digits
        where gradients are dependent or unequal, and no absolute threshold replaces small gradients.

    Args:
        task_weights: w, non-negative, by task name or in task order, normalised to sum 1; None for 1/k.

    Example:
        >>> import equipoise as eq
        >>> eq.direction(UPGrad(), [[1.0, 0.0], [-1.0, 1.0]])
        tensor([0.2500, 0.7500], dtype=torch.float64)
    """

    source: ClassVar[str] = "Quinton & Rey (2024), arXiv:2406.16232"
    cost: ClassVar[str] = "O(k^4) on the CPU"

    def claims(self, k: int) -> frozenset[str]:
        return super().claims(k) | {"no_conflict", "linear_under_scaling"}

    def refutes(self) -> Mapping[str, CounterExample]:
        if self.task_weights is not None:
            return {}
        return {
            "simplex": CounterExample(((1.0, 0.0), (-1.0, 1.0))),
            "task_scale": CounterExample(((1.0, 0.0), (0.0, 1.0))),
            "stationary": CounterExample(((1.0, 0.0), (-1.0, 0.0), (0.0, 1.0))),
        }

    def weights(self, gramian: Tensor, state: State, step: Step) -> Answer:
        solution = project_on_dual_cone(gramian.numpy(), np.diag(self.shares(step)), factor=step.root, checked=True)
        return Answer(torch.from_numpy(solution.value), state, solution.status, solution.certificate)
