"""The min-norm point pulled towards the mean gradient."""

import numpy as np

from ..core.numbers import Array
from .equilibrate import as_gramian, equilibrate
from .least_norm import least_norm_weights
from .min_norm import hull_holds_zero, min_norm_point
from .nnls import Complementarity
from .parametric_nnls import LevelPath
from .solution import Solution, Status

__all__ = ["pulled_min_norm"]


_EPS = float(np.finfo(np.float64).eps)

_GRADED = 1e-12
"""A gap of this part of the squared length is no rounding of the path's last equation."""


def pulled_min_norm(gramian: Array, pull: float, *, checked: bool = False) -> Solution:
    r"""Weights of the shortest sum of a point of the gradients' convex hull and a multiple of the mean gradient.

    .. math:: a^* = \arg\min_{a \ge 0,\; \sum_i a_i = 1} |g_a + \lambda g_0|^2, \qquad g_0 = \tfrac1k \sum_i g_i

    with lambda >= 0 the `pull`. A min-norm problem of shifted gradients. Its multipliers lie on the same piecewise
    linear path as those of `descent_in_ball`; here the sum of the weights picks the point, so each piece is one linear
    equation.

    Returns:
        a, (k,), sum 1. ``certificate`` is the duality gap
        :math:`\langle g_a, x \rangle - \min_i \langle g_i, x \rangle`, :math:`x = g_a + \lambda g_0`, relative to
        :math:`(\sum_i (a_i + \lambda/k) |g_i|)^2`.

    Cost:
        2 to 8 systems of O(k^3); 0.1 ms for k = 10.

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
    path = LevelPath(Complementarity(cosines + inverse[:, None] * inverse), inverse, offset)

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
    if not weights.sum() > 0:  # norms some twenty decades apart: the path's unit drowns the shortest gradients
        return _of_shifted(matrix, pull, cosines, inverse, mean)
    weights /= weights.sum()
    gap, square = _gap(weights, cosines, inverse, mean)
    size = float((weights / inverse + mean).sum())
    if gap > _GRADED * square + 64 * k * _EPS * size * size:  # norms some ten decades apart
        other = _of_shifted(matrix, pull, cosines, inverse, mean)
        if _gap(other.value, cosines, inverse, mean)[0] < gap:
            return other
    gap /= size * size
    shortest = None if unique else least_norm_weights(path.kernel, inverse, weights, np.zeros(k))
    status = Status.SOLVED if shortest is None else Status.RANK_DEFICIENT
    if hull_holds_zero(cosines):
        status = Status.STATIONARY
    if not ended and gap > 1e-10:
        status = Status.ITERATION_LIMIT
    return Solution(weights if shortest is None else shortest, status, gap)


def _gap(weights: Array, cosines: Array, inverse: Array, mean: Array) -> tuple[float, float]:
    """Duality gap and squared length of the pulled point, in units of the shortest gradient."""
    point = weights / inverse + mean
    products = cosines @ point
    return max(float(weights / inverse @ products) - float((products / inverse).min()), 0.0), float(point @ products)


def _of_shifted(matrix: Array, pull: float, cosines: Array, inverse: Array, mean: Array) -> Solution:
    """As the min-norm problem of the shifted gradients, which has fewer digits; status and certificate are ours."""
    largest = float(matrix.diagonal().max())
    sums = matrix.mean(axis=1) / largest
    shifted = matrix / largest + pull * (sums[:, None] + sums) + pull * pull * float(sums.mean())
    found = min_norm_point(shifted, checked=True)
    gap, _ = _gap(found.value, cosines, inverse, mean)
    status = Status.STATIONARY if hull_holds_zero(cosines) else found.status
    return Solution(found.value, status, gap / float((found.value / inverse + mean).sum()) ** 2)
