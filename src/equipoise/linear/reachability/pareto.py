"""Is this trade-off Pareto-optimal among single models, and which weighted sums reach it?"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from ...errors import SettingError
from ..minmax.best_single import best_single
from ..minmax.fantope import best_mixture
from ..minmax.grassmann import relax
from ..minmax.problem import Array
from ..optima.minimal_mixture import ahead_of
from ..optima.weighted_sum import optimum
from ..problem.gramian import checked_gramian, checked_vector, checked_width, effective_rank, energies
from .exposed_points import exposing_weights
from .reach import Reach, reach

__all__ = ["ParetoTest", "Support", "pareto_test", "support"]

ParetoStatus = Literal["optimal", "dominated", "undetermined", "outside"]


@dataclass(frozen=True, eq=False)
class ParetoTest:
    """Whether another single model of the same width is better at every task.

    Attributes:
        status: ``optimal``: no single model improves every task by more than `tolerance` (weakly Pareto-optimal,
            proved); ``dominated``: one does; ``outside``: no single model comes within `tolerance` of the point;
            ``undetermined``: the bounds do not tell.
        lead: Some single model captures at least `captured` + lead * direction. The single-model counterpart of the
            delta of `reach`, which is at least as large.
        upper: Proven: no single model has a larger lead.
        exact: Whether lead and upper are the same, to 1e-9.
        method: Algorithm that decided it, in words.
        better: (k,) energies of the model that attains `lead`.
        also: (k,) energies of a model that is nowhere worse and better at some task (the point is weakly optimal
            only), or None where none was found.
        tolerance: Tolerance of the status, in units of `direction`.
    """

    status: ParetoStatus
    lead: float
    upper: float
    exact: bool
    method: str
    better: Array
    also: Array | None
    tolerance: float


def pareto_test(
    gramian: ArrayLike,
    width: int,
    captured: ArrayLike,
    direction: ArrayLike | None = None,
    *,
    tolerance: float = 1e-7,
    random_starts: int = 8,
    seed: int = 0,
    limit: int = 20_000,
) -> ParetoTest:
    r"""How far the best single model of shared width q is ahead of a point in every task at once.

    .. math:: \max_P \min_i \; (r_i^\top P r_i - e_i) / d_i

    over projections P of rank q: 0 for a (weakly) Pareto-optimal point of the feasible set, positive for a dominated
    one. It is the Tchebycheff problem seen from the point, and exact where that is:

    * q = 1: branch and bound over signs; equivalently min over signs of min { ||v||^2 : s_i r_i . v >= sqrt(e_i) },
      which is 1 on the front and below 1 where another model dominates.
    * q = rank - 1, independent predictions, at most 20 tasks: the largest z^T D G^-1 D z over sign matrices D, z the
      roots of the residuals: 1 on the front, above 1 where dominated.
    * otherwise: a lead that was found (descents) and an upper bound (mixtures). Where no mixture is ahead, no single
      model is, so supported points are proved optimal at every width.

    Args:
        gramian: (k, k) Gramian G of the least-squares predictions.
        width: Shared width q >= 1.
        captured: (k,) energies e of the point, c_i + G_ii - L_i for losses L.
        direction: (k,) d > 0, default diag(G): the lead is then in shares of each task's predictable part.
        tolerance: Leads up to this count as 0, in units of `direction`.
        random_starts: Number of random starts, where descents are needed.
        seed: Seed of the random starts.
        limit: Most nodes of the sign search at q = 1.

    Raises:
        GramianError: Not a Gramian.
        SettingError: Shapes or values out of range.

    Source:
        The exact tests are the authors' here; for the sets see Hu et al. (NeurIPS 2023).

    Example:
        >>> G = [[1.0, -0.3, -0.3], [-0.3, 1.0, -0.3], [-0.3, -0.3, 1.0]]
        >>> pareto_test(G, 1, [1.0, 0.09, 0.09]).status, pareto_test(G, 1, [0.2, 0.2, 0.2]).status
        ('optimal', 'dominated')
    """
    matrix, width = checked_gramian(gramian), checked_width(width)
    tasks = len(matrix)
    target = checked_vector(captured, tasks, "captured")
    scale = (
        np.diag(matrix).copy() if direction is None else checked_vector(direction, tasks, "direction", positive=True)
    )
    if not tolerance > 0:
        raise SettingError(f"tolerance must be above 0; found {tolerance!r}")
    rank = effective_rank(matrix)
    ahead = ahead_of(matrix, width, target, scale)
    if ahead is None:
        energy = np.diag(matrix)
        counted = scale > 0
        lead = float(np.min((energy - target)[counted] / scale[counted], initial=np.inf)) if counted.any() else 0.0
        also = energy.copy() if np.any(energy - target > tolerance * scale) else None
        status = _status(lead, lead, tolerance)
        words = f"the shared layer has {width} dimensions, the predictions {rank}: one model is best at every task"
        return ParetoTest(status, lead, lead, True, words, energy.copy(), also, tolerance)
    problem = ahead.problem
    mixed = best_mixture(problem)
    single = best_single(problem, mixed, random_starts=random_starts, seed=seed, limit=limit, descend=False)
    level = problem.worst(single.basis)
    floor = min(single.lower, level)
    better = energies(matrix, ahead.spread(single.basis, tasks))
    also = None
    status = _status(-level, -floor, tolerance)
    if status == "optimal":
        found = energies(matrix, ahead.spread(relax(problem, single.basis), tasks))
        gained = (found - target)[ahead.index] / scale[ahead.index]
        if gained.min() >= -tolerance and gained.max() > 100 * tolerance:
            also = found
    return ParetoTest(status, -level, -floor, level - floor <= 1e-9, single.method, better, also, tolerance)


def _status(lead: float, upper: float, tolerance: float) -> ParetoStatus:
    if lead > tolerance:
        return "dominated"
    if upper < -tolerance:
        return "outside"
    return "optimal" if upper <= tolerance else "undetermined"


@dataclass(frozen=True, eq=False)
class Support:
    """Three notions that pictures of weight sweeps confuse.

    Attributes:
        supported: Some weights have the point among their optima (``reachable`` in `reach`); None: undetermined.
        exposed: Some weights have no other optimum, so that training with them leads there. False: every supporting
            weights have others (an eigenvalue tie), and a single training run ends at an arbitrary one of them. Decided
            over all supporting weights, by `exposed_points.exposing_weights`. None: not supported, or not decided.
        hit: Whether a weight of the sweep comes within `radius` of the point in every task; None without a sweep.
        nearest: Distance to the nearest optimum of the sweep: largest difference of a task, in units of diag(G).
        weights: (k,) exposing weights if exposed, otherwise supporting or separating ones.
        eigengap: Relative eigengap at these weights.
        reach: The whole answer of `reach`.
    """

    supported: bool | None
    exposed: bool | None
    hit: bool | None
    nearest: float
    weights: Array
    eigengap: float
    reach: Reach


def support(
    gramian: ArrayLike,
    width: int,
    captured: ArrayLike,
    *,
    sweep: Sequence[ArrayLike] | None = None,
    radius: float = 0.01,
    tolerance: float | None = None,
) -> Support:
    """Whether a point is supported, exposed, and hit by a sweep over weights: three different things.

    A sweep that misses a point proves nothing: orthogonal tasks have all their Pareto points supported by the single
    weight 1 / G_ii, with a full tie, and any other weight gives a vertex. Only `supported` is about reachability.

    Args:
        gramian: (k, k) Gramian G of the least-squares predictions.
        width: Shared width q >= 1.
        captured: (k,) energies of the point.
        sweep: Weights that were tried, (s, k) or a sequence of (k,).
        radius: Distance up to which a sweep hits the point, in shares of diag(G).
        tolerance: Tolerance of `reach`; None for its default.

    Raises:
        GramianError, SettingError: As `reach`.

    Example:
        >>> found = support([[1.0, 0.0], [0.0, 1.0]], 1, [0.5, 0.5], sweep=[[0.9, 0.1], [0.1, 0.9]])
        >>> found.supported, found.exposed, found.hit
        (True, False, False)
    """
    matrix, width = checked_gramian(gramian), checked_width(width)
    found = reach(matrix, width, captured, tolerance=tolerance)
    target = checked_vector(captured, len(matrix), "captured")
    energy = np.where(np.diag(matrix) > 0, np.diag(matrix), np.inf)
    exposed, weights = exposing_weights(matrix, width, target, found) if found.reachable else (None, found.weights)
    point = optimum(matrix, weights, width)
    nearest, hit = np.inf, None
    if sweep is not None:
        tried = [optimum(matrix, checked_vector(row, len(matrix), "sweep"), width).captured for row in sweep]
        nearest = min((float(np.max(np.abs(row - target) / energy)) for row in tried), default=np.inf)
        hit = nearest <= radius
    return Support(found.reachable, exposed, hit, nearest, weights, point.eigengap, found)
