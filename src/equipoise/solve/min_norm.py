"""The point of least norm in the convex hull of k gradients."""

import numpy as np

from ..core.numbers import Array
from .equilibrate import as_gramian, equilibrate
from .least_norm import least_norm_weights
from .nnls import Complementarity
from .solution import Solution, Status
from .two_gradients import TwoGradients, in_closed_form
from .unsquared import UnitColumns, by_rounds, null_space

__all__ = ["hull_holds_zero", "min_norm_point"]

_EPS = float(np.finfo(np.float64).eps)
_PARALLEL = 2.0**-18  # below this pivot, the gradients themselves are asked for single weights
_RIDGE = 2.0**-12  # rounding in unit gradients moves single weights by eps over its square


def min_norm_point(gramian: Array, *, factor: Array | None = None, checked: bool = False) -> Solution:
    r"""Weights of the shortest vector in the convex hull of k gradients, exactly.

    .. math:: a^* = \arg\min_{a \ge 0,\; \sum_i a_i = 1} a^\top G a, \qquad G = J J^\top

    One non-negative least-squares problem: the minimiser b of :math:`\|[R; s^\top] b - e_{last}\|^2` over
    :math:`b \ge 0`, with :math:`R^\top R = C` the cosines and :math:`s_i = \min_j |g_j| / |g_i|`, gives
    :math:`a \propto s \circ b`. This is a reformulation, not a penalty: for fixed direction the value of the problem
    is a rising function of :math:`a^\top G a`. Only :math:`C + s s^\top` is formed, which stays regular at a
    stationary point.

    Args:
        gramian: (k, k), in squared units of a gradient.
        factor: R (r, k) with R^T R = G: single weights then do not depend on the order of the gradients where some
            nearly cancel or are nearly parallel. They are the exact ones to 1e-6 down to a part of 1e-3 of the unit
            gradients; below, they pass smoothly into those of least norm, because rounding in float64 moves them by
            eps over the square of that part. The point itself does not need it.
        checked: Whether it is known to be a Gramian, so that the checks may be left out.

    Returns:
        Weights (k,), non-negative, sum 1. ``certificate`` is the duality gap
        :math:`(a^\top G a - \min_i (G a)_i) / a^\top G a`, an upper bound of half the relative suboptimality of
        :math:`a^\top G a`, and of that of its root. Where the
        optimum is zero to rounding, relative to :math:`(\sum_i a_i |g_i|)^2`, the status is ``STATIONARY`` and the gap
        is over that square. Where several weights give the same vector, those of least norm are returned (status
        ``RANK_DEFICIENT``). A zero gradient is itself the answer: its weight is 1.

    Raises:
        GramianError: Not a Gramian.

    Cost:
        O(k^3); 0.05 ms for k = 2, 0.4 ms for k = 100. Unchanged by G -> c G.

    Source:
        Problem: Desideri (2012), Sener & Koltun (2018), eq. 3. Route: Lawson & Hanson (1974), ch. 23, on the
        equilibrated Gramian, by block pivoting; the authors' Frank-Wolfe solver is off by 1 % after 100 iterations.

    Example:
        >>> min_norm_point(np.array([[1.0, 0.0], [0.0, 3.0]])).value  # orthogonal gradients: weights ~ 1/|g|^2
        array([0.75, 0.25])
    """
    matrix = gramian if checked else as_gramian(gramian)
    closed = in_closed_form(matrix, TwoGradients.min_norm)
    if closed is not None:
        return closed
    squares = matrix.diagonal()
    if not squares.all():
        zero = squares == 0
        return Solution(zero / zero.sum(), Status.STATIONARY, certificate=0.0)
    cosines, norms = equilibrate(matrix)
    inverse = float(norms.min()) / norms
    kernel = Complementarity(cosines + inverse[:, None] * inverse)
    found = kernel.solve(-inverse, np.ones(len(norms), dtype=bool))
    pulls = found.value  # of the unit gradients
    total = float(inverse @ pulls)
    if not total > 0:
        return _stopped(cosines, inverse, found.exchanges)
    vectors = None
    if factor is not None and kernel.smallest_pivot <= _PARALLEL:
        columns = UnitColumns.of(cosines, factor, _RIDGE)
        target = np.zeros(len(columns.columns) + 1 + len(pulls))
        target[len(columns.columns)] = 1.0
        found = by_rounds(columns, columns.stacked(inverse[None, :]), target, pulls)
        pulls, total = found.value, float(inverse @ found.value)
        vectors = np.vstack([columns.columns, inverse])
    pulls = pulls / total
    value, gap, scale = _gap(cosines, inverse, pulls)
    weights = inverse * pulls
    weights /= weights.sum()
    shortest = None
    stationary = value <= 64 * len(norms) * _EPS * scale
    if not found.unique or vectors is not None or (stationary and not kernel.full_rank):
        shortest = _least_norm(kernel, inverse, weights, cosines, pulls, vectors)
    if stationary:
        status, gap = Status.STATIONARY, gap / scale
    else:
        status, gap = (Status.SOLVED if shortest is None else Status.RANK_DEFICIENT), gap / value
    if not found.solved:
        status = Status.ITERATION_LIMIT
    return Solution(weights if shortest is None else shortest, status, gap, found.exchanges)


