"""Alpha-fair allocation of the descent among the tasks."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ...errors import SettingError
from ...solve.alpha_fair import alpha_fair_weights
from ..base import Answer, CounterExample, GramianMethod, State, Step

__all__ = ["FairGrad"]


@dataclass(frozen=True)
class FairGrad(GramianMethod):
    r"""Alpha-fair gradient.

    .. math:: G a = a^{-1/\alpha}, \quad a > 0, \qquad d = J^\top a

    the direction of its length that maximises the alpha-fair utility
    :math:`\sum_i \langle g_i, d \rangle^{1-\alpha} / (1 - \alpha)` of the descents. alpha = 1, the default, is
    `NashMTL` without its clip (``max_norm=None``): the two train the same model, to the bit, and comparing them says
    nothing. A large alpha approaches the largest worst descent, MGDA's unit direction.

    Shapes:
        gramian (k, k) -> weights (k,).
    Scale:
        ``c * J`` gives :math:`c^{(1-\alpha)/(1+\alpha)} d`: the length is the formula's own, and a learning rate tuned
        for the mean does not carry over.
    Degenerate:
        No solution exists exactly when 0 lies in the convex hull of the gradients: d = 0, status ``NO_SOLUTION``.
        Other dependent gradients: a unique solution. A zero gradient is left out. k = 1: g times
        :math:`|g|^{-2\alpha/(1+\alpha)}`.
    Optimizer:
        That no loss rises to first order, where its laws say so, holds for this direction and not for the step that
        momentum or Adam makes of it; `equipoise.record` counts how often that step raises one.
    Cost:
        O(k^3) on the CPU: 0.15 ms for k = 10, 0.5 ms for k = 100.
    Source:
        Ban & Ji (2024), arXiv:2402.15638, eq. 4, algorithm 1. We differ: the equation is solved to rounding, where the
        authors minimise the squared residual with a general least-squares routine.

    Args:
        alpha: Exponent of the fairness, positive.

    Example:
        >>> import equipoise as eq
        >>> eq.direction(FairGrad(alpha=1.0), [[3.0, 0.0], [0.0, 0.1]])
        tensor([1., 1.], dtype=torch.float64)
    """

    source: ClassVar[str] = "Ban & Ji (2024), arXiv:2402.15638"
    cost: ClassVar[str] = "O(k^3) on the CPU"

    alpha: float = 1.0

    def __post_init__(self) -> None:
        if not 0 < self.alpha < float("inf"):
            raise SettingError(f"`alpha` must be positive and finite; got {self.alpha}.")

    def claims(self, k: int) -> frozenset[str]:
        laws = {"permutation", "degree", "no_conflict"}
        return frozenset(laws | {"task_scale"} if self.alpha == 1 or k == 1 else laws)

    def degree(self) -> float:
        return (1 - self.alpha) / (1 + self.alpha)

    def refutes(self) -> Mapping[str, CounterExample]:
        twice = CounterExample(((10.0, 0.0), (10.0, 0.0)))
        found = {"unanimity": twice, "single": twice, "simplex": twice}
        if self.alpha != 1:
            found["task_scale"] = CounterExample(((1.0, 0.0), (0.0, 1.0)))
        return found

    def weights(self, gramian: Tensor, state: State, step: Step) -> Answer:
        solution = alpha_fair_weights(gramian.numpy(), self.alpha, factor=step.root, checked=True)
        return Answer(torch.from_numpy(solution.value), state, solution.status, solution.certificate)
