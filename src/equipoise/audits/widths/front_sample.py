"""Points for the picture of a front: any models, weighted sums, single best models with what a mixture adds."""

import heapq
from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations
from math import comb

import numpy as np

from ...core.numbers import Array
from ...core.records.audit import FrontPoint
from ...linear.minmax.fantope import best_mixture
from ...linear.minmax.problem import MinMax, unit_factor
from ...linear.optima.tchebycheff import tchebycheff
from ...linear.optima.weighted_sum import optimum
from ...linear.problem.gramian import factor
from .optima import Shares, WidthSolution

__all__ = ["Budget", "budget_for", "front_points", "lattice", "weight_sweep"]


_DIGITS = 6
_LEAST_WEIGHT = 1e-4
_VISIBLE = 1e-3
"""Gaps below this share of variance are not searched for larger ones."""
_STARTS = 4
_NODES = 2000
"""Limits of the search for one point of the picture; the balanced point is searched without them."""
_RADII = (0.2, 0.1, 0.05)
_SIMPLICES = 10
"""Tasks up to which simplices are bisected: their number doubles with two more tasks."""


@dataclass(frozen=True)
class Budget:
    """How many points of each kind are drawn."""

    models: int  # random projections
    sweep: int  # weights of the adaptive sweep
    directions: int  # directions for single best models
    climb: int = 0  # directions tried near the one of largest gap, where that can be seen


def budget_for(tasks: int) -> Budget:
    """Points that show the front of k tasks and keep an audit of all widths within seconds.

    Example:
        >>> budget_for(3)
        Budget(models=400, sweep=200, directions=36, climb=18)
    """
    if tasks <= 3:
        return Budget(models=400, sweep=200, directions=36, climb=18)
    if tasks <= 10:
        return Budget(models=200, sweep=120, directions=24 if tasks <= 5 else 12, climb=9)
    return Budget(models=200, sweep=120, directions=3)


def front_points(
    shares: Shares, here: WidthSolution, *, seed: int = 0, budget: Budget | None = None
) -> tuple[tuple[FrontPoint, ...], float, int]:
    """All points of one width, the largest gap seen on single best models, and the directions tried for it.

    The gap of a model is delta of `reach` in shares of variance: by how much a mixture improves every task
    at once. Losses are rounded to 6 decimals; weights are not, and stand only where their optimum is the only one.
    """
    size = budget or budget_for(len(shares.tasks))
    points = [_point("any model", losses) for losses in _random_models(shares, here.width, size.models, seed)]
    tasks = len(shares.tasks)
    even = np.full(tasks, 1.0 / tasks)
    largest, tried = 0.0, 0
    if here.best is not None:
        for weights, losses, one_of_several in _swept(shares, here.width, size.sweep):
            points.append(_point("weighted sum", losses, None if one_of_several else weights))
        part = shares.predictable
        gramian = shares.gramian[np.ix_(part, part)]
        best = np.ones(len(gramian))

        def draw(direction: Array | None) -> float:
            captured, losses = _single_best(shares, here, direction)
            gap = _lead(gramian, here.width, captured)
            points.append(_point("tchebycheff" if direction is None else "one model", losses, gap=gap))
            return gap

        largest = draw(None)
        spread = _directions(len(gramian), size.directions, seed)
        for direction in spread:
            gap = draw(direction)
            if gap > largest:
                largest, best = gap, direction
        tried = 1 + len(spread)
        if largest > _VISIBLE:
            largest, more = _climb(draw, best, largest, seed, size.climb)
            tried += more
        points.append(_point("best weights", here.losses_best, here.written))
        points.append(_point("mixture", here.losses_mixture))
    points.append(_point("equal weights", here.losses_equal, None if here.equal.tied else even))
    points.append(_point("separate", shares.unexplained))
    return tuple(points), largest, tried


def _point(kind: str, losses: Array, weights: Array | None = None, gap: float | None = None) -> FrontPoint:
    return FrontPoint.model_validate(
        {
            "kind": kind,
            "losses": tuple(round(float(loss), _DIGITS) for loss in losses),
            "weights": None if weights is None else tuple(float(weight) for weight in weights),
            "gap": None if gap is None else round(gap, _DIGITS),
        }
    )


def _random_models(shares: Shares, width: int, count: int, seed: int) -> list[Array]:
    """Losses of uniformly random projections of the span of the predictions."""
    forward, _ = factor(shares.gramian)
    dimensions = len(forward)
    if dimensions == 0 or width >= dimensions:
        return []
    generator = np.random.default_rng(seed)
    found = []
    for _ in range(count):
        basis = np.linalg.qr(generator.normal(size=(dimensions, width)))[0]
        found.append(shares.losses(np.sum((basis.T @ forward) ** 2, axis=0)))
    return found


def _directions(tasks: int, count: int, seed: int) -> list[Array]:
    """Tchebycheff weights spread over the simplex: a lattice up to three tasks, seeded random ones beyond."""
    if tasks == 2:
        return [np.array([share, 1 - share]) for share in (np.arange(count) + 0.5) / count]
    if tasks == 3:
        return lattice(tasks, count)
    return list(np.random.default_rng(seed + 1).dirichlet(np.ones(tasks), count))


