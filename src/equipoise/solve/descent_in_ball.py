"""The best worst descent within a ball around the mean gradient, and the min-norm point pulled towards the mean."""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .complementarity import Complementarity, Mask, solve_positive
from .equilibrate import as_gramian, equilibrate
from .least_norm import least_norm_weights
from .min_norm import hull_holds_zero
from .solution import Solution, Status

__all__ = ["descent_in_ball", "pulled_min_norm"]

_EPS = float(np.finfo(np.float64).eps)
_JOINT = 12  # exchanges of support and level together, before the safeguarded search
_SEARCH = 200

Array = NDArray[np.float64]
Level = Callable[[Array, Array], float | None]


class _Path(NamedTuple):
    """The solutions z(t) of z >= 0, M z + e - t s >= 0, complementary, with M = C + s s^T: piecewise linear in t."""

    cosines: Array
    kernel: Complementarity
    inverse: Array  # s
    offset: Array  # e

    def line(self, basic: Mask) -> tuple[Array, Array] | None:
        """On a support: z(t) = t * first - second."""
        support = basic.nonzero()[0]
        if not len(support):
            return None
        whole = len(support) == len(basic)
        block = self.kernel.matrix if whole else self.kernel.matrix.take(support, 0).take(support, 1)
        system = solve_positive(block, np.stack([self.inverse[support], self.offset[support]], axis=1))
        if system is None:
            return None
        first, second = np.zeros((2, len(basic)))
        first[support], second[support] = system[0].T
        return first, second

    def find(self, level: Level) -> tuple[Array, Mask, bool] | None:
        """The z at the t that `level` asks for: guess a support, take its t, exchange what has the wrong sign.

        Args:
            level: For the line t * first - second, the t that the answer has on it, or None.

        Returns:
            z, its support, whether it is unique; None where the exchanges do not end.
        """
        k = len(self.offset)
        first = self.offset / self.inverse  # where on the path each entry would enter alone
        basic = first <= np.median(first)
        fewest, patience = k + 1, 4
        for _ in range(_JOINT):
            line = self.line(basic)
            t = None if line is None else level(*line)
            if line is None or t is None:
                return None
            value = t * line[0] - line[1]
            slack = self.kernel.matrix @ value + (self.offset - t * self.inverse)
            noise = 8 * k * _EPS * (1.0 + abs(t) + float(np.abs(value).sum()))
            wrong = np.where(basic, value < 0, slack < -noise)
            count = int(np.count_nonzero(wrong))
            if not count:
                outside = slack[~basic]
                unique = not len(outside) or float(outside.min()) > noise
                return value, basic, unique or self.kernel.full_rank
            if count < fewest:
                fewest, patience = count, 4
            elif patience:
                patience -= 1
            else:
                wrong[: wrong.nonzero()[0][-1]] = False
            basic = basic ^ wrong
            if not basic.any():
                basic[int(np.argmin(first))] = True  # the path begins with this entry
        return None

    def search(self, level: Level, excess: Callable[[Array], float]) -> tuple[Array, Mask, bool, bool]:
        """The same by bracketing: `excess` rises along the path, and each piece proposes its own t.

        Returns:
            z, its support, whether it is unique, and whether the search ended.
        """
        low = float((self.offset / self.inverse).min())  # there z = 0
        width = max(1.0, abs(low))
        high = np.inf
        t = low + width
        start: Mask | None = None
        for _ in range(_SEARCH):
            found = self.kernel.solve(self.offset - t * self.inverse, start)
            start = basic = found.basic
            over = excess(found.value)
            if over > 0:
                high = t
            else:
                low = t
            line = self.line(basic)
            proposed = None if line is None else level(*line)
            if line is not None and proposed is not None:
                value = proposed * line[0] - line[1]
                shift = float(np.abs(value - found.value).max())
                if shift <= 4 * _EPS * len(value) * float(np.abs(value).max(initial=0.0)):
                    return np.maximum(value, 0.0), basic, found.unique, True
            if np.isfinite(high) and high - low <= 2 * _EPS * max(abs(low), abs(high)):
                return found.value, basic, found.unique, found.solved
            if proposed is not None and low < proposed < high:
                t = proposed
            elif np.isfinite(high):
                t = 0.5 * (low + high)
            else:
                width *= 4
                t = low + width
        return found.value, basic, found.unique, False


