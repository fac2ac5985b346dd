"""The sum of the unit gradients: no loss counts more because of its unit."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ..base import Answer, CounterExample, GramianMethod, State, Step

__all__ = ["InverseNorm"]


@dataclass(frozen=True)
class InverseNorm(GramianMethod):
    r"""Weights inverse to the gradient norms.

    .. math:: a_i = \frac{1/|g_i|}{\sum_j 1/|g_j|}, \qquad
              d = \Big(\sum_i \frac{1}{|g_i|}\Big)^{-1} \sum_i \frac{g_i}{|g_i|}

    The direction does not change when a loss is multiplied by a positive number or shifted. For two tasks it bisects
    the gradients and never raises a loss to first order; for more it may.

    Shapes:
        gramian (k, k) -> weights (k,); only the diagonal is read.
    Scale:
        Weights sum to 1, so |d| is at most the harmonic mean of the norms.
    Degenerate:
        An exactly zero gradient gets weight 0; if all are zero, each gets 1/k. Opposite gradients cancel. k = 1: the
        gradient.
    Optimizer:
        That no loss rises to first order, where its laws say so, holds for this direction and not for the step that
        momentum or Adam makes of it; `equipoise.record` counts how often that step raises one.
    Cost:
        O(k) on the device of G; nothing is copied.
    Source:
        Su, *Multi-task learning (I)* (2022).

    Example:
        >>> import equipoise as eq
        >>> eq.direction(InverseNorm(), [[3.0, 0.0], [0.0, 1.0]])
        tensor([0.7500, 0.7500], dtype=torch.float64)
    """

    source: ClassVar[str] = "Su, Multi-task learning (I) (2022)"
    cost: ClassVar[str] = "O(k)"
    on_host: ClassVar[bool] = False

    def claims(self, k: int) -> frozenset[str]:
        laws = {"simplex", "permutation", "unanimity", "degree", "single", "task_scale"}
        return frozenset(laws | {"no_conflict"} if k <= 2 else laws)

    def degree(self) -> float:
        return 1.0

    def refutes(self) -> Mapping[str, CounterExample]:
        three = CounterExample(((1.0, 0.0), (-1.0, 0.2), (-1.0, -0.1)))
        return {"no_conflict": three, "stationary": CounterExample(((1.0, 0.0), (-0.5, 0.5), (-0.5, -0.5)))}

    def weights(self, gramian: Tensor, state: State, step: Step) -> Answer:
        del step
        norms = gramian.diagonal().sqrt()
        live = norms > 0
        # in units of the smallest live norm: nothing overflows, whatever the scale
        smallest = torch.where(live, norms, torch.inf).min()
        inverse = torch.where(live, smallest / torch.where(live, norms, 1.0), 0.0)
        inverse = torch.where(live.any(), inverse, torch.ones_like(inverse))
        return Answer(inverse / inverse.sum(), state)
