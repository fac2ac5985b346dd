"""The same projection on every unit gradient."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ...solve import Status
from ...solve.equal_projection import equal_projection
from ...solve.equilibrate import equilibrate
from ..base import Answer, CounterExample, GramianMethod, State, Step

__all__ = ["IMTLG"]


@dataclass(frozen=True)
class IMTLG(GramianMethod):
    r"""Impartial multi-task learning, gradient part: d projects equally on every unit gradient.

    .. math:: \frac{\langle g_i, d \rangle}{|g_i|} = s \;\text{for all } i, \quad \sum_i a_i = 1: \qquad
              C b = 1, \quad a_i \propto b_i / |g_i|

    with C the cosines between the gradients.

    Shapes:
        gramian (k, k) -> weights (k,), possibly negative.
    Scale:
        Weights sum to 1; ``c * J`` gives ``c * d``. The line through d does not change when a loss is multiplied by a
        positive number; for k >= 3 its sign may.
    Degenerate:
        The common projection s can be negative for k >= 3, in about 1 to 7 % of badly scaled cases at k = 10: along d
        every loss then rises; status ``NEGATIVE_PROJECTION``. Dependent gradients: the pseudo-inverse; the projections
        are then unequal by the certificate, status ``RANK_DEFICIENT`` unless all are negative. Weights that cannot be
        normalised because they sum to zero, as far as rounding tells to seven digits: d = 0, status ``NO_SOLUTION``. A
        stationary point: status ``STATIONARY``. A zero gradient is left out. k = 1: the gradient.
    Optimizer:
        That no loss rises to first order, where its laws say so, holds for this direction and not for the step that
        momentum or Adam makes of it; `equipoise.record` counts how often that step raises one.
    Cost:
        O(k^3) on the CPU: 0.03 ms for k = 10, 0.1 ms for k = 100.
    Source:
        Liu et al. (2021), *Towards impartial multi-task learning*, eq. 6. We differ: solved for the cosines, so that
        unequal norms cost no digits, and a negative projection is said.

    Example:
        >>> import equipoise as eq
        >>> eq.direction(IMTLG(), [[3.0, 0.0], [0.0, 1.0]])
        tensor([0.7500, 0.7500], dtype=torch.float64)
    """

    source: ClassVar[str] = "Liu et al. (2021), Towards impartial multi-task learning"
    cost: ClassVar[str] = "O(k^3) on the CPU"

    def claims(self, k: int) -> frozenset[str]:
        laws = {"permutation", "unanimity", "degree", "single"}
        return frozenset(laws | {"no_conflict", "task_scale"} if k <= 2 else laws)

    def degree(self) -> float:
        return 1.0

    def refutes(self) -> Mapping[str, CounterExample]:
        # the third gradient is between the others and shorter: its coefficient is negative and outweighs theirs
        three = CounterExample(((10.0, 0.0, 0.0), (0.0, 10.0, 0.0), (0.7, 0.7, 0.1)))
        return {"simplex": three, "no_conflict": three, "task_scale": three}

    def weights(self, gramian: Tensor, state: State, step: Step) -> Answer:
        cosines, norms = equilibrate(gramian.numpy())
        inverse = norms.min() / norms
        solution = equal_projection(cosines, step.root, scales=inverse)
        status, total = solution.status, solution.total
        if not total:
            status = Status.STATIONARY if status is Status.STATIONARY else Status.NO_SOLUTION
            return Answer(torch.zeros(len(norms), dtype=torch.float64), state, status, solution.certificate)
        if total < 0 and (solution.projections > 0).all():
            status = Status.NEGATIVE_PROJECTION
        weights = solution.value * inverse / total
        return Answer(torch.from_numpy(weights), state, status, solution.certificate)