def hull_holds_zero(cosines: Array, kernel: Complementarity | None = None) -> bool:
    """Whether 0 lies in the convex hull of k vectors, to rounding: no direction lowers every loss.

    The lengths of the vectors do not matter, so the unit vectors are asked: the value is at most 64 k eps there. With a
    `kernel` of the same cosines independent vectors are told at once.

    Example:
        >>> hull_holds_zero(np.array([[1.0, -1.0], [-1.0, 1.0]]))
        True
    """
    if (kernel or Complementarity(cosines)).smallest_pivot > 1e-7:
        return False  # far from any dependence
    ones = np.ones(len(cosines))
    pulls = Complementarity(cosines + 1.0).solve(-ones, np.ones(len(cosines), dtype=bool)).value
    total = float(pulls.sum())
    return total > 0 and float(pulls @ cosines @ pulls) <= 64 * len(cosines) * _EPS * total**2


def _gap(cosines: Array, inverse: Array, pulls: Array) -> tuple[float, float, float]:
    """The value a^T G a, its duality gap, and the square of the pulls' sum, in units of the smallest square."""
    products = cosines @ pulls
    value = float(pulls @ products)
    return max(value, 0.0), max(value - float((products / inverse).min()), 0.0), float(pulls.sum()) ** 2


def _least_norm(
    kernel: Complementarity, inverse: Array, weights: Array, cosines: Array, pulls: Array, vectors: Array | None
) -> Array | None:
    """The least-norm weights over the rows whose condition is tight; None if there is only one choice."""
    products = cosines @ pulls
    square = float(pulls @ products)
    noise = 64 * len(weights) * _EPS * float(pulls.sum()) ** 2
    # <u_i, d> - |d|^2 / |g_i|; where d is what rounding left, all of them are
    slack = products - max(square, 0.0) * inverse
    tight = (slack <= 1e-9 * square * inverse + noise / float(pulls.sum())) | (square <= noise)
    rows = np.flatnonzero(tight | (weights > 0))
    part = kernel if len(rows) == len(weights) else Complementarity(kernel.matrix.take(rows, 0).take(rows, 1))
    null = None if vectors is None else null_space(vectors[:, rows])
    shortest = least_norm_weights(part, inverse[rows], weights[rows], np.zeros(len(rows)), null)
    if shortest is None:
        return None
    least = np.zeros_like(weights)
    least[rows] = shortest / shortest.sum()
    return least


def _stopped(cosines: Array, inverse: Array, exchanges: int) -> Solution:
    """Every route failed: the shortest gradient, with the gap that it leaves."""
    weights = np.zeros(len(inverse))
    weights[int(np.argmax(inverse))] = 1.0
    value, gap, _ = _gap(cosines, inverse, weights)
    return Solution(weights, Status.ITERATION_LIMIT, gap / value, exchanges)
