"""The handful of models that an audit of one shared width is made of, each solved once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ...linear.optima.best_weights import BestWeights, best_weights
from ...linear.optima.tchebycheff import TchebycheffPoint, tchebycheff
from ...linear.optima.weighted_sum import Scalarized, optimum
from ...linear.problem.linear_problem import LinearProblem

__all__ = ["RESAMPLED", "Effort", "Shares", "Solutions", "WidthSolution", "effort_for", "in_shares"]

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Shares:
    """A problem in shares of each task's variance: 1 is predicting the mean, 0 is perfect.

    Attributes:
        gramian: (k, k) second moments of the predictions, targets in units of their standard deviation.
        unexplained: (k,) what no linear model explains.
        tasks: k names.
        rank: Effective number of tasks.
        rows: Rows used.
    """

    gramian: Array
    unexplained: Array
    tasks: tuple[str, ...]
    rank: int
    rows: int

    @property
    def ceiling(self) -> Array:
        """(k,) losses of a model that captures nothing."""
        return np.asarray(self.unexplained + self.gramian.diagonal())

    @property
    def predictable(self) -> NDArray[np.bool_]:
        """(k,) which tasks have anything that a model can capture."""
        energy = self.gramian.diagonal()
        return np.asarray(energy > 1e-12 * max(float(energy.max()), 1e-300))

    def losses(self, captured: Array) -> Array:
        """(k,) losses for captured energies, never below the unexplained part by rounding."""
        return np.maximum(self.ceiling - captured, self.unexplained)


def in_shares(problem: LinearProblem) -> Shares:
    """The problem with every target divided by its standard deviation, whatever `scale` was.

    Example:
        >>> X, Y = np.array([[0.0], [1.0], [2.0]]), np.array([[0.0, 5.0], [1.0, 5.0], [2.0, 8.0]])
        >>> in_shares(LinearProblem(X, Y, scale=False)).ceiling.round(9).tolist()
        [1.0, 1.0]
    """
    size = np.ones(len(problem.tasks)) if problem.scale else np.sqrt(problem.variance)
    return Shares(
        gramian=problem.gramian / np.outer(size, size),
        unexplained=problem.unexplained / size**2,
        tasks=problem.tasks,
        rank=problem.rank,
        rows=problem.rows,
    )


@dataclass(frozen=True)
class Effort:
    """Limits of the searches of one width.

    Attributes:
        weights: Descents over weights, after 400 samples.
        models: Random starts for the best single model, besides those that the best mixture gives.
        nodes: Of the exact search at width 1 before it is replaced by a bracket.
        excess: Whether the searches are repeated for losses above each task's own best, where that says more.
    """

    weights: int
    models: int
    nodes: int
    excess: bool = True


RESAMPLED = Effort(weights=8, models=4, nodes=5_000, excess=False)
"""For a resample of the rows, whose searches start from the weights of all rows."""


def effort_for(tasks: int) -> Effort:
    """Searches that keep an audit of k tasks within a minute.

    Example:
        >>> effort_for(3), effort_for(20)
        (Effort(weights=24, models=8, nodes=20000, excess=True), Effort(weights=12, models=4, nodes=20000, excess=True))
    """
    if tasks <= 10:
        return Effort(weights=24, models=8, nodes=20_000)
    if tasks <= 20:
        return Effort(weights=12, models=4, nodes=20_000)
    return Effort(weights=6, models=2, nodes=5_000)


@dataclass(frozen=True)
class Excess:
    """The largest excess over a task's own best loss, in shares of variance, where the worst loss says too little.

    Attributes:
        equal: With equal weights.
        best: With the best weights found for this purpose, in
        solves: so many solves.
        single: Of the best single model found for it.
    """

    equal: float
    best: float
    solves: int
    single: float


@dataclass(frozen=True, eq=False)
class WidthSolution:
    """The optima of one width that the ladder compares.

    Attributes:
        width: Shared width q.
        equal: Optimum of the plain sum.
        best: Weights whose optimum has the least worst loss, as found; None where q >= rank.
        point: Single model with the least worst loss, and mixture; None where q >= rank.
        losses_equal, losses_best, losses_point, losses_mixture: (k,) losses in shares of variance.
        mixture_models: Number of models in the mixture.
        weights: (k,) the best weights, sum 1; None where q >= rank.
        written: (k,) weights with the fewest decimals that come within 0.01 of the worst loss, as `BestWeights` has
            them, 0 for tasks that nothing predicts; None where none were found.
        worst_written: Worst loss of the optimum of `written`.
        excess: Set where the hardest task alone sets the worst loss of the best single model.
    """

    width: int
    equal: Scalarized
    best: BestWeights | None
    point: TchebycheffPoint | None
    losses_equal: Array
    losses_best: Array
    losses_point: Array
    losses_mixture: Array
    mixture_models: int
    weights: Array | None = None
    written: Array | None = None
    worst_written: float | None = None
    excess: Excess | None = None

    @property
    def single_lower(self) -> float:
        """Proven lower end of the worst loss of any single model of this width."""
        found = float(self.losses_point.max())
        if self.point is None or self.point.exactness == "exact":
            return found
        return min(found, max(self.point.lower, float(self.losses_mixture.max()) - 1e-9))


@dataclass(eq=False)
class Solutions:
    """Solves each width once and keeps the answer.

    Args:
        shares: The problem.
        watch: Called with a few words before each piece of work that takes time.
        threshold: Differences below this share of variance are too small to matter.
        effort: Limits of the searches; default `effort_for` the number of tasks.
        similar: Solved problem of the same tasks, whose best weights the searches start from.
    """

    shares: Shares
    watch: Callable[[str], None] | None = None
    threshold: float = 0.01
    effort: Effort | None = None
    similar: Solutions | None = None
    _kept: dict[int, WidthSolution] = field(default_factory=dict)

    @property
    def budget(self) -> Effort:
        """The limits of every search."""
        return self.effort or effort_for(len(self.shares.tasks))

    def at(self, width: int) -> WidthSolution:
        """The optima of this width."""
        if width not in self._kept:
            if self.watch:
                self.watch(f"width {width}: best weights and best single model")
            first = self.similar.at(width).weights if self.similar else None
            self._kept[width] = _solve(self.shares, width, self.threshold, self.budget, first)
        return self._kept[width]


def _solve(shares: Shares, width: int, threshold: float, effort: Effort, first: Array | None) -> WidthSolution:
    tasks = len(shares.tasks)
    equal = optimum(shares.gramian, np.full(tasks, 1.0 / tasks), width)
    losses = shares.losses(equal.captured)
    if width >= shares.rank:
        return WidthSolution(width, equal, None, None, losses, losses, losses, losses, 1)
    # a task that nothing predicts has the same loss in every model: it takes no part in the search
    part = shares.predictable
    gramian, unexplained = shares.gramian[np.ix_(part, part)], shares.unexplained[part]
    ones = np.ones(len(gramian))
    descents = {"random_starts": effort.models, "limit": effort.nodes}
    point = tchebycheff(gramian, ones, width, ideal=-unexplained, **descents)
    near = None if first is None else first[part]
    best = best_weights(gramian, unexplained, width, starts=effort.weights, single=point, first=near)
    probabilities = np.atleast_1d(point.mixture_weights)
    members = np.atleast_2d(point.mixture_captured)
    losses_mixture = shares.losses(_whole(probabilities @ members, part))
    losses_point = shares.losses(_whole(point.captured, part))
    losses_best = shares.losses(_whole(best.captured, part))
    if losses_best.max() < losses_point.max():
        losses_point = losses_best  # the search over weights happened to find the better single model
    excess = None
    if effort.excess and float(losses_point.max()) - float(shares.unexplained.max()) <= threshold:
        # the hardest task is at its own limit: the others' trade-off shows in excess losses only
        alone = tchebycheff(gramian, ones, width, ideal=0 * ones, **descents)
        apart = best_weights(gramian, 0 * ones, width, starts=effort.weights, single=alone)
        excess = Excess(
            equal=float((losses - shares.unexplained).max()),
            best=apart.worst,
            solves=apart.solves,
            single=min(alone.value, apart.worst),
        )
    written = None if best.written is None else _whole(best.written, part)
    worst_written = None
    if written is not None:
        worst_written = float(shares.losses(optimum(shares.gramian, written, width).captured).max())
    return WidthSolution(
        width=width,
        equal=equal,
        best=best,
        point=point,
        losses_equal=losses,
        losses_best=losses_best,
        losses_point=losses_point,
        losses_mixture=losses_mixture,
        mixture_models=int((probabilities > 1e-9).sum()),
        weights=_whole(best.weights, part),
        written=written,
        worst_written=worst_written,
        excess=excess,
    )


def _whole(values: Array, part: NDArray[np.bool_]) -> Array:
    """Values of the predictable tasks, 0 elsewhere."""
    every = np.zeros(len(part))
    every[part] = values
    return every
