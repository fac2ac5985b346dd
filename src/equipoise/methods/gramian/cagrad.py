"""The best worst descent near the mean gradient."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

import torch
from torch import Tensor

from ...errors import SettingError, listed
from ...solve.descent_in_ball import descent_in_ball
from ..base import Answer, CounterExample, GramianMethod, State, Step

__all__ = ["CAGrad", "Rescale"]

Rescale = Literal["1+c^2", "1+c"]


@dataclass(frozen=True)
class CAGrad(GramianMethod):
    r"""Conflict-averse gradient descent.

    .. math:: d = \arg\max_d \min_i \langle g_i, d \rangle \;\text{subject to}\; |d - g_0| \le c\,|g_0|
              \;=\; g_0 + c\,|g_0| \frac{g_a}{|g_a|}, \qquad g_0 = \tfrac1k \sum_i g_i

    with a the minimiser over the simplex of :math:`\langle g_a, g_0 \rangle + c |g_0| |g_a|`,
    :math:`g_a = \sum_i a_i g_i`; then d is divided by `rescale`. c = 0 is the mean. For c < 1 a fixed point of the
    method is a stationary point of the mean loss; for c >= 1 no task is ever opposed.

    ==========  ==================  ==================================  ==========================================
    ..          paper               authors' code (NYUv2)               here
    ==========  ==================  ==================================  ==========================================
    c           in [0, 1)           0.5 unless given                    0.4 unless given; any c >= 0
    divided by  nothing             1 + c^2, the other two on demand    1 + c^2, 1 + c or nothing, by ``rescale``
    length      mean of the losses  times k, to match their sum         mean of the losses
    a           the minimiser       SciPy's SLSQP, 1e-8 under the root  the minimiser, with a primal-dual gap
    ==========  ==================  ==================================  ==========================================

    Shapes:
        gramian (k, k) -> weights (k,).
    Scale:
        ``c * J`` gives ``c * d``. Before the rescale |d| lies between (1 - c) and (1 + c) times the mean gradient's;
        only ``"1+c"`` returns g itself from k gradients g. Weights are positive and do not sum to 1.
    Degenerate:
        A zero gradient is left out, and the mean still counts it. A stationary point: the maximiser all the same, the
        one nearest to the mean gradient where g_a = 0 leaves a choice; status ``STATIONARY``. A mean gradient of zero:
        d = 0. Dependent gradients: the shortest weights, status ``RANK_DEFICIENT``. k = 1: (1 + c) g before the
        rescale.
    Accuracy:
        The ball holds to 1e-6 of the longest gradient whatever the gradients. Where some cancel but for a part e of
        their length, the maximiser is found to that as well for e > 1e-7 (from a Gramian alone: e > 1e-3); below,
        weights stay small and a task may be opposed by 1e-6 of the longest gradient.
    Optimizer:
        That no loss rises to first order, where its laws say so, holds for this direction and not for the step that
        momentum or Adam makes of it; `equipoise.record` counts how often that step raises one.
    Cost:
        O(k^3) on the CPU: 0.15 ms for k = 10, 0.5 ms for k = 100.
    Source:
        Liu et al. (2021), arXiv:2110.14048, eq. 3-4, algorithm 1; the authors' code: Cranial-XIX/CAGrad, nyuv2. We
        differ: the dual is solved exactly, with the primal-dual gap as certificate, at any scale of the gradients.

    Args:
        c: Radius of the ball around the mean gradient, in units of its length, at least 0; the paper's range is [0, 1).
        rescale: ``"1+c^2"`` (default), ``"1+c"`` (the mean's scale), or None.

    Example:
        >>> import equipoise as eq
        >>> eq.direction(CAGrad(c=0.5, rescale=None), [[1.0, 0.0], [0.0, 1.0]])
        tensor([0.7500, 0.7500], dtype=torch.float64)
    """

    source: ClassVar[str] = "Liu et al. (2021), arXiv:2110.14048"
    cost: ClassVar[str] = "O(k^3) on the CPU"

    c: float = 0.4
    rescale: Rescale | None = "1+c^2"

    def __post_init__(self) -> None:
        if not 0 <= self.c < float("inf"):
            raise SettingError(f"`c` must be at least 0 and finite; got {self.c}. The paper's range is [0, 1).")
        if self.rescale is not None and self.rescale not in get_args(Rescale):
            raise SettingError(f"`rescale` must be one of {listed(get_args(Rescale))} or None; got {self.rescale!r}.")

    @property
    def divisor(self) -> float:
        """Divisor of the direction."""
        return {None: 1.0, "1+c^2": 1 + self.c**2, "1+c": 1 + self.c}[self.rescale]

    def claims(self, k: int) -> frozenset[str]:
        laws = {"permutation", "degree"}
        if self.divisor == 1 + self.c:
            laws |= {"unanimity", "single"}
        if self.c >= 1 or k == 1:
            laws |= {"no_conflict"}
        return frozenset(laws)

    def degree(self) -> float:
        return 1.0

    def refutes(self) -> Mapping[str, CounterExample]:
        found = {"task_scale": CounterExample(((1.0, 0.0), (0.0, 1.0)))}
        if self.c > 0:
            found["simplex"] = CounterExample(((1.0, 0.0), (0.0, 4.0)))
        if self.c < 1:
            # the directions that raise neither loss form a thin cone across the mean gradient
            found["no_conflict"] = CounterExample(((1.0, 0.0), (-9.0, 9 * (1 - self.c))))
        if self.divisor != 1 + self.c:
            found["unanimity"] = CounterExample(((1.0, 2.0), (1.0, 2.0)))
        return found

    def weights(self, gramian: Tensor, state: State, step: Step) -> Answer:
        solution = descent_in_ball(gramian.numpy(), self.c, factor=step.root, checked=True)
        # a row that was left out counts in the mean: g_0, and with it the whole problem, shrinks by this factor
        factor = len(gramian) / step.count / self.divisor
        return Answer(torch.from_numpy(solution.value * factor), state, solution.status, solution.certificate)
