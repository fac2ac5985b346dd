"""The Tchebycheff point of a linear model: the single model whose worst weighted loss is smallest."""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from ...core.numbers import real_numbers
from ...errors import SettingError
from ..minmax.best_single import best_single
from ..minmax.fantope import best_mixture
from ..minmax.grassmann import relax
from ..minmax.multistart import MEETING
from ..minmax.problem import Array, Index, MinMax, spread, unit_factor
from ..problem.gramian import checked_gramian, checked_vector, checked_width, correlations, effective_rank, energies

__all__ = ["TchebycheffPoint", "tchebycheff"]


@dataclass(frozen=True, eq=False)
class TchebycheffPoint:
    """The best single model for the worst task, and the best mixture of models beside it.

    Attributes:
        value: max_i weights_i (rho_i - ideal_i) at this model.
        lower: Proven lower end over all single models; equal to `value` where exact.
        captured: (k,) captured energies e_i of this model, all tasks.
        exactness: Kind of the result, ``exact`` or ``bracket``.
        method: Algorithm that computed it, in words.
        iterations: Sign patterns, levels or descents tried, plus the mixture's Newton steps.
        directions: (k, q') the shared layer as combinations of the tasks' predictions: X W = Ŷ @ directions, with
            directions^T G directions = identity and q' = min(q, rank). For a table with OLS coefficients (p, k):
            W = coefficients @ directions.
        mixture_value: The worst *expected* weighted loss of the best mixture of models, <= value.
        mixture_lower: Proven lower end of that.
        mixture_weights: (m,) probabilities of its models, m (m + 1) / 2 <= k.
        mixture_captured: Captured energies of the members, (m, k).
        mixture_directions: Shared layers of the members, (m, k, q'), as `directions`.
        dual: (k,) non-negative, sum 1: task weights whose weighted sum supports the best mixture. Where a weighted
            sum reaches the Tchebycheff point, it is with these.
    """

    value: float
    lower: float
    captured: Array
    exactness: Literal["exact", "bracket"]
    method: str
    iterations: int
    directions: Array
    mixture_value: float
    mixture_lower: float
    mixture_weights: Array
    mixture_captured: Array
    mixture_directions: Array
    dual: Array


