"""The best that weights alone can do: the task weights whose optimum has the smallest worst loss."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import minimize

from ...core.numbers import is_whole
from ...errors import SettingError
from ..minmax.grassmann import LARGEST_POLISH, multipliers
from ..minmax.multistart import MEETING
from ..minmax.problem import Array, MinMax, spread, unit_factor
from ..problem.gramian import checked_gramian, checked_vector, checked_width, correlations, effective_rank, energies
from .scalarized_descent import LEAST, Pair, descend, settled
from .tchebycheff import TchebycheffPoint, tchebycheff
from .written_weights import optima, written_weights

__all__ = ["BestWeights", "best_weights"]

SAMPLES = 400
"""Weights tried blindly before the descents."""


@dataclass(frozen=True, eq=False)
class BestWeights:
    """The best weights found for the worst task.

    Attributes:
        worst: max_i loss_i / scale_i at the optimum of `weights`; where `tied`, at the best of them.
        lower: Proven lower end: no single model of this width does better, whatever the weights.
        exactness: ``exact`` where both meet, else ``found by search``.
        weights: (k,) sum 1, of the losses in units of `scale`: the model minimises sum_i weights_i loss_i / scale_i.
        captured: (k,) captured energies e_i of this model.
        directions: Shared layer as combinations of the tasks' predictions, (k, q'), as in `Scalarized`.
        tied: Whether these weights have a set of optima, of which this model is one (two eigenvalues tie). A single
            training run then ends at an arbitrary member, and weights near by at very different ones.
        written: (k,) weights to use: positive, sum 1 as written, with at most 10 decimals, and an optimum of
            their own, not one of several. Its worst loss is within 0.0005 of `worst` where that many decimals allow
            it, else as near as was found, within 0.01; None where none were found.
        digits: The least number of decimals with which weights come within 0.01 of `worst`, or None. A weight that
            rounds to 0 counts as right where 0 and a tenth of the last decimal both do.
        solves: Eigen-decompositions made in the search.
    """

    worst: float
    lower: float
    exactness: Literal["exact", "found by search"]
    weights: Array
    captured: Array
    directions: Array
    tied: bool
    written: Array | None
    digits: int | None
    solves: int


def best_weights(
    gramian: ArrayLike,
    unexplained: ArrayLike,
    width: int,
    *,
    scale: ArrayLike | None = None,
    starts: int = 24,
    seed: int = 0,
    single: TchebycheffPoint | None = None,
    first: ArrayLike | None = None,
) -> BestWeights:
    """Search the task weights whose weighted sum has the smallest worst loss at its optimum.

    Minimises max_i (c_i + G_ii - e_i(w)) / scale_i over the simplex, e(w) the optimum of the weighted sum. This jumps
    wherever eigenvalues of the weighted Gramian cross, and its best value is, unless it equals that of the best single
    model, typically at a crossing. Blind samples and the normal of the best mixture give starts; from each a
    descent over pairs (weights, one of their optima) follows the crossings exactly.

    Args:
        gramian: (k, k) G of the least-squares predictions.
        unexplained: (k,) c, the losses that no linear model removes, non-negative.
        width: Shared width q >= 1.
        scale: (k,) positive units of the losses, such as the variances. Default ones.
        starts: Number of descents at most; ended early where the lower end is met.
        seed: Seed of the samples.
        first: (k,) weights to descend from before all others, such as those of a similar problem.
        single: The best single model, ``tchebycheff(gramian, 1 / scale, width, -unexplained)``, where it is known.

    Returns:
        `BestWeights`. Found by search unless it says exact: other weights may be better, but not than `lower`.

    Raises:
        GramianError: Not a Gramian.
        SettingError: Another shape, a value out of range.

    Cost: 20 ms where the lower end is met, else 0.1 s at k = 3, 0.5 s at k = 7, 2 to 4 s at k = 20.

    Example:
        >>> G = [[1.0, -0.3, -0.3], [-0.3, 1.0, -0.3], [-0.3, -0.3, 1.0]]
        >>> found = best_weights(G, [0.1, 0.1, 0.1], width=1)
        >>> round(found.worst, 4), found.tied, round(found.lower, 4)
        (0.8833, True, 0.7533)
    """
    matrix, width = checked_gramian(gramian), checked_width(width)
    tasks = len(matrix)
    rest = checked_vector(unexplained, tasks, "unexplained")
    if np.any(rest < 0):
        raise SettingError(
            f"unexplained must not be negative; found {rest.tolist()}. Pass the losses that no linear model removes"
        )
    unit = np.ones(tasks) if scale is None else checked_vector(scale, tasks, "scale", positive=True)
    if not is_whole(starts, least=1):
        raise SettingError(f"starts must be a whole number of at least 1; found {starts!r}. Pass for example 24")
    known = tchebycheff(matrix, 1.0 / unit, width, -rest, seed=seed) if single is None else single
    _check_single(known, (rest + np.diag(matrix)) / unit, unit)
    index = np.flatnonzero(np.diag(correlations(matrix)) > 0)
    if not len(index) or width >= effective_rank(matrix):
        equal = np.full(tasks, 1.0 / tasks)
        return BestWeights(
            worst=known.value,
            lower=known.value,
            exactness="exact",
            weights=equal,
            captured=known.captured,
            directions=known.directions,
            tied=False,
            written=equal,
            digits=0,
            solves=0,
        )
    part = matrix[np.ix_(index, index)]
    own = np.diag(part)
    factor, back = unit_factor(part)
    # Weights of the captured shares, as the problem has them, are weights of the losses times this.
    shares = own / unit[index]
    level = float(np.max((rest[index] + own) / unit[index]))
    problem = MinMax(factor, 1.0 + rest[index] / own, level / shares, width)
    floor = float(np.max(np.delete((rest + np.diag(matrix)) / unit, index), initial=0.0))
    goal = known.lower / level + MEETING
    alone = factor @ (np.sqrt(own)[:, None] * known.directions[index])
    warm = None if first is None else checked_vector(first, tasks, "first")[index] * shares
    best, good, solves = _search(problem, known.dual[index] * own, alone, goal, starts, seed, warm)
    worst = max(floor, level * best.level)
    weights = np.zeros(tasks)
    weights[index] = best.weights / shares
    if len(index) < tasks:
        # Tasks that cannot be predicted do not matter: any weight will do, and 0 would look like advice.
        weights[weights == 0] = weights[index].mean()
    weights /= weights.sum()
    near = np.tile(weights, (1 + len(good), 1))
    near[1:, index] = good / shares
    near[1:] /= near[1:].sum(axis=1, keepdims=True)
    written, digits, more = written_weights(problem, near, index, shares, level, worst, seed)
    directions = spread(back, best.basis, index, tasks)
    return BestWeights(
        worst=worst,
        lower=min(known.lower, worst),
        exactness="exact" if best.level <= goal or worst <= known.lower else "found by search",
        weights=weights,
        captured=energies(matrix, directions),
        directions=directions,
        tied=best.tied,
        written=written,
        digits=digits,
        solves=solves + more,
    )


def _check_single(single: TchebycheffPoint, empty: Array, unit: Array) -> None:
    """Refuse a single model of another problem: its lower end would prove nothing here."""
    worst = float(np.max(empty - single.captured / unit)) if single.captured.shape == empty.shape else np.nan
    if not abs(worst - single.value) <= 1e-8 * float(np.max(empty)):
        raise SettingError(
            "single must be tchebycheff(gramian, 1 / scale, width, -unexplained) of the same problem; the worst loss "
            f"of its model is {worst:.6g} here, and {single.value:.6g} there. Leave it out to have it computed"
        )


def _search(
    problem: MinMax, dual: Array, single: Array, goal: float, starts: int, seed: int, warm: Array | None = None
) -> tuple[Pair, Array, int]:
    """Best pair found, the best samples (n, k), and the eigen-decompositions made; ended where `goal` is reached."""
    generator = np.random.default_rng(seed)
    blind = generator.dirichlet(np.ones(problem.tasks), size=SAMPLES)
    blind[SAMPLES // 2 :] **= 3.0  # half of them far from equal weights, on a logarithmic scale
    blind = np.maximum(blind / blind.sum(axis=1, keepdims=True), LEAST)
    levels = optima(problem, blind)
    order = np.argsort(levels, kind="stable")
    equal = np.ones(problem.tasks) / problem.tasks
    pairs = [
        (dual, single),
        (multipliers(problem, np.ones(1), single[None]) + LEAST, single),
        (dual, problem.top(np.maximum(dual, LEAST))[0]),
        (equal, problem.top(equal)[0]),
    ]
    if warm is not None:
        near = np.maximum(warm / np.abs(warm).sum(), LEAST)
        pairs.insert(0, (near, problem.top(near)[0]))
    # The best samples, then samples at large: the best ones may all lie around one local optimum.
    chosen = [*order[: starts // 2], *range(starts)]
    pairs += [(blind[i], problem.top(blind[i])[0]) for i in chosen]
    positive = np.maximum(dual / dual.sum(), LEAST)
    best = settled(problem, positive / positive.sum(), single)
    first = settled(problem, blind[order[0]])
    best = min(best, first, key=lambda pair: pair.level)
    solves = SAMPLES + 2
    exact = 1 + problem.tasks + (problem.rank - problem.width) * problem.width <= LARGEST_POLISH
    for weights, basis in pairs[:starts]:
        if best.level <= goal:
            break
        found, made = descend(problem, weights, basis) if exact else _wander(problem, weights)
        solves += made
        if found.level < best.level - 1e-12:
            best = found
    return best, blind[order[:20]], solves


def _wander(problem: MinMax, weights: Array) -> tuple[Pair, int]:
    """Nelder and Mead's simplex in the logarithms of the weights, for problems too large for `descend`."""

    def value(logarithms: Array) -> float:
        scaled = np.exp(logarithms - logarithms.max())
        return float(problem.worst(problem.top(np.maximum(scaled / scaled.sum(), LEAST))[0]))

    found = minimize(
        value,
        np.log(np.maximum(weights / weights.sum(), LEAST)),
        method="Nelder-Mead",
        options={"maxfev": 60 * problem.tasks, "adaptive": True},
    )
    scaled = np.exp(found.x - found.x.max())
    reached = np.maximum(scaled / scaled.sum(), LEAST)
    return settled(problem, reached / reached.sum()), int(found.nfev) + 1