def descent_in_ball(gramian: Array, radius: float, *, checked: bool = False) -> Solution:
    r"""The direction in a ball around the mean gradient whose worst descent is best.

    .. math:: \max_d \min_i \langle g_i, d \rangle \quad\text{subject to}\quad |d - g_0| \le c\,|g_0|, \qquad
              g_0 = \tfrac1k \sum_i g_i

    Its dual is CAGrad's problem, :math:`\min_a g_a^\top g_0 + c |g_0| |g_a|` over the simplex, with
    :math:`d = g_0 + c |g_0| g_a / |g_a|`. For a fixed worst descent the nearest d is a cone projection; its multipliers
    are piecewise linear in that level and their length is known on each piece, so support and level are exchanged
    together, each piece solved as one quadratic equation. A safeguarded search along the path serves where that does
    not end. No inner tolerance: the answer is exact on its support.

    Args:
        gramian: (k, k), no zero on the diagonal.
        radius: c >= 0.
        checked: Whether `gramian` is known to be a Gramian, so that the checks may be left out.

    Returns:
        Weights of the direction d, (k,), at least 1/k. ``certificate`` is the gap between the dual value and the worst
        descent, relative to :math:`|g_a^\top g_0| + c |g_0| |g_a|`. Zero in the convex hull of the gradients: status
        ``STATIONARY``; d is still the maximiser, the one nearest to g_0 where g_a = 0 leaves a choice. Dependent
        gradients: the shortest weights (status ``RANK_DEFICIENT``). A mean of zero: d = 0.

    Raises:
        GramianError: Not a Gramian.

    Cost:
        2 to 8 systems of O(k^3); 0.1 ms for k = 10, 0.5 ms for k = 100. Unchanged by G -> c G.

    Source:
        Problem: Liu et al. (2021), arXiv:2110.14048, eq. 3-4. The authors call a general minimiser on the simplex.

    Example:
        >>> descent_in_ball(np.diag([1.0, 4.0]), 0.5).value.round(6)  # more of the shorter gradient
        array([1.059017, 0.5     ])
    """
    matrix = gramian if checked else as_gramian(gramian)
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
    reach = radius * radius * square
    inverse = float(norms.min()) / norms
    path = _Path(cosines, Complementarity(cosines + inverse[:, None] * inverse), inverse, slopes)
    stationary = hull_holds_zero(cosines)
    if stationary:
        kernel = Complementarity(cosines)
        nearest = kernel.solve(slopes)
        if nearest.solved and float(nearest.value @ cosines @ nearest.value) <= reach * (1 + 64 * k * _EPS):
            weights = uniform + nearest.value / norms * norms.max()
            shortest = None if nearest.unique else least_norm_weights(kernel, inverse, weights, uniform)
            gap = float(np.maximum(-(cosines @ nearest.value + slopes), 0.0).max()) / float(np.sqrt(square))
            return Solution(weights if shortest is None else shortest, Status.STATIONARY, gap)

    def level(first: Array, second: Array) -> float | None:
        bend = float(first @ (steep := cosines @ first))
        middle = float(second @ steep)
        rest = float(second @ cosines @ second) - reach
        if bend <= 0:
            return None
        root = (middle + math.sqrt(max(middle * middle - bend * rest, 0.0))) / bend
        for _ in range(2):  # the length itself, free of the cancellation in the coefficients
            value = root * first - second
            products = cosines @ value
            slope = float(first @ products)
            if slope <= 0:
                break
            root -= (float(value @ products) - reach) / (2 * slope)
        return root

    found = path.find(level)
    ended = True
    if found is None:
        value, _, unique, ended = path.search(level, lambda z: float(z @ cosines @ z) - reach)
    else:
        value, _, unique = found
    value *= (reach / max(float(value @ cosines @ value), _EPS * reach)) ** 0.5
    weights = uniform + value / norms * norms.max()
    gap = _gap(cosines, inverse, slopes, value, reach)
    shortest = None if unique else least_norm_weights(path.kernel, inverse, weights, uniform)
    status = Status.SOLVED if shortest is None else Status.RANK_DEFICIENT
    if stationary:
        status = Status.STATIONARY
    if not ended and gap > 1e-10:
        status = Status.ITERATION_LIMIT
    return Solution(weights if shortest is None else shortest, status, gap)