def tchebycheff(
    gramian: ArrayLike,
    weights: ArrayLike,
    width: int,
    ideal: ArrayLike | None = None,
    *,
    random_starts: int = 8,
    seed: int = 0,
    limit: int = 20_000,
    first: ArrayLike | None = None,
) -> TchebycheffPoint:
    r"""Minimise the worst weighted loss over single models of shared width q.

    .. math:: \min_P \max_i \; w_i (\rho_i(P) - z_i), \qquad \rho_i(P) = G_{ii} - r_i^\top P r_i

    over projections P of rank at most q, with :math:`G = R^\top R`, rho the excess over a task's own best loss and z
    `ideal` in the same coordinates. Pass ``ideal=-unexplained`` for the raw losses c + rho.

    * q >= rank: one model is best at every task.
    * q = 1: exact, by branch and bound over sign patterns with one least-distance problem a node.
    * q = rank - 1 with independent predictions: exact, by bisection, up to 20 tasks.
    * Where the theorem's sign condition holds (Hu et al., 2023), one sign pattern is enough, for any k.
    * Otherwise a bracket between the best mixture (semidefinite programme, certified) and the best of many descents.
      It is called exact where the ends meet to 1e-9 of the empty model's worst level.

    Args:
        gramian: (k, k) G of the least-squares predictions.
        weights: (k,) non-negative, not all 0. A task of weight 0 does not count in the maximum: its loss is whatever
            the others leave.
        width: Shared width q >= 1.
        ideal: (k,) z, at most 0 (0 is each task's own best loss, which is attainable). Default zeros.
        random_starts: Number of random starts, where descents are needed.
        seed: Seed of the random starts.
        limit: Nodes of the sign search at q = 1 before it is replaced by a bracket.
        first: (k, q) directions of the best model of a similar problem. Descents then start from it and from the best
            mixture only, not from random projections.

    Returns:
        `TchebycheffPoint`. Where solutions are not unique, tasks that do not bind are lowered in a second descent.

    Raises:
        GramianError: Not a Gramian.
        SettingError: Weights, width or ideal out of range.

    Cost: At k = 7: 10 to 60 ms at width 1 and rank - 1, 0.25 s between. At k = 20: 0.2 s, and 1.5 s between.

    Example:
        >>> G = [[1.0, -0.3, -0.3], [-0.3, 1.0, -0.3], [-0.3, -0.3, 1.0]]
        >>> point = tchebycheff(G, [1, 1, 1], width=1)
        >>> point.exactness, round(point.value, 6), round(point.mixture_value, 6)
        ('exact', 0.653333, 0.566667)
    """
    matrix, width = checked_gramian(gramian), checked_width(width)
    tasks = len(matrix)
    scale = checked_vector(weights, tasks, "weights")
    if np.any(scale < 0) or not np.any(scale > 0):
        raise SettingError(
            f"weights must be non-negative and not all 0; found {scale.tolist()}. Pass ones for equal weights"
        )
    aim = np.zeros(tasks) if ideal is None else checked_vector(ideal, tasks, "ideal")
    energy = np.diag(matrix).copy()
    unattainable = np.flatnonzero(aim > 1e-12 * energy)
    if len(unattainable):
        raise SettingError(
            f"ideal must be at most 0, each task's own best excess; found {aim[unattainable].tolist()} for the tasks "
            f"at {unattainable.tolist()}. Pass 0 there, or minus the unexplained part to aim at a loss of 0"
        )
    aim = np.minimum(aim, 0.0) + 0.0
    counted = (scale > 0) & (np.diag(correlations(matrix)) > 0)
    constant = (scale > 0) & ~counted
    floor = float(np.max(-scale[constant] * aim[constant] + scale[constant] * energy[constant], initial=-np.inf))
    index = np.flatnonzero(counted)
    if not len(index):
        return _same_for_all(matrix, floor, "nothing that counts can be predicted: every model is as good", index)
    part = matrix[np.ix_(index, index)]
    rank = effective_rank(part)
    if width >= rank:
        best = max(floor, float(np.max(scale[index] * (0.0 - aim[index]))))
        words = f"the shared layer has {width} dimensions, the predictions {rank}: one model is best at every task"
        return _same_for_all(matrix, best, words, index)
    factor, back = unit_factor(part)
    own = energy[index]
    unit = float(np.max(scale[index] * (own - aim[index])))
    problem = MinMax(factor, 1.0 - aim[index] / own, unit / (scale[index] * own), width)
    mixture = best_mixture(problem)
    near = None if first is None else _near(problem, np.sqrt(own)[:, None] * _directions(first, tasks)[index])
    single = best_single(problem, mixture, random_starts=random_starts, seed=seed, limit=limit, near=near)
    basis = relax(problem, single.basis)
    if problem.worst(basis) - mixture.lower <= MEETING:
        # where the optimum is not unique the mixture may have come out as several models: one is as good
        mixture = replace(mixture, value=problem.worst(basis), weights=np.ones(1), bases=basis[None])
    directions = spread(back, basis, index, tasks)
    members = np.array([spread(back, member, index, tasks) for member in mixture.bases])
    value = max(floor, unit * problem.worst(basis))
    dual = np.zeros(tasks)
    dual[index] = mixture.dual / own
    return TchebycheffPoint(
        value=value,
        lower=value if single.exact else max(floor, unit * single.lower),
        captured=energies(matrix, directions),
        exactness="exact" if single.exact else "bracket",
        method=single.method,
        iterations=single.steps + mixture.iterations,
        directions=directions,
        mixture_value=min(value, max(floor, unit * mixture.value)),
        mixture_lower=max(floor, unit * mixture.lower),
        mixture_weights=mixture.weights,
        mixture_captured=energies(matrix, members),
        mixture_directions=members,
        dual=dual / dual.sum(),
    )


def _directions(values: ArrayLike, tasks: int) -> Array:
    table = real_numbers(values, "first", SettingError, f"pass ({tasks}, q) combinations of the predictions")
    if table.ndim != 2 or len(table) != tasks or not np.isfinite(table).all():
        raise SettingError(f"first must be a finite ({tasks}, q) table, one row a task; found shape {table.shape}")
    return table


def _near(problem: MinMax, directions: Array) -> Array:
    """An orthonormal basis (r, q) of other combinations (k, q') of the predictions, filled up where they are fewer."""
    spanned = problem.factor @ directions
    filled = np.hstack([spanned, np.eye(problem.rank)])
    return np.asarray(np.linalg.qr(filled)[0][:, : problem.width])


def _same_for_all(matrix: Array, value: float, words: str, index: Index) -> TchebycheffPoint:
    """Where one model is best at every task that counts: it spans all their predictions."""
    tasks = len(matrix)
    directions = np.zeros((tasks, 0))
    if len(index):
        _, back = unit_factor(matrix[np.ix_(index, index)])
        directions = np.zeros((tasks, back.shape[1]))
        directions[index] = back
    captured = np.minimum(energies(matrix, directions), np.diag(matrix))
    dual = np.zeros(tasks)
    dual[index if len(index) else slice(None)] = 1.0 / (len(index) or tasks)
    return TchebycheffPoint(
        value=value,
        lower=value,
        captured=captured,
        exactness="exact",
        method=words,
        iterations=0,
        directions=directions,
        mixture_value=value,
        mixture_lower=value,
        mixture_weights=np.ones(1),
        mixture_captured=captured[None],
        mixture_directions=directions[None],
        dual=dual,
    )
