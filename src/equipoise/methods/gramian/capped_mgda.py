"""MGDA with an upper limit for every weight: no single task can take the step for itself."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ...errors import SettingError
from ...solve.capped_min_norm import capped_min_norm_point
from ..base import Answer, CounterExample, GramianMethod, State, Step

__all__ = ["CappedMGDA"]


@dataclass(frozen=True)
class CappedMGDA(GramianMethod):
    r"""The min-norm point under a cap on the weights.

    .. math:: a = \arg\min \{a^\top G a : 0 \le a_i \le c,\; \sum_i a_i = 1\}, \qquad d = J^\top a

    The same direction solves :math:`\max_d \operatorname{CVaR}(\langle g_i, d \rangle) - \tfrac12 |d|^2`, with CVaR
    the mean of the 1/c smallest products (an integer 1/c; else the last one counts in part). So MGDA's worst task
    becomes a group of worst tasks. c = 1 is `MGDA`; c <= 1/k is the mean. A task with a short or a noisy gradient,
    which would take MGDA's whole weight, is held to its cap.

    Shapes:
        gramian (k, k) -> weights (k,).
    Scale:
        Weights sum to 1; ``c * J`` gives ``c * d``. With a cap a loss may rise, which MGDA excludes.
    Degenerate:
        A stationary point: d follows the formula, status ``STATIONARY``. Dependent gradients: the direction is unique,
        the weights need not be. An exactly zero gradient is left out. In a step of at most 1/c tasks: the mean.
        k = 1: the gradient.
    Optimizer:
        That no loss rises to first order, where its laws say so, holds for this direction and not for the step that
        momentum or Adam makes of it; `equipoise.record` counts how often that step raises one.
    Cost:
        O(k^3) on the CPU where no weight reaches the cap, else up to some k times as much: 0.3 ms for k = 10, 1 ms for
        k = 40.
    Source:
        Hu, Ho & Yu (2026), arXiv:2605.30452 (capped MGDA, from a CVaR). The formula above is the dual of the CVaR and
        was derived from the paper's abstract; its equations were not at hand, so its own notation may differ. The
        default cap is ours.

    Args:
        cap: Upper limit c of every weight, in (0, 1].

    Example:
        >>> import equipoise as eq
        >>> eq.direction(CappedMGDA(cap=0.5), [[1.0, 0.0, 0.0], [0.0, 3.0, 0.0], [0.0, 0.0, 3.0]])
        tensor([0.5000, 0.7500, 0.7500], dtype=torch.float64)
    """

    source: ClassVar[str] = "Hu, Ho & Yu (2026), arXiv:2605.30452"
    cost: ClassVar[str] = "O(k^3) on the CPU, some k times as much where a weight reaches the cap"

    cap: float = 0.7

    def __post_init__(self) -> None:
        if not 0 < self.cap <= 1:
            raise SettingError(f"`cap` must lie in (0, 1]; got {self.cap!r}.")

    def claims(self, k: int) -> frozenset[str]:
        laws = {"permutation", "unanimity", "degree", "single"}
        if k == 1 or self.cap * k > 1:
            laws |= {"simplex"}  # in the mean a row that is left out keeps its share
        return frozenset(laws | {"no_conflict"} if k == 1 or self.cap == 1 else laws)

    def degree(self) -> float:
        return 1.0

    def refutes(self) -> Mapping[str, CounterExample]:
        found = {"task_scale": CounterExample(((1.0, 0.0), (0.0, 1.0)))} if self.cap > 0.5 else {}
        if self.cap < 1:
            # the long gradient keeps a weight of at least 1 - c, enough to oppose the short one
            found["no_conflict"] = CounterExample(((1.0, 0.0), (-2 / (1 - max(self.cap, 0.5)), 1.0)))
        return found

    def weights(self, gramian: Tensor, state: State, step: Step) -> Answer:
        if self.cap * step.count <= 1:  # the mean, in which a row that was left out still counts
            return Answer(torch.full((len(gramian),), 1 / step.count, dtype=torch.float64), state)
        solution = capped_min_norm_point(gramian.numpy(), self.cap, factor=step.root, checked=True)
        return Answer(torch.from_numpy(solution.value), state, solution.status, solution.certificate)
