"""ConFIG: equal projection on every unit gradient, with a length of its own."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

import torch
from torch import Tensor

from ...errors import SettingError, listed
from ...solve import Status
from ...solve.equal_projection import equal_projection
from ...solve.equilibrate import equilibrate
from ..base import Answer, CounterExample, GramianMethod, State, Step

__all__ = ["ConFIG", "Length"]

Length = Literal["mean", "smallest", "largest", "unit"]


@dataclass(frozen=True)
class ConFIG(GramianMethod):
    r"""Conflict-free inverse gradients.

    .. math:: v = \operatorname{unit}(U^+ 1) = \operatorname{unit}\Big(\sum_i b_i u_i\Big), \quad C b = 1, \qquad
              d = \ell\, v

    U holds the unit gradients u_i, C = U U^T their cosines. :math:`\ell` is ``"mean"``:
    :math:`\frac1k \sum_i \langle g_i, v \rangle`; ``"smallest"`` or ``"largest"``: the smallest or largest
    :math:`|g_i|`; ``"unit"``: 1.

    Shapes:
        gramian (k, k) -> weights (k,), possibly negative.
    Scale:
        ``"mean"``: the mean gradient projected on v; ``c * J`` gives ``c * d`` but for ``"unit"``, which gives d.
    Degenerate:
        Independent gradients: d opposes no task. Dependent ones: the pseudo-inverse, status ``RANK_DEFICIENT``, and d
        may oppose some; opposite ones cancel, d = 0. Unit gradients that cancel to rounding elsewhere: d = 0, status
        ``NO_SOLUTION``. A stationary point: status ``STATIONARY``. A zero gradient is left out, and the mean still
        counts it. k = 1: the gradient (``"unit"``: its direction).
    Optimizer:
        That no loss rises to first order, where its laws say so, holds for this direction and not for the step that
        momentum or Adam makes of it; `equipoise.record` counts how often that step raises one.
    Cost:
        O(k^3) on the CPU: 0.03 ms for k = 10, 0.1 ms for k = 100.
    Source:
        Liu et al. (2024), arXiv:2408.11104, eqs. 2-3. We differ: from G alone, where the authors take the
        pseudo-inverse of the (k, n) matrix U, and the mean of the projections where they take the sum.

    Args:
        length: ``"mean"``, ``"smallest"``, ``"largest"`` or ``"unit"``.

    Example:
        >>> import equipoise as eq
        >>> eq.direction(ConFIG(), [[3.0, 0.0], [0.0, 1.0]])
        tensor([1., 1.], dtype=torch.float64)
    """

    source: ClassVar[str] = "Liu et al. (2024), arXiv:2408.11104"
    cost: ClassVar[str] = "O(k^3) on the CPU"

    length: Length = "mean"

    def __post_init__(self) -> None:
        if self.length not in get_args(Length):
            raise SettingError(f"`length` must be one of {listed(get_args(Length))}; got {self.length!r}.")

    def claims(self, k: int) -> frozenset[str]:
        laws = {"permutation", "degree"}
        if self.length != "unit":
            laws |= {"unanimity", "single"}
            if self.length == "mean" and k > 2:
                return frozenset(laws)
        return frozenset(laws | {"task_scale"} | ({"no_conflict"} if k <= 2 else set()))

    def degree(self) -> float:
        return 0.0 if self.length == "unit" else 1.0

    def refutes(self) -> Mapping[str, CounterExample]:
        # three gradients in a plane: no direction has equal projections, and the pseudo-inverse sides with two
        found = {
            "no_conflict": CounterExample(((1.0, 0.0), (-1.0, 1.0), (-1.0, -1.0))),
            "simplex": CounterExample(((3.0, 0.0), (0.0, 1.0))),
        }
        if self.length == "mean":  # the mean may lie on the other side of the plane across v
            found["task_scale"] = CounterExample(((1.0, 0.0), (-1.0, 2.0), (-1.0, -1.0)))
        if self.length == "unit":
            found["unanimity"] = CounterExample(((2.0, 0.0), (2.0, 0.0)))
        return found

    def weights(self, gramian: Tensor, state: State, step: Step) -> Answer:
        cosines, norms = equilibrate(gramian.numpy())
        solution = equal_projection(cosines, step.root)
        if not solution.length > 0:
            status = Status.STATIONARY if solution.status is Status.STATIONARY else Status.NO_SOLUTION
            return Answer(torch.zeros(len(norms), dtype=torch.float64), state, status, solution.certificate)
        sizes = {
            "mean": float(norms @ solution.projections) / solution.length / step.count,
            "smallest": float(norms.min()),
            "largest": float(norms.max()),
            "unit": 1.0,
        }
        weights = solution.value / norms * (sizes[self.length] / solution.length)
        return Answer(torch.from_numpy(weights), state, solution.status, solution.certificate)
