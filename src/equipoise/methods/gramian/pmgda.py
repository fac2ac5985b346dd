"""The point of the front on a ray by prediction and correction: back to the ray first, then along it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from ...core.numbers import Array
from ...core.tasks import PerTask, Preference, Ray, freeze_per_task
from ...errors import EquipoiseError, LossError, SettingError
from ...solve import Solution, Status
from ...solve.constrained_descent import Rows, constrained_descent
from ..base import Answer, CounterExample, GramianMethod, State, Step
from ..parts.domain import is_positive, refuse_negative_losses

__all__ = ["PMGDA"]

_FLAT = 1e-7  # of the terms' size: a shorter gradient of the distance is what rounding left


@dataclass(frozen=True)
class PMGDA(GramianMethod):
    r"""Preference-based multiple gradient descent: correct the distance from a ray, else descend and keep it.

    With the ray p at length 1, the distance :math:`h = |L - (L \cdot p)\, p|` of the losses from it, its gradient
    :math:`g_h = J^\top u`, :math:`u = (L - (L \cdot p)\, p) / h`, and a step against d:

    * correction, where :math:`h > \mathrm{tolerance}\, |L|`: with unit gradients :math:`\hat g` and weights over the
      simplex of k + 1, one linear program

      .. math:: \min_{\mu}\, \max_i\, -g_i^\top d \quad\text{s.t. } \hat g_h^\top d \ge \sigma |\hat g_h|, \qquad
                d = \sum_i \mu_i \hat g_i + \mu_h \hat g_h

      so h falls at least at the part sigma of its steepest rate, and the loss that gains least gains as much as it can;
    * prediction, elsewhere: the shortest :math:`d = \sum_i \mu_i g_i + \nu g_h` with mu on the simplex and nu free. No
      loss rises, and h stays as it is to first order.

    Shapes:
        gramian (k, k), losses (k,) -> weights (k,), some of which may be negative.
    Scale:
        The weights' magnitudes sum to 1. A common factor of losses or gradients does not change them. A ray compares
        losses: bring them to one unit. Corrections do not shrink near the ray, so at a constant step size h comes to
        rest at about the step size times :math:`|g_h|^2`: let the step size fall.
    Degenerate:
        k = 1: the gradient. Losses on the ray exactly, or no direction that changes h (equal gradients, equal losses
        wanted): the min-norm point, as MGDA. Several optimal mu: a vertex, which one depends on the order of the tasks.
    Errors:
        `LossError` where a loss is negative or none are given.
    Cost:
        A correction is one linear program in k + 2 unknowns (HiGHS), 2 ms up to k = 10; a prediction a few
        least-squares problems of O(k^3), 1 ms.
    Source:
        Zhang, Lin & Zhang (2024), arXiv:2402.09492, eq. 8 and 11 (prediction), 18 and 20 (correction); the program, h
        and the defaults as in the authors' library LibMOON. We differ: prediction keeps h, as in the paper (the library
        takes the plain min-norm point); the tolerance is relative to the losses, and the weights, not d, are brought to
        one size. Of the paper's constraint functions only this h is offered, and no region of interest.

    Args:
        ray: Wanted proportions of the losses, positive, by task name or in task order; None for equal losses. A `Ray`
            given as ``preference=`` comes first.
        sigma: Part of the steepest rate at which a correction lowers h, above 0 and at most 1; 1 ignores the losses.
        tolerance: Distance from the ray, relative to the losses' length, up to which a step predicts, > 0.

    Example:
        >>> import equipoise as eq
        >>> eq.weights(eq.PMGDA(sigma=1.0), [[1.0, 0.0], [0.0, 1.0]], losses=[2.0, 1.0])  # straight to the ray
        tensor([ 0.5000, -0.5000], dtype=torch.float64)
        >>> eq.weights(eq.PMGDA(), [[1.0, 0.0], [0.0, 1.0]], losses=[1.0, 1.0])  # along it
        tensor([0.5000, 0.5000], dtype=torch.float64)
    """

    source: ClassVar[str] = "Zhang et al. (2024), arXiv:2402.09492"
    cost: ClassVar[str] = "one linear program in k + 2 unknowns on the CPU"
    honours: ClassVar[tuple[type[Preference], ...]] = (Ray,)

    ray: PerTask | None = None
    sigma: float = 0.95
    tolerance: float = 1e-2

    def __post_init__(self) -> None:
        frozen = freeze_per_task(self.ray, "ray")
        if frozen is not None:
            Ray(frozen)  # refuses what is not positive
        object.__setattr__(self, "ray", frozen)
        if not (is_positive(self.sigma) and self.sigma <= 1 and is_positive(self.tolerance)):
            raise SettingError(
                "`sigma` must be above 0 and at most 1, `tolerance` positive and finite; got "
                f"sigma={self.sigma!r}, tolerance={self.tolerance!r}."
            )

    def claims(self, k: int) -> frozenset[str]:
        if self.ray is not None:
            return frozenset()
        return frozenset({"single", "unanimity"} | ({"simplex", "no_conflict"} if k == 1 else set()))

    def degree(self) -> float:
        return 1.0

    def refutes(self) -> Mapping[str, CounterExample]:
        if self.ray is not None:
            return {}
        above = CounterExample(((1.0, 0.0), (0.0, 1.0)), losses=(9.0, 1.0))
        return {"simplex": above, "no_conflict": above}

    def weights(self, gramian: Tensor, state: State, step: Step) -> Answer:
        if step.losses is None:
            raise LossError(f"{self!r} looks at losses; give `losses`.")
        instead = "eq.FERERO(bounds=...), or add a constant"
        refuse_negative_losses(step.losses, step.tasks, "PMGDA", instead, why="follows a ray")
        losses, matrix = step.losses.cpu().double().numpy(), gramian.numpy()
        wanted = step.preference.losses if isinstance(step.preference, Ray) else self.ray
        ray = np.ones(len(losses)) if wanted is None else step.tasks.vector(wanted, "ray").numpy()
        ray = ray / ray.max()
        losses = losses / (losses.max() or 1.0)  # their unit does not matter, and squares stay finite
        apart = losses - (losses @ ray) / (ray @ ray) * ray
        distance = float(np.linalg.norm(apart))
        slope = apart / (distance or 1.0)
        steep = max(float(slope @ matrix @ slope), 0.0) ** 0.5
        moves = steep > _FLAT * float(np.abs(slope) @ np.sqrt(matrix.diagonal()))
        if moves and distance > self.tolerance * float(np.linalg.norm(losses)):
            found = Solution(_correction(matrix, slope, steep, self.sigma), Status.SOLVED, certificate=0.0)
        else:
            keep = Rows(slope[None, :], np.zeros(1)) if moves else None
            found = constrained_descent(matrix, np.eye(len(losses)), equal=keep, factor=step.root, checked=True)
        weights = found.value / (float(np.abs(found.value).sum()) or 1.0)
        return Answer(torch.from_numpy(weights), state, found.status, found.certificate)


def _correction(matrix: Array, slope: Array, steep: float, sigma: float) -> Array:
    """The weights of the gradients in d, (k,)."""
    from scipy.optimize import linprog  # noqa: PLC0415 - SciPy takes long to import

    norms = np.sqrt(matrix.diagonal())
    mixed = np.column_stack([np.diag(1 / norms), slope / steep])  # (k, k + 1): weights of the unit gradients
    gains, k = matrix @ mixed, len(norms)
    found = linprog(  # over the k + 1 shares and the worst gain, in units of the longest gradient
        np.append(np.zeros(k + 1), -1.0),
        A_ub=np.block([[-gains / norms.max(), np.ones((k, 1))], [-(slope @ gains) / steep, np.zeros(1)]]),
        b_ub=np.append(np.zeros(k), -sigma),
        A_eq=np.append(np.ones(k + 1), 0.0)[None, :],
        b_eq=[1.0],
        bounds=[(0, None)] * (k + 1) + [(None, None)],
        method="highs",
    )
    if found.x is None:
        raise EquipoiseError(f"the linear program of PMGDA, which always has a solution, ended with: {found.message}")
    return np.asarray(mixed @ np.maximum(found.x[:-1], 0.0))
