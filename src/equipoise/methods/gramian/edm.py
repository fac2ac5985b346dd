"""The equiangular direction: the shortest vector in the hull of the unit gradients, as a mean of the gradients."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ...solve.equilibrate import equilibrate
from ...solve.min_norm import min_norm_point
from ..base import Answer, CounterExample, GramianMethod, State, Step

__all__ = ["EDM"]


@dataclass(frozen=True)
class EDM(GramianMethod):
    r"""Equiangular direction method.

    .. math:: d = \gamma \sum_i b_i u_i, \qquad b = \arg\min_{b \ge 0,\; \sum_i b_i = 1} \Big| \sum_i b_i u_i \Big|^2,
              \qquad \frac1\gamma = \sum_i \frac{b_i}{|g_i|}

    with :math:`u_i = g_i / |g_i|` the unit gradients. So d is the mean of the gradients with weights
    :math:`a_i \propto b_i / |g_i|`. It has the same positive cosine with every gradient that has a weight, and no
    smaller one with the others: no loss rises to first order. For two tasks it is the bisector.

    `MGDA` takes the shortest vector in the hull of the gradients themselves, where the shortest gradient dominates;
    its ``normalize="l2"`` puts the weights b on the original gradients, which may raise a loss.

    Shapes:
        gramian (k, k) -> weights (k,).
    Scale:
        Weights sum to 1; the unit direction does not change when a loss is multiplied by a positive number.
    Degenerate:
        Dependent gradients: the b of least norm, status ``RANK_DEFICIENT``. A stationary point: d = 0, status
        ``STATIONARY``. An exactly zero gradient is left out (published: d = 0). k = 1: the gradient.
    Optimizer:
        That no loss rises to first order, where its laws say so, holds for this direction and not for the step that
        momentum or Adam makes of it; `equipoise.record` counts how often that step raises one.
    Cost:
        O(k^3) on the CPU: 0.02 ms for k = 2, 0.1 ms for k = 40.
    Source:
        Katrutsa, Merkulov, Tursynbek & Oseledets (2020), arXiv:2007.06937, and the authors' code for two tasks. We
        differ: an exact solve, where the authors use Frank-Wolfe steps.

    Example:
        >>> import equipoise as eq
        >>> eq.direction(EDM(), [[3.0, 0.0], [0.0, 1.0]])  # as `InverseNorm`: two tasks
        tensor([0.7500, 0.7500], dtype=torch.float64)
    """

    source: ClassVar[str] = "Katrutsa et al. (2020), arXiv:2007.06937"
    cost: ClassVar[str] = "O(k^3) on the CPU"

    def claims(self, k: int) -> frozenset[str]:
        del k
        return frozenset({"simplex", "permutation", "unanimity", "degree", "single", "task_scale", "no_conflict"})

    def degree(self) -> float:
        return 1.0

    def refutes(self) -> Mapping[str, CounterExample]:
        return {"linear_under_scaling": CounterExample(((1.0, 0.0), (0.5, 1.0)))}

    def weights(self, gramian: Tensor, state: State, step: Step) -> Answer:
        cosines, norms = equilibrate(gramian.numpy())
        factor = None if step.root is None else step.root / norms
        solution = min_norm_point(cosines, factor=factor, checked=True)
        weights = solution.value * (norms.min() / norms)
        return Answer(torch.from_numpy(weights / weights.sum()), state, solution.status, solution.certificate)
