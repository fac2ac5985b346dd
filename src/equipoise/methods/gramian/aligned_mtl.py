"""Aligned-MTL: gradients made orthogonal and equally long before they are averaged."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

import torch
from torch import Tensor

from ...errors import SettingError, listed
from ...solve import Status
from ...solve.equilibrate import equilibrate
from ...solve.min_norm import hull_holds_zero
from ...solve.procrustes import aligned_weights
from ..base import Answer, CounterExample, State, Step
from .weighted_mean import FromWeightedMean

__all__ = ["AlignedMTL", "AlignedScale"]

AlignedScale = Literal["min", "median", "rmse"]


@dataclass(frozen=True)
class AlignedMTL(FromWeightedMean):
    r"""The weighted mean of the nearest orthogonal, equally long gradients.

    .. math:: G = V S V^\top, \qquad a = \sqrt{s}\, V S^{-1/2} V^\top w, \qquad d = J^\top a

    with w the preference and s the reference eigenvalue of G. The matrix :math:`\sqrt{s}\, V S^{-1/2} V^\top J` has
    all its singular values equal: condition number 1.

    Shapes:
        gramian (k, k) -> weights (k,).
    Scale:
        ``"min"``: s the smallest kept eigenvalue, so |d| is at most the plain mean's |J^T w|; ``"median"``: the lower
        median; ``"rmse"``: the mean of the kept eigenvalues. Weights may be negative and need not sum to 1.
    Degenerate:
        Singular values below `rank_tolerance` times the largest are dropped, status ``RANK_DEFICIENT``; identical
        gradients give that gradient. A zero gradient is left out, and the mean still counts it. Multiplying one loss
        changes the direction: the formula is not made independent of it. A stationary point: the formula, status
        ``STATIONARY``. k = 1: the gradient.
    Accuracy:
        1e-8 where the Jacobian's triangular factor is known, 1e-6 from a Gramian alone (both for a condition number
        of J up to 1e4): squaring costs half the digits.
    Cost:
        O(k^3) on the CPU: 0.1 ms for k = 10.
    Source:
        Senushkin et al. (2023), arXiv:2305.19000.

    Args:
        task_weights: w, non-negative, by task name or in task order, normalised to sum 1; None for 1/k.
        scale: Common singular value, ``"min"``, ``"median"`` or ``"rmse"`` of those kept.
        rank_tolerance: Relative to the largest singular value of J, in [0, 1). The default suits Jacobians computed
            in float32, whose dependent rows are so only to about 3e-8.

    Example:
        >>> import equipoise as eq
        >>> eq.direction(AlignedMTL(), [[1.0, 0.0], [0.0, 3.0]])
        tensor([0.5000, 0.5000], dtype=torch.float64)
    """

    source: ClassVar[str] = "Senushkin et al. (2023), arXiv:2305.19000"
    cost: ClassVar[str] = "O(k^3) on the CPU"

    scale: AlignedScale = "min"
    rank_tolerance: float = 1e-7

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.scale not in get_args(AlignedScale):
            raise SettingError(f"`scale` must be one of {listed(get_args(AlignedScale))}; got {self.scale!r}.")
        if not 0 <= self.rank_tolerance < 1:
            raise SettingError(f"`rank_tolerance` must lie in [0, 1); got {self.rank_tolerance}.")

    def claims(self, k: int) -> frozenset[str]:
        return super().claims(k) | ({"no_conflict"} if k == 1 and self.task_weights is None else set())

    def refutes(self) -> Mapping[str, CounterExample]:
        if self.task_weights is not None:
            return {}
        return {
            "simplex": CounterExample(((1.0, 0.0), (9.0, 3.0))),
            "no_conflict": CounterExample(((1.0, 0.0), (-9.0, 3.0))),
            "task_scale": CounterExample(((1.0, 0.0), (1.0, 1.0))),
        }

    def weights(self, gramian: Tensor, state: State, step: Step) -> Answer:
        solution = aligned_weights(
            gramian.numpy(),
            self.shares(step),
            factor=step.root,
            scale=self.scale,
            rank_tolerance=self.rank_tolerance,
        )
        status = solution.status
        if status is Status.RANK_DEFICIENT and hull_holds_zero(equilibrate(gramian.numpy())[0]):
            status = Status.STATIONARY
        return Answer(torch.from_numpy(solution.value), state, status, solution.certificate)
