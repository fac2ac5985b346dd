"""The best worst descent within a ball around the mean gradient."""

import math

import numpy as np
from numpy.typing import NDArray

from .equilibrate import as_gramian, equilibrate
from .least_norm import least_norm_weights
from .min_norm import hull_holds_zero
from .nnls import Complementarity
from .parametric_nnls import LevelPath
from .solution import Solution, Status

__all__ = ["descent_in_ball"]

_EPS = float(np.finfo(np.float64).eps)

Array = NDArray[np.float64]


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
    path = LevelPath(Complementarity(cosines + inverse[:, None] * inverse), inverse, slopes)
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
