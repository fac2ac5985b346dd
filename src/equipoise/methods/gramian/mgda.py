"""The direction that lowers every loss: minus the shortest vector in the convex hull of the gradients."""

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from ...errors import SettingError
from ...solve.min_norm import min_norm_point
from ..base import Answer, GramianMethod, State, Step

__all__ = ["MGDA"]


@dataclass(frozen=True)
class MGDA(GramianMethod):
    r"""Multiple-gradient descent: the exact min-norm point.

    .. math:: a = \arg\min_{a \ge 0,\; \sum_i a_i = 1} a^\top G a, \qquad d = J^\top a

    Either d = 0, and the point is Pareto stationary, or :math:`\langle g_i, d \rangle \ge |d|^2 > 0` for every task:
    all losses fall to first order.

    Shapes:
        gramian (k, k) -> weights (k,).
    Scale:
        Weights sum to 1; ``c * J`` gives ``c * d``. Small gradients dominate: |d| is at most the smallest |g_i|.
    Degenerate:
        Dependent gradients: the weights of least norm, status ``RANK_DEFICIENT``. A stationary point: d = 0, status
        ``STATIONARY``. An exactly zero gradient is left out (one finished task would otherwise freeze the shared
        parameters); ``zero="exact"`` keeps it, and then d = 0.
    Cost:
        O(k^3) on the CPU: 0.1 ms for k = 2, 1 ms for k = 40.
    Source:
        Desideri (2012); Sener & Koltun (2018), arXiv:1810.04650, eq. 3. We differ: an exact active-set solve with a
        certificate, where the authors' code stops Frank-Wolfe early.

    Args:
        zero: ``"leave out"`` or ``"exact"``; see Degenerate.

    Example:
        >>> import equipoise as eq
        >>> eq.direction(MGDA(), [[2.0, 0.0], [0.0, 1.0]])
        tensor([0.4000, 0.8000], dtype=torch.float64)
    """

    source: ClassVar[str] = "Desideri (2012); Sener & Koltun (2018), arXiv:1810.04650"
    cost: ClassVar[str] = "O(k^3) on the CPU"

    zero: Literal["leave out", "exact"] = "leave out"

    def __post_init__(self) -> None:
        if self.zero not in ("leave out", "exact"):
            raise SettingError(f"`zero` must be 'leave out' or 'exact'; got {self.zero!r}.")

    @property
    def leaves_out_zero_gradients(self) -> bool:
        return self.zero == "leave out"

    def claims(self, k: int) -> frozenset[str]:
        del k
        return frozenset({"simplex", "permutation", "unanimity", "degree", "no_conflict", "single"})

    def degree(self) -> float:
        return 1.0

    def weights(self, gramian: Tensor, state: State, step: Step) -> Answer:
        del step
        solution = min_norm_point(gramian.numpy())
        return Answer(torch.from_numpy(solution.value), state, solution.status, solution.certificate)
