"""The direction that lowers every loss: minus the shortest vector in the convex hull of the gradients."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...errors import LossError, SettingError, listed
from ...solve.min_norm import min_norm_point
from ...solve.min_norm_routes import min_norm_by
from ..base import Answer, CounterExample, GramianMethod, State, Step

__all__ = ["MGDA", "Normalize", "Solver", "Zero"]

Normalize = Literal["none", "l2", "loss", "loss+"]
Solver = Literal["exact", "frank-wolfe", "averaging", "smooth", "softmax"]
Zero = Literal["leave out", "exact"]


@dataclass(frozen=True)
class MGDA(GramianMethod):
    r"""Multiple-gradient descent: the exact min-norm point.

    .. math:: a = \arg\min_{a \ge 0,\; \sum_i a_i = 1} a^\top G a, \qquad d = J^\top a

    Either d = 0, and the point is Pareto stationary, or :math:`\langle g_i, d \rangle \ge |d|^2 > 0` for every task:
    all losses fall to first order.

    PSMGD (Xu et al. 2024, arXiv:2412.10961) is this method with its weights computed at every R-th step and kept in
    between: ``Balancer(MGDA(), gradients=Every(R))``.

    With `normalize` the problem is solved for :math:`g_i / c_i` (``"l2"``: c = |g|; ``"loss"``: c = L; ``"loss+"``:
    c = L |g|) and the weights apply to the ORIGINAL gradients, as in the authors' trainer: d is then no min-norm point
    and may raise a loss.

    Shapes:
        gramian (k, k), losses (k,) for ``"loss"`` and ``"loss+"`` -> weights (k,).
    Scale:
        Weights sum to 1; ``c * J`` gives ``c * d``. Small gradients dominate: |d| is at most the smallest |g_i|.
    Degenerate:
        Dependent gradients: the weights of least norm, status ``RANK_DEFICIENT``. A stationary point: d = 0, status
        ``STATIONARY`` (with `normalize` the status alone: d is the formula's). An exactly zero gradient is left out
        (one finished task would otherwise freeze the shared parameters); ``zero="exact"`` keeps it, and then d = 0.
    Accuracy:
        With `normalize`, single weights count: gradients that are parallel or cancel but for a part e of their length
        have the exact weights to 1e-6 for e > 1e-3; below, the weights pass smoothly into those of least norm.
    Errors:
        `LossError` for ``"loss"`` and ``"loss+"`` where a loss is not positive.
    Optimizer:
        That no loss rises to first order, where its laws say so, holds for this direction and not for the step that
        momentum or Adam makes of it; `equipoise.record` counts how often that step raises one.
    Cost:
        O(k^3) on the CPU: 0.1 ms for k = 2, 1 ms for k = 40. The four other solvers: up to 1000 iterations of 10
        to 40 microseconds each.
    Source:
        Desideri (2012); Sener & Koltun (2018), arXiv:1810.04650, eq. 3; the routes: Su, *Notes on MGDA*. We differ: an
        exact active-set solve with a certificate, where the authors' code stops Frank-Wolfe early.

    Args:
        zero: ``"leave out"`` or ``"exact"``; see Degenerate.
        normalize: ``"none"``, ``"l2"``, ``"loss"`` or ``"loss+"``.
        solver: ``"exact"``, or a route with a certificate of how far it came: ``"frank-wolfe"``, ``"averaging"``,
            ``"smooth"``, ``"softmax"`` (`equipoise.solve.min_norm_routes`).

    Example:
        >>> import equipoise as eq
        >>> eq.direction(MGDA(), [[2.0, 0.0], [0.0, 1.0]])
        tensor([0.4000, 0.8000], dtype=torch.float64)
    """

    source: ClassVar[str] = "Desideri (2012); Sener & Koltun (2018), arXiv:1810.04650"
    cost: ClassVar[str] = "O(k^3) on the CPU"

    zero: Zero = "leave out"
    normalize: Normalize = "none"
    solver: Solver = "exact"

    def __post_init__(self) -> None:
        wrong = [
            f"`{name}` must be one of {listed(get_args(kind))}; got {getattr(self, name)!r}."
            for name, kind in (("zero", Zero), ("normalize", Normalize), ("solver", Solver))
            if getattr(self, name) not in get_args(kind)
        ]
        if wrong:
            raise SettingError(" ".join(wrong))

    @property
    def leaves_out_zero_gradients(self) -> bool:
        return self.zero == "leave out"

    def claims(self, k: int) -> frozenset[str]:
        laws = {"simplex", "unanimity", "single"}
        if self.solver == "exact":
            laws |= {"permutation", "degree"}  # a route that is stopped early breaks ties by order and by rounding
        if self.normalize == "none" and (self.solver == "exact" or k == 1):
            laws |= {"no_conflict"} | ({"stationary"} if self.zero == "exact" else set())
        return frozenset(laws)

    def degree(self) -> float:
        return 1.0

    def refutes(self) -> Mapping[str, CounterExample]:
        table = {
            "none": {"task_scale": CounterExample(((1.0, 0.0), (-0.5, 1.0)))},
            "l2": {"no_conflict": CounterExample(((1.0, 0.0), (-9.0, 3.0)))},
            "loss": {"no_conflict": CounterExample(((1.0, 0.0), (-9.0, 3.0)), losses=(1.0, 9.0))},
            "loss+": {"no_conflict": CounterExample(((1.0, 0.0), (-9.0, 3.0)))},
        }
        return table[self.normalize]

    def weights(self, gramian: Tensor, state: State, step: Step) -> Answer:
        matrix = gramian.numpy()
        factor = None
        if self.normalize != "none":
            divisors = self._divisors(matrix, step)
            matrix = matrix / divisors[:, None] / divisors[None, :]
            # the weights are put on other gradients than those they were found for, so that each one counts
            factor = None if step.root is None else step.root / divisors
        if self.solver == "exact":
            fine = self.normalize == "none" and bool(np.isfinite(matrix).all())  # what is not, is refused by name
            solution = min_norm_point(matrix, factor=factor, checked=fine)
        else:
            solution = min_norm_by(self.solver, matrix)
        return Answer(torch.from_numpy(solution.value), state, solution.status, solution.certificate)

    def _divisors(self, matrix: NDArray[np.float64], step: Step) -> NDArray[np.float64]:
        """Divisors of the gradients under `normalize`, (k,)."""
        divisors = np.ones(len(matrix))
        if self.normalize in ("l2", "loss+"):
            norms = np.sqrt(np.diagonal(matrix))
            divisors = np.where(norms > 0, norms, 1.0)  # a zero gradient stays zero
        if self.normalize == "l2":
            return divisors
        asked = f"{type(self).__name__}(normalize={self.normalize!r})"
        if step.losses is None:
            raise LossError(f"{asked} divides by the losses; give `losses`.")
        losses: NDArray[np.float64] = step.losses.cpu().numpy()
        wrong = [f"{name} = {value:g}" for name, value in zip(step.tasks.here, losses, strict=True) if not value > 0]
        if wrong:
            raise LossError(
                f"{asked} divides by the losses, so they must be positive; got {', '.join(wrong)}. Use normalize='l2' "
                "or 'none'."
            )
        return divisors * losses
