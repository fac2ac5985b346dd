"""The point of least norm among the mixtures of k gradients in which no gradient has more than a given weight."""

import numpy as np
from numpy.typing import NDArray

from ..core.numbers import Array
from .equilibrate import as_gramian, equilibrate
from .min_norm import hull_holds_zero, min_norm_point
from .solution import Solution, Status
from .unsquared import UnitColumns

__all__ = ["capped_min_norm_point"]

_EPS = float(np.finfo(np.float64).eps)


def capped_min_norm_point(
    gramian: Array, cap: float, *, factor: Array | None = None, checked: bool = False
) -> Solution:
    r"""Weights of the shortest mixture of k gradients with an upper limit for each weight.

    .. math:: a^* = \arg\min \{a^\top G a : 0 \le a_i \le c,\; \sum_i a_i = 1\}

    Where the uncapped answer (`min_norm_point`) keeps the limit, it is returned. Otherwise a primal active-set method
    begins there, with what is above the cap given to the others. Weights are at 0, at c, or free; the free ones are
    found by least squares on the unit gradients, with the sum eliminated through the shortest free gradient, so that
    neither imbalance nor dependence costs digits.

    Args:
        gramian: Gramian (k, k), in squared units of a gradient, no zero on the diagonal.
        cap: Upper limit c of every weight. Below 1/k nothing is feasible, and 1/k is taken: the mean.
        factor: R (r, k) with R^T R = G, which keeps the digits that squaring loses.
        checked: Whether `gramian` is known to be a Gramian, so that the checks may be left out.

    Returns:
        Weights (k,), at most c (to rounding), sum 1. ``certificate`` is the duality gap
        :math:`(a^\top G a - \min_v v^\top G a) / a^\top G a`, with the minimum over all feasible weights. Where several
        weights give the same vector, one of them. Zero in the convex hull of the gradients: status ``STATIONARY``
        (the shortest mixture need not be zero).

    Raises:
        GramianError: Not a Gramian.

    Cost:
        Usually below k least-squares problems of O(k^3): 0.3 ms for k = 10, 1 ms for k = 40. Unchanged by G -> c G.

    Source:
        Nocedal & Wright (2006), *Numerical Optimization*, algorithm 16.3.

    Example:
        >>> capped_min_norm_point(np.diag([1.0, 9.0, 9.0]), 0.5).value
        array([0.5 , 0.25, 0.25])
    """
    matrix = gramian if checked else as_gramian(gramian)
    k = len(matrix)
    cap = max(cap, 1 / k)
    uncapped = min_norm_point(matrix, factor=factor, checked=True)
    if float(uncapped.value.max()) <= cap:
        return uncapped
    cosines, norms = equilibrate(matrix)
    columns = UnitColumns.of(cosines, factor).columns
    lengths = norms / norms.min()
    weights = _under(uncapped.value, cap)
    low, high, rounds, limit = weights <= 0, weights >= cap, 0, 20 + 10 * k
    while rounds < limit:
        rounds += 1
        free = np.flatnonzero(~low & ~high)
        wanted = _on_free(columns, lengths, weights, free)
        weights, reached = _towards(weights, wanted, free, low, high, cap)
        if not reached:
            continue
        pulls = lengths * weights
        vector = columns @ pulls
        slopes = lengths * (columns.T @ vector)
        vertex = _least_vertex(slopes, cap)
        value, gap = float(vector @ vector), float((weights - vertex) @ slopes)
        rounding = 4 * k * _EPS * float(pulls.sum()) * float((weights + vertex) @ lengths)
        # mass moves from the largest slope to the smallest
        down, up = np.argmax(np.where(weights > 0, slopes, -np.inf)), np.argmin(np.where(weights < cap, slopes, np.inf))
        if gap <= rounding or not (high[down] or low[up]):
            break
        low[up] = high[down] = False
    status = Status.STATIONARY if hull_holds_zero(cosines) else Status.SOLVED
    if rounds == limit:
        status = Status.ITERATION_LIMIT
    return Solution(weights / weights.sum(), status, max(gap, 0.0) / value, uncapped.iterations + rounds)


def _under(weights: Array, cap: float) -> Array:
    """Weights with what is above the cap given to the others, in proportion; equally where those have none."""
    weights = weights.copy()
    for _ in range(len(weights)):
        over = weights >= cap
        rest = ~over
        left, held = 1.0 - cap * int(over.sum()), float(weights[rest].sum())
        weights[over] = cap
        if not rest.any():
            break
        weights[rest] = weights[rest] * (left / held) if held > 0 else left / int(rest.sum())
        if weights.max() <= cap:
            break
    return np.minimum(weights, cap)


def _on_free(columns: Array, lengths: Array, weights: Array, free: NDArray[np.intp]) -> Array:
    """The best weights with all but the free ones held: the sum is eliminated through the shortest free gradient."""
    if len(free) < 2:
        return weights
    base = free[np.argmin(lengths[free])]
    others = free[free != base]
    ratios = lengths[base] / lengths[others]  # at most 1
    held = weights.copy()
    held[free] = 0.0
    total = 1.0 - float(held.sum())
    target = -(columns @ (lengths * held)) - columns[:, base] * (lengths[base] * total)
    parts = np.linalg.lstsq(columns[:, others] - ratios * columns[:, [base]], target, rcond=None)[0]
    held[others] = parts / lengths[others]
    held[base] = total - float(held[others].sum())
    return held


def _towards(
    weights: Array, wanted: Array, free: NDArray[np.intp], low: NDArray[np.bool_], high: NDArray[np.bool_], cap: float
) -> tuple[Array, bool]:
    """As far towards the wanted weights as the limits allow, and whether they were reached; sets what is met."""
    move = wanted - weights
    room = np.full(len(weights), np.inf)
    down, up = free[move[free] < 0], free[move[free] > 0]
    room[down] = weights[down] / -move[down]
    room[up] = (cap - weights[up]) / move[up]
    first = int(np.argmin(room))
    if room[first] >= 1:
        return wanted, True
    weights = np.clip(weights + room[first] * move, 0.0, cap)
    falls = bool(move[first] < 0)
    weights[first] = 0.0 if falls else cap
    (low if falls else high)[first] = True
    return weights, False


def _least_vertex(slopes: Array, cap: float) -> Array:
    """The feasible weights with the smallest product: the cap for the smallest slopes, the rest for the next."""
    order = np.argsort(slopes, kind="stable")
    before = cap * np.arange(len(slopes))
    vertex = np.empty(len(slopes))
    vertex[order] = np.clip(1.0 - before, 0.0, cap)
    return vertex
