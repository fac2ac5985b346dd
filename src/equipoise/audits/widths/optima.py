"""The handful of models that an audit of one shared width is made of, each solved once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaincinv

from ...core.numbers import Array
from ...linear.optima.best_weights import BestWeights, best_weights
from ...linear.optima.tchebycheff import TchebycheffPoint, tchebycheff
from ...linear.optima.weighted_sum import Scalarized, optimum
from ...linear.optima.written_weights import SAME
from ...linear.problem.linear_problem import LinearProblem

__all__ = ["RESAMPLED", "Effort", "Shares", "Solutions", "WidthSolution", "effort_for", "in_shares"]


PROVEN = 1e-6
"""A search that ends this close to a proven lower end has found the optimum."""


@dataclass(frozen=True, eq=False)
class Shares:
    """A problem in shares of each task's variance: 1 is predicting the mean, 0 is perfect."""

    gramian: Array  # (k, k) second moments of the predictions, targets in units of their standard deviation
    unexplained: Array  # (k,) what no linear model explains
    tasks: tuple[str, ...]  # k names
    rank: int  # effective number of tasks
    rows: int
    inputs: int = 0  # input columns, or 0 where that is not known
    task_rows: tuple[int, ...] = ()  # rows that each task was fitted to; () where these are all rows

    @property
    def ceiling(self) -> Array:
        """(k,) losses of a model that captures nothing."""
        return np.asarray(self.unexplained + self.gramian.diagonal())

    @property
    def predictable(self) -> NDArray[np.bool_]:
        """(k,) which tasks have anything that a model can capture."""
        energy = self.gramian.diagonal()
        return np.asarray(energy > 1e-12 * max(float(energy.max()), 1e-300))

    @property
    def like_noise(self) -> NDArray[np.bool_]:
        """(k,) which tasks are explained no better than one of 20 targets of pure Gaussian noise would be.

        What p inputs and an intercept explain of such a target in n rows is distributed as Beta(p/2, (n - 1 - p)/2).
        """
        if not self.inputs:
            return np.zeros(len(self.tasks), dtype=bool)
        left = np.array(self.task_rows or [self.rows] * len(self.tasks)) - 1 - self.inputs
        level = np.where(left > 0, betaincinv(self.inputs / 2, np.maximum(left, 1) / 2, 0.95), 1.0)
        return np.asarray(self.predictable & (1.0 - self.unexplained <= level))

    def next_ratio(self, width: int) -> float:
        """Eigenvalue q + 1 of the Gramian over eigenvalue q: near 1, equal weights hardly tell which to keep."""
        values = np.linalg.eigvalsh(self.gramian)[::-1]
        return float(values[width] / values[width - 1]) if width < len(values) else 0.0

    def losses(self, captured: Array) -> Array:
        """(k,) losses for captured energies, never below the unexplained part by rounding."""
        return np.maximum(self.ceiling - captured, self.unexplained)

    def excess(self, losses: Array) -> float:
        """The largest excess of these (k,) losses over each task's own best: what every verdict is decided on."""
        return float((losses - self.unexplained).max())


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
        inputs=problem.inputs if problem.center else 0,
        task_rows=tuple(map(int, problem.task_rows)) if problem.incomplete else (),
    )


@dataclass(frozen=True)
class Effort:
    """Limits of the searches of one width."""

    weights: int  # descents over weights, after 400 samples
    models: int  # random starts for the best single model, besides those that the best mixture gives
    nodes: int  # sign patterns of the exact search at width 1 before it is replaced by a bracket


RESAMPLED = Effort(weights=8, models=4, nodes=5_000)
"""For a resample of the rows, whose searches start from the weights of all rows."""


def effort_for(tasks: int) -> Effort:
    """Searches that keep an audit of k tasks within a minute.

    Example:
        >>> effort_for(3), effort_for(20)
        (Effort(weights=24, models=8, nodes=20000), Effort(weights=12, models=4, nodes=20000))
    """
    if tasks <= 10:
        return Effort(weights=24, models=8, nodes=20_000)
    if tasks <= 20:
        return Effort(weights=12, models=4, nodes=20_000)
    return Effort(weights=6, models=2, nodes=5_000)


