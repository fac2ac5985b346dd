"""The mixture of few models that is furthest ahead of a point, by the interior-point method over the Fantope."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike

from ...errors import SettingError
from ..minmax.fantope import Mixture, best_mixture
from ..minmax.mixture_lp import Program
from ..minmax.multistart import search
from ..minmax.problem import Array, Index, MinMax, spread, unit_factor
from ..problem.gramian import checked_gramian, checked_vector, checked_width, correlations, effective_rank, energies

__all__ = ["Ahead", "MinimalMixture", "ahead_of", "minimal_mixture", "mixture_ahead"]


IDLE = 1e-6
"""A task whose share of the dual weights is below this does not bind."""

SAME = 1e-8
"""Levels this close are the same."""


@dataclass(frozen=True, eq=False)
class MinimalMixture:
    """A mixture of few models that is ahead of a point in every task.

    Attributes:
        lead: Distance from the point along the direction: the mixture captures at least `captured` + lead * direction;
            negative where the point is out of reach of mixtures.
        upper: Proven: no mixture of this width has a larger lead.
        weights: Weights of the tasks that prove it, (k,), with weights . direction = 1.
        probabilities: (m,) sum 1, m (m + 1) / 2 <= k where every task binds at the optimum (all `weights` positive),
            and as few as a search found otherwise.
        captured: (m, k) energies of the members.
        directions: Shared layers of the members as combinations of the predictions, (m, k, q'), as in `Scalarized`.
        iterations: Number of Newton steps.
    """

    lead: float
    upper: float
    weights: Array
    probabilities: Array
    captured: Array
    directions: Array
    iterations: int


@dataclass(frozen=True, eq=False)
class Ahead:
    """The question "how far ahead of this point?" as a `MinMax`: its worst level is minus the lead."""

    problem: MinMax  # the `MinMax` over the tasks of `index`
    index: Index  # positions of the tasks that count
    energy: Array  # energies G_ii of these tasks, (len(index),)
    back: Array  # map from bases to directions, as `unit_factor` returns it

    def spread(self, basis: Array, tasks: int) -> Array:
        """(k, q) directions of a basis (r, q), zero rows for tasks that do not count."""
        return spread(self.back, basis, self.index, tasks)


def ahead_of(gramian: Array, width: int, captured: Array, direction: Array) -> Ahead | None:
    """The `MinMax` whose worst level is minus the lead over `captured` (k,); None where width >= rank of what counts.

    `gramian` is checked already; `direction` (k,) is not negative, and tasks of 0 do not count.
    """
    index = np.flatnonzero((direction > 0) & (np.diag(correlations(gramian)) > 0))
    part = gramian[np.ix_(index, index)]
    if not len(index) or width >= effective_rank(part):
        return None
    energy = np.diag(part).copy()
    factor, back = unit_factor(part)
    return Ahead(MinMax(factor, captured[index] / energy, direction[index] / energy, width), index, energy, back)


def minimal_mixture(
    gramian: ArrayLike, width: int, captured: ArrayLike, direction: ArrayLike | None = None
) -> MinimalMixture:
    """The mixture of few single models that improves most on a point, in every task at once.

    The lead is delta of `reach`; here the mixture that attains it is as small as the theory allows. An optimal matrix
    of the Fantope can be chosen with f eigenvalues strictly between 0 and 1, f (f + 1) / 2 <= k (Pataki, 1998), and
    splits into at most max(1, f) projections, each of them one model: 2 models up to k = 5, 3 up to k = 9. Weighted
    sums combined as `reach` combines them may need more, and Caratheodory's bound is k.

    Args:
        gramian: (k, k) Gramian G of the least-squares predictions.
        width: q >= 1, below the rank of G.
        captured: (k,) energies of the point, c_i + G_ii - L_i.
        direction: (k,) positive; default diag(G), so that the lead is in shares of each task's predictable part.

    Returns:
        The mixture; ``upper - lead`` is its certified gap, 1e-9 as a rule.

    Raises:
        GramianError: Not a Gramian.
        SettingError: Shapes or values out of range, or width >= rank: one model is then best at every task.

    Cost: 10 ms at k = 7, 0.1 s at k = 40.

    Example:
        >>> G = [[1.0, -0.3, -0.3], [-0.3, 1.0, -0.3], [-0.3, -0.3, 1.0]]
        >>> found = minimal_mixture(G, 1, [0.2, 0.2, 0.2])
        >>> round(found.lead, 6), len(found.probabilities)
        (0.233333, 2)
    """
    matrix, width = checked_gramian(gramian), checked_width(width)
    tasks = len(matrix)
    target = checked_vector(captured, tasks, "captured")
    scale = np.diag(matrix) if direction is None else checked_vector(direction, tasks, "direction", positive=True)
    ahead = ahead_of(matrix, width, target, scale)
    if ahead is None:
        raise SettingError(
            f"width must be below the rank of the predictions, {effective_rank(matrix)}, for a mixture to help; "
            f"found {width}. One model is best at every task"
        )
    return mixture_ahead(matrix, ahead, scale)


def mixture_ahead(gramian: Array, ahead: Ahead, direction: Array) -> MinimalMixture:
    """`minimal_mixture` of a prepared question."""
    tasks = len(gramian)
    mixed = _fewer(ahead.problem, best_mixture(ahead.problem))
    directions = np.array([ahead.spread(basis, tasks) for basis in mixed.bases])
    weights = np.zeros(tasks)
    weights[ahead.index] = mixed.dual / ahead.energy
    return MinimalMixture(
        lead=-mixed.value,
        upper=-mixed.lower,
        weights=weights / float(weights @ direction),
        probabilities=mixed.weights,
        captured=energies(gramian, directions),
        directions=directions,
        iterations=mixed.iterations,
    )


def _fewer(problem: MinMax, mixed: Mixture) -> Mixture:
    """As good with fewer members, where tasks that do not bind leave room: one model, or some of the members."""
    binding = float(np.min(mixed.dual * problem.pace)) > IDLE
    if len(mixed.weights) == 1 or binding:
        return mixed
    basis, _, _ = search(problem, mixed, random_starts=1, enough=mixed.value + SAME)
    if problem.worst(basis) <= mixed.value + SAME:
        return replace(mixed, value=max(problem.worst(basis), mixed.lower), weights=np.ones(1), bases=basis[None])
    levels = np.array([problem.levels(problem.captured(basis)) for basis in mixed.bases])
    found = Program.least_level(levels).solve()
    if found is None or found.level > mixed.value + SAME:
        return mixed
    kept = found.shares > 0
    value = max(float(np.max(found.shares @ levels)), mixed.lower)
    return replace(mixed, value=value, weights=found.shares[kept], bases=mixed.bases[kept])