def lattice(tasks: int, count: int) -> list[Array]:
    """Weights of two or three tasks on an even lattice inside the simplex, at least `count` of them.

    Example:
        >>> [weights.tolist() for weights in lattice(2, 2)]
        [[0.3333333333333333, 0.6666666666666666], [0.6666666666666666, 0.3333333333333333]]
    """
    steps = 3
    while comb(steps - 1, tasks - 1) < count:
        steps += 1
    cuts = combinations(range(1, steps), tasks - 1)
    return [np.diff((0, *cut, steps)) / steps for cut in cuts]


def _climb(draw: Callable[[Array], float], best: Array, largest: float, seed: int, steps: int) -> tuple[float, int]:
    """Random steps from the direction of the largest gap, shorter each round: the largest gap, directions tried."""
    generator = np.random.default_rng(seed + 2)
    tried = 0
    for radius in _RADII:
        for _ in range(steps // len(_RADII)):
            direction = best * np.exp(radius * generator.normal(size=len(best)))
            gap = draw(direction / direction.sum())
            tried += 1
            if gap > largest:
                largest, best = gap, direction
    return largest, tried


def _single_best(shares: Shares, here: WidthSolution, direction: Array | None) -> tuple[Array, Array]:
    """Captured energies (predictable tasks) and losses (all) of the best single model in one direction."""
    part = shares.predictable
    if direction is None:
        return (shares.ceiling - here.losses_point)[part], here.losses_point
    point = tchebycheff(shares.gramian[np.ix_(part, part)], direction, here.width, random_starts=_STARTS, limit=_NODES)
    every = np.zeros(len(part))
    every[part] = point.captured
    return point.captured, shares.losses(every)


def _lead(gramian: Array, width: int, captured: Array) -> float:
    """By how much a mixture beats these energies in every task at once: the lower end of `reach`, from a path.

    With need = e / G_ii and pace = 1 / G_ii the worst level of a mixture is max_i e_i - e_i(P) = -delta. What is
    returned is attained by a mixture.
    """
    energy = gramian.diagonal()
    problem = MinMax(factor=unit_factor(gramian)[0], need=captured / energy, pace=1.0 / energy, width=width)
    return max(-best_mixture(problem).value, 0.0)


def weight_sweep(shares: Shares, width: int, count: int) -> list[tuple[Array, Array]]:
    """Weights and losses of weighted sums at width q, finer where the losses move most; at least one a task.

    Longest-edge bisection of the weight simplex, lengths measured in losses: starting from its corners
    (least weight 1e-4), the edge with the largest product of loss distance and root of weight distance is
    halved next. Above 10 tasks only edges between corners and to the centre are halved, not the simplices
    between them. A uniform grid leaves holes of several percent exactly where trade-offs happen. For pictures
    only: whether a point can be reached is decided by `reach`.

    Example:
        >>> X = np.array([[0.0, 0], [1, 0], [0, 1], [1, 1]])
        >>> problem = Shares(np.eye(2), np.zeros(2), ("a", "b"), 2, 4)
        >>> [losses.round(2).tolist() for _, losses in weight_sweep(problem, 1, 2)]
        [[0.0, 1.0], [1.0, 0.0]]
    """
    return [(weights, losses) for weights, losses, _ in _swept(shares, width, count)]


def _swept(shares: Shares, width: int, count: int) -> list[tuple[Array, Array, bool]]:
    """`weight_sweep`, and whether the weights have several optima."""
    tied: list[bool] = []

    def solved(at: Array) -> Array:
        found = optimum(shares.gramian, at, width)
        tied.append(found.tied)
        return shares.losses(found.captured)

    tasks = len(shares.tasks)
    corners = np.full((tasks, tasks), _LEAST_WEIGHT) + np.eye(tasks) * (1 - tasks * _LEAST_WEIGHT)
    weights = list(corners)
    losses = [solved(corner) for corner in corners]

    lengths: dict[tuple[int, int], float] = {}

    def longest(simplex: tuple[int, ...]) -> tuple[float, tuple[int, int]]:
        for i, j in combinations(simplex, 2):
            if (i, j) not in lengths:
                apart = float(np.abs(weights[i] - weights[j]).sum())
                far = float(np.abs(losses[i] - losses[j]).max()) if apart > _LEAST_WEIGHT else 0.0
                lengths[i, j] = far * np.sqrt(apart)
        return max((lengths[edge], edge) for edge in combinations(simplex, 2))

    simplices = [tuple(range(tasks))]
    if tasks > _SIMPLICES:
        weights.append(np.full(tasks, 1.0 / tasks))
        losses.append(solved(weights[-1]))
        simplices = list(combinations(range(tasks + 1), 2))
    waiting = []
    for simplex in simplices:
        length, edge = longest(simplex)
        waiting.append((-length, simplex, edge))
    heapq.heapify(waiting)
    middles: dict[tuple[int, int], int] = {}
    while waiting and len(weights) < count:
        negative, simplex, edge = heapq.heappop(waiting)
        if negative == 0:
            break
        if edge not in middles:
            middles[edge] = len(weights)
            weights.append((weights[edge[0]] + weights[edge[1]]) / 2)
            losses.append(solved(weights[-1]))
        for end in edge:
            half = tuple(sorted(middles[edge] if node == end else node for node in simplex))
            length, longest_edge = longest(half)
            heapq.heappush(waiting, (-length, half, longest_edge))
    return list(zip(weights, losses, tied, strict=True))