@dataclass(frozen=True, eq=False)
class WidthSolution:
    """The optima of one width that the ladder compares, each for the largest excess over a task's own best loss."""

    shares: Shares
    width: int
    equal: Scalarized  # optimum of the plain sum
    best: BestWeights | None  # the weights that were found for the least largest excess; None where q >= rank
    point: TchebycheffPoint | None  # single model with the least largest excess, and mixture; None where q >= rank
    # (k,) losses in shares of variance
    losses_equal: Array
    # (k,) losses of the optimum of `written`; where there is none, of one of the optima that the weights found have
    losses_best: Array
    losses_point: Array
    losses_mixture: Array
    mixture_models: int
    # (k,) the weights found, sum 1, from which similar problems are searched; None where q >= rank
    weights: Array | None = None
    # (k,) the weights to hand out, as `BestWeights` has them, 0 for tasks that nothing predicts; None where none were
    # found
    written: Array | None = None

    def start(self, part: NDArray[np.bool_]) -> tuple[Array | None, Array | None]:
        """Where searches of a similar problem start: directions of the best single model, and the weights found.

        `part` are the tasks that can be predicted there.
        """
        weights = None if self.weights is None else self.weights[part]
        if self.point is None or not self.shares.predictable[part].all():
            return None, weights
        directions = np.zeros((len(part), self.point.directions.shape[1]))
        directions[self.shares.predictable] = self.point.directions
        return directions[part], weights

    @property
    def excess_equal(self) -> float:
        """Largest excess with equal weights."""
        return self.shares.excess(self.losses_equal)

    @property
    def excess_best(self) -> float:
        """Largest excess with the best weights."""
        return self.shares.excess(self.losses_best)

    @property
    def excess_point(self) -> float:
        """Largest excess of the best single model."""
        return self.shares.excess(self.losses_point)

    @property
    def excess_mixture(self) -> float:
        """Largest expected excess of the best mixture."""
        return self.shares.excess(self.losses_mixture)

    @property
    def single_lower(self) -> float:
        """Proven lower end of the largest excess of any single model of this width."""
        found = self.excess_point
        if self.point is None or self.point.exactness == "exact":
            return found
        return min(found, max(self.point.lower, self.excess_mixture - 1e-9))

    @property
    def best_is_proven(self) -> bool:
        """Whether no weights do better than `losses_best` by more than the rounding of the written weights."""
        if self.best is None:
            return True
        met = self.best.worst - self.single_lower <= PROVEN
        return met and self.excess_best - self.single_lower <= (PROVEN if self.written is None else SAME)


@dataclass(eq=False)
class Solutions:
    """Solves each width once and keeps the answer."""

    shares: Shares
    watch: Callable[[str], None] | None = None  # called with a few words before each piece of work that takes time
    effort: Effort | None = None  # limits of the searches; default `effort_for` the number of tasks
    similar: Solutions | None = None  # solved problem of the same tasks, from whose optima the searches start
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
            near = self.similar.at(width) if self.similar else None
            self._kept[width] = _solve(self.shares, width, self.budget, near)
        return self._kept[width]


def _solve(shares: Shares, width: int, effort: Effort, near: WidthSolution | None) -> WidthSolution:
    tasks = len(shares.tasks)
    equal = optimum(shares.gramian, np.full(tasks, 1.0 / tasks), width)
    losses = shares.losses(equal.captured)
    if width >= shares.rank:
        return WidthSolution(shares, width, equal, None, None, losses, losses, losses, losses, 1)
    # a task that nothing predicts has the same loss in every model: it takes no part in the search
    part = shares.predictable
    gramian = shares.gramian[np.ix_(part, part)]
    own = np.zeros(len(gramian))  # losses are measured from each task's own best
    start, first = (None, None) if near is None else near.start(part)
    point = tchebycheff(gramian, own + 1, width, own, random_starts=effort.models, limit=effort.nodes, first=start)
    best = best_weights(gramian, own, width, starts=effort.weights, single=point, first=first)
    probabilities = np.atleast_1d(point.mixture_weights)
    members = np.atleast_2d(point.mixture_captured)
    losses_mixture = shares.losses(_whole(probabilities @ members, part))
    losses_point = shares.losses(_whole(point.captured, part))
    losses_best = shares.losses(_whole(best.captured, part))
    if shares.excess(losses_best) < shares.excess(losses_point):
        losses_point = losses_best  # the search over weights happened to find the better single model
    written = None if best.written is None else _whole(best.written, part)
    if written is not None:
        losses_best = shares.losses(optimum(shares.gramian, written, width).captured)
    return WidthSolution(
        shares=shares,
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
    )


def _whole(values: Array, part: NDArray[np.bool_]) -> Array:
    """Values of the predictable tasks, 0 elsewhere."""
    every = np.zeros(len(part))
    every[part] = values
    return every
