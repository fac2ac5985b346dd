"""The best worst descent within a ball around the mean gradient."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from ..core.numbers import Array
from .equilibrate import as_gramian, equilibrate
from .least_norm import least_norm_weights
from .min_norm import hull_holds_zero
from .nnls import Complementarity
from .parametric_nnls import LevelPath
from .promise import Attempt, first_kept, known_by_products
from .solution import Solution, Status
from .two_gradients import in_closed_form
from .unsquared import UnitColumns, UnsquaredPath, nonnegative

__all__ = ["descent_in_ball"]

_EPS = float(np.finfo(np.float64).eps)
_ORDINARY = (1e-6, 1e6)  # radii whose squares are far from the ends of float64
_PROVEN = 1e-9  # a gap above this tells that gradients without a ridge led the path astray


def descent_in_ball(gramian: Array, radius: float, *, factor: Array | None = None, checked: bool = False) -> Solution:
    r"""The direction in a ball around the mean gradient whose worst descent is best.

    .. math:: \max_d \min_i \langle g_i, d \rangle \quad\text{subject to}\quad |d - g_0| \le c\,|g_0|, \qquad
              g_0 = \tfrac1k \sum_i g_i

    Its dual is CAGrad's problem, :math:`\min_a g_a^\top g_0 + c |g_0| |g_a|` over the simplex, with :math:`d = g_0 + c
    |g_0| g_a / |g_a|`, c >= 0 the `radius`. For a fixed worst descent the nearest d is a cone projection; its
    multipliers are piecewise linear in that level and their length is known on each piece, so support and level are
    exchanged together, each piece solved as one quadratic equation. A safeguarded search along the path serves where
    that does not end. No inner tolerance: the answer is exact on its support.

    Returns:
        Weights of the direction d, (k,), at least 1/k. ``certificate`` is the gap between the dual value and the worst
        descent, relative to :math:`|g_a^\top g_0| + c |g_0| |g_a|`. At a stationary point d is still the maximiser,
        the one nearest to g_0 where g_a = 0 leaves a choice. A mean of zero: d = 0.

    Cost:
        2 to 8 systems of O(k^3); 0.1 ms for k = 10, 0.5 ms for k = 100.

    Source:
        Problem: Liu et al. (2021), arXiv:2110.14048, eq. 3-4. The authors call a general minimiser on the simplex.

    Example:
        >>> descent_in_ball(np.diag([1.0, 4.0]), 0.5).value.round(6)  # more of the shorter gradient
        array([1.059017, 0.5     ])
    """
    matrix = gramian if checked else as_gramian(gramian)
    closed = in_closed_form(matrix, lambda two: two.in_ball(radius)) if _ORDINARY[0] <= radius <= _ORDINARY[1] else None
    if closed is not None:
        return closed
    cosines, norms = equilibrate(matrix)
    k = len(norms)
    mean = norms / (k * norms.max())  # g_0 in unit gradients, in units of the longest
    slopes = cosines @ mean  # <u_i, g_0>
    square = float(mean @ slopes)
    uniform = np.full(k, 1 / k)
    flat = square <= 64 * k * _EPS * float(mean.sum()) ** 2  # the mean is zero to rounding
    if radius == 0 or flat:
        stationary = flat or hull_holds_zero(cosines)
        return Solution(uniform, Status.STATIONARY if stationary else Status.SOLVED, 0.0)
    stationary = hull_holds_zero(cosines)
    ball = _Ball(cosines, norms, norms.min() / norms, mean, slopes, radius * radius * square, stationary)

    def routes() -> Iterator[Attempt]:
        yield ball.by_products(factor)
        yield from map(ball.by_columns, UnitColumns.routes(cosines, factor))

    return first_kept(routes(), uniform)


@dataclass(frozen=True, eq=False)
class _Ball:
    """The problem in unit gradients: z >= 0 of length c |g_0|, in units of the longest gradient."""

    cosines: Array  # C, (k, k)
    norms: Array  # (k,)
    inverse: Array  # 1/|g_i| in units of the shortest, (k,): turns pulls into weights
    mean: Array  # g_0 in unit gradients, (k,)
    slopes: Array  # <u_i, g_0>, (k,)
    reach: float  # c^2 |g_0|^2
    stationary: bool  # whether the hull of the gradients holds zero

    def weights(self, value: Array) -> Array:
        """Weights of the direction g_0 + z."""
        weights: Array = 1 / len(value) + value / self.norms * self.norms.max()
        return weights

    def by_products(self, factor: Array | None) -> Attempt:
        """Solve with the cosines."""
        cosines, inverse, reach = self.cosines, self.inverse, self.reach
        uniform = np.full(len(self.norms), 1 / len(self.norms))
        if self.stationary:
            kernel = Complementarity(cosines)
            nearest = kernel.solve(self.slopes)
            square = float(nearest.value @ cosines @ nearest.value)
            if nearest.solved and square <= reach * (1 + 64 * len(uniform) * _EPS):
                weights = self.weights(nearest.value)
                shortest = None if nearest.unique else least_norm_weights(kernel, inverse, weights, uniform)
                opposed = float(np.maximum(-(cosines @ nearest.value + self.slopes), 0.0).max())
                gap = opposed / float(np.sqrt(self.mean @ self.slopes))
                found = Solution(weights if shortest is None else shortest, Status.STATIONARY, gap)
                return Attempt(found, opposed if known_by_products(nearest.value, factor) else np.inf)

        def level(first: Array, second: Array) -> float | None:
            return _crossing(first, second, lambda pulls: cosines @ pulls, reach)

        path = LevelPath(Complementarity(cosines + inverse[:, None] * inverse), inverse, self.slopes)
        found_on_path, ended = path.find(level), True
        if found_on_path is None:
            value, _, unique, ended = path.search(level, lambda z: float(z @ cosines @ z) - reach)
        else:
            value, _, unique = found_on_path
        length = math.sqrt(max(float(value @ cosines @ value), 0.0))
        if not known_by_products(value, factor) or not length > 0:
            return Attempt(Solution(uniform, Status.PROMISE_BROKEN, np.inf), np.inf)
        miss = abs(length - math.sqrt(reach))
        value *= math.sqrt(reach) / length
        weights = self.weights(value)
        gap = self._gap(value, cosines @ value)
        shortest = None if unique else least_norm_weights(path.kernel, inverse, weights, uniform)
        status = Status.SOLVED if shortest is None else Status.RANK_DEFICIENT
        status = Status.STATIONARY if self.stationary else status
        if not ended and gap > 1e-10:
            status = Status.ITERATION_LIMIT
        return Attempt(Solution(weights if shortest is None else shortest, status, gap), miss)

    def by_columns(self, columns: UnitColumns) -> Attempt:
        """Solve with the gradients themselves: z has a length with what rounding may hide, to stay in the ball."""
        found = nonnegative(columns.stacked(), -columns.target(self.mean), np.zeros(len(self.mean)))
        bound = math.sqrt(self.reach)
        inside = self.stationary and float(np.linalg.norm(columns.vector(found.value))) <= bound
        if not inside:
            path = UnsquaredPath(columns.stacked(self.inverse[None, :]), _unit(columns), columns.target(self.mean, 0.0))

            def level(first: Array, second: Array) -> float | None:
                return _crossing(columns.vector(first), columns.vector(second), lambda vector: vector, self.reach)

            low = float((columns.columns.T @ (columns.columns @ self.mean) / self.inverse).min())
            found = path.search(level, lambda z: float(np.linalg.norm(columns.vector(z))) - bound, low)
        value = found.value * min(bound / max(float(np.linalg.norm(columns.vector(found.value))), _EPS * bound), 1.0)
        products = columns.columns.T @ (columns.columns @ value)
        gap = self._gap(value, products)
        status = Status.STATIONARY if self.stationary else columns.status(value)
        answer = Solution(self.weights(value), status if found.solved else Status.ITERATION_LIMIT, gap)
        known = columns.ridge > 0 or (found.unique and found.solved and gap <= _PROVEN)
        miss = float(np.linalg.norm(columns.columns @ value)) - bound
        if inside:  # then d is the projection on the cone, and opposes no gradient
            miss = max(miss, float((-(products + self.slopes)).max()))
        return Attempt(answer, miss if known else np.inf)

    def _gap(self, value: Array, products: Array) -> float:
        """Dual value minus worst descent, over the size of the dual's two terms."""
        total = float(self.inverse @ value)  # z = |z| / |g_a| * a with sum a = 1: this turns z into a
        worst = float(((products + self.slopes) / self.inverse).min())
        if not total > 0:
            return max(-worst, 0.0) / math.sqrt(self.reach)
        along, across = float(self.slopes @ value) / total, self.reach / total
        return max(along + across - worst, 0.0) / (abs(along) + across)


def _crossing(first: Array, second: Array, metric: Callable[[Array], Array], reach: float) -> float | None:
    """The larger t at which t * first - second has the square `reach` in a metric."""
    steep = metric(first)
    bend, middle = float(first @ steep), float(second @ steep)
    rest = float(second @ metric(second)) - reach
    if bend <= 0:
        return None
    root = (middle + math.sqrt(max(middle * middle - bend * rest, 0.0))) / bend
    for _ in range(2):  # the length itself, free of the cancellation in the coefficients
        value = root * first - second
        products = metric(value)
        slope = float(first @ products)
        if slope <= 0:
            break
        root -= (float(value @ products) - reach) / (2 * slope)
    return root


def _unit(columns: UnitColumns) -> Array:
    """The right-hand side that the path's one row in between answers to."""
    rows, k = columns.columns.shape
    unit = np.zeros(rows + 1 + k)
    unit[rows] = 1.0
    return unit