def _gap(cosines: Array, inverse: Array, slopes: Array, value: Array, reach: float) -> float:
    """Dual value minus worst descent, over the size of the dual's two terms; z has length c |g_0|."""
    total = float(inverse @ value)  # z = |z| / |g_a| * a with sum a = 1: this turns z into a
    worst = float(((cosines @ value + slopes) / inverse).min())
    along, across = float(slopes @ value) / total, reach / total
    return max(along + across - worst, 0.0) / (abs(along) + across)


def pulled_min_norm(gramian: Array, pull: float, *, checked: bool = False) -> Solution:
    r"""Weights of the shortest sum of a point of the gradients' convex hull and a multiple of the mean gradient.

    .. math:: a^* = \arg\min_{a \ge 0,\; \sum_i a_i = 1} |g_a + \lambda g_0|^2, \qquad g_0 = \tfrac1k \sum_i g_i

    A min-norm problem of shifted gradients. Its multipliers lie on the same piecewise linear path as those of
    `descent_in_ball`; here the sum of the weights picks the point, so each piece is one linear equation.

    Args:
        gramian: (k, k), no zero on the diagonal.
        pull: lambda >= 0.
        checked: Whether `gramian` is known to be a Gramian, so that the checks may be left out.

    Returns:
        a, (k,), sum 1. ``certificate`` is the duality gap
        :math:`\langle g_a, x \rangle - \min_i \langle g_i, x \rangle`, :math:`x = g_a + \lambda g_0`, relative to
        :math:`(\sum_i (a_i + \lambda/k) |g_i|)^2`. Zero in the convex hull of the gradients: status ``STATIONARY``.
        Dependent gradients: the shortest weights (status ``RANK_DEFICIENT``).

    Raises:
        GramianError: Not a Gramian.

    Cost:
        2 to 8 systems of O(k^3); 0.1 ms for k = 10. Unchanged by G -> c G.

    Source:
        Problem: Xiao et al. (2023), arXiv:2305.18409, eq. 4. The authors take projected gradient steps.

    Example:
        >>> pulled_min_norm(np.diag([1.0, 4.0]), 0.5).value.round(6)
        array([0.95, 0.05])
    """
    matrix = gramian if checked else as_gramian(gramian)
    cosines, norms = equilibrate(matrix)
    k = len(norms)
    inverse = float(norms.min()) / norms
    mean = pull * norms / (k * norms.min())
    size = 1.0 + float(mean.max())  # unit in which all offsets are at most of size one
    offset = cosines @ mean / size
    path = _Path(cosines, Complementarity(cosines + inverse[:, None] * inverse), inverse, offset)

    def level(first: Array, second: Array) -> float | None:
        steep = float(inverse @ first)
        return (1 / size + float(inverse @ second)) / steep if steep > 0 else None

    found = path.find(level)
    ended = True
    if found is None:
        value, _, unique, ended = path.search(level, lambda z: float(inverse @ z) - 1 / size)
    else:
        value, _, unique = found
    weights = inverse * value
    weights /= weights.sum()
    pulls = weights / inverse
    products = cosines @ (pulls + mean)
    gap = max(float(pulls @ products) - float((products / inverse).min()), 0.0) / float((pulls + mean).sum()) ** 2
    shortest = None if unique else least_norm_weights(path.kernel, inverse, weights, np.zeros(k))
    status = Status.SOLVED if shortest is None else Status.RANK_DEFICIENT
    if hull_holds_zero(cosines):
        status = Status.STATIONARY
    if not ended and gap > 1e-10:
        status = Status.ITERATION_LIMIT
    return Solution(weights if shortest is None else shortest, status, gap)
