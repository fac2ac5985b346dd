"""The steepest common descent under linear conditions on what each loss does."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..core.numbers import Array
from .equilibrate import as_gramian, equilibrate
from .min_norm import hull_holds_zero
from .solution import Solution, Status
from .unsquared import UnitColumns

__all__ = ["Rows", "constrained_descent"]

_EPS = float(np.finfo(np.float64).eps)
_MISSED = 1e-7  # of the wanted values: more than this is no rounding, and the equations contradict each other
_KEPT = 1e-6  # a larger certificate tells that rounding hides the solution


class Rows(NamedTuple):
    """Linear conditions on J d, one a row."""

    matrix: Array  # (m, k), coefficients of the k entries of J d
    values: Array  # (m,), what the rows are compared with

    @classmethod
    def none(cls, k: int) -> "Rows":
        """No condition on k gradients."""
        return cls(np.zeros((0, k)), np.zeros(0))


def constrained_descent(
    gramian: Array,
    aims: Array,
    *,
    least: Rows | None = None,
    equal: Rows | None = None,
    factor: Array | None = None,
    checked: bool = False,
) -> Solution:
    r"""The direction of steepest common descent whose effect on the losses meets linear conditions.

    .. math:: \max_d\; \min_i (A J d)_i - \tfrac12 |d|^2 \quad\text{subject to}\quad B J d \ge b, \quad C J d = c

    The step is against d, so (J d)_i is the rate at which loss i falls. The dual is a min-norm problem with a linear
    term,

    .. math:: \min\; \tfrac12 |J^\top w|^2 - b^\top \lambda_B - c^\top \lambda_C, \qquad
              w = A^\top \lambda_A + B^\top \lambda_B + C^\top \lambda_C, \quad d = J^\top w

    over :math:`\lambda_A` in the simplex, :math:`\lambda_B \ge 0` and free :math:`\lambda_C`. The equations are
    eliminated by a singular value decomposition of C J; a primal active-set method, which begins at one row of A, finds
    the other multipliers, each support by least squares, so that dependent gradients do no harm. A = I and no
    conditions: `min_norm_point`.

    Args:
        gramian: Gramian (k, k), in squared units of a gradient, no zero on the diagonal.
        aims: A (p, k), p at least 1. A row of zeros asks for the conditions alone.
        least: B and b; None for none.
        equal: C and c; None for none.
        factor: R (r, k) with R^T R = G, which keeps the digits that squaring loses.
        checked: Whether `gramian` is known to be a Gramian, so that the checks may be left out.

    Returns:
        w, (k,). ``certificate`` is the larger of the duality gap, relative to :math:`|d|^2 + |b^\top \lambda_B| +
        |c^\top \lambda_C|`, and of the worst miss of a condition, relative to the row's value and to |d| times the
        lengths of its gradients, both without what rounding explains. Where d is zero to rounding, the size of the
        terms that cancel takes the place of |d|. Conditions that no direction meets: zeros, status ``NO_SOLUTION``;
        combinations of gradients below a part of 2^-24 (2^-21 without a factor) count as zero. A certificate above
        1e-6: zeros, ``PROMISE_BROKEN``. Zero in the convex hull of the gradients: ``STATIONARY``, with the w that
        solves the problem.

    Raises:
        GramianError: Not a Gramian.

    Cost:
        Usually below 2 (p + m) least-squares problems of O(k^3); 0.4 ms for k = 2, 1 ms for k = 10, up to 70 ms for
        k = 100.

    Source:
        Problem: Chen et al. (2024), arXiv:2412.01773; Zhang et al. (2024), arXiv:2402.09492, eq. 8 and 11. Route:
        Nocedal & Wright (2006), *Numerical Optimization*, section 16.5.

    Example:
        >>> equal = Rows(np.array([[1.0, -1.0]]), np.array([0.6]))  # the first shall fall faster than the second by 0.6
        >>> constrained_descent(np.eye(2), np.eye(2), equal=equal).value.round(6)
        array([0.8, 0.2])
    """
    matrix = gramian if checked else as_gramian(gramian)
    k = len(matrix)
    low, level = least or Rows.none(k), equal or Rows.none(k)
    cosines, norms = equilibrate(matrix)
    columns = UnitColumns.of(cosines, factor)
    span = (columns.columns * norms).T  # (k, r): the gradients in an orthonormal basis
    plane = _Plane.of(level, norms, span, columns.ridge)
    wanted = np.vstack([aims, low.matrix])
    lines = wanted @ span
    offsets = lines @ plane.base - np.concatenate([np.zeros(len(aims)), low.values])
    within, sizes = plane.within(lines), np.abs(wanted) @ norms
    within[np.linalg.norm(within, axis=1) <= columns.ridge * sizes] = 0.0
    pulls, state, exchanges = _multipliers(within, offsets, sizes, len(aims), columns.ridge)
    if not plane.met or state == "unbounded":
        return Solution(np.zeros(k), Status.NO_SOLUTION, certificate=0.0, iterations=exchanges)
    prices = plane.prices(plane.base + pulls @ within - pulls @ lines)
    rows, multipliers = np.vstack([wanted, level.matrix]), np.concatenate([pulls, prices])
    values = np.concatenate([np.zeros(len(aims)), low.values, level.values])
    weights = multipliers @ rows
    certificate = _certificate(
        rows @ (matrix @ weights), values, multipliers, np.concatenate([sizes, plane.sizes]), len(aims), len(wanted)
    )
    if not certificate <= _KEPT:
        return Solution(np.zeros(k), Status.PROMISE_BROKEN, certificate, exchanges)
    status = Status.STATIONARY if hull_holds_zero(cosines) else Status.SOLVED
    return Solution(weights, Status.ITERATION_LIMIT if state == "stopped" else status, certificate, exchanges)


class _Plane(NamedTuple):
    """The directions that meet the equations: a point, and what is orthogonal to the rows."""

    base: Array  # (r,), the shortest of them
    left: Array  # (m, q), singular vectors of the scaled rows
    singular: Array  # (q,)
    right: Array  # (q, r)
    sizes: Array  # (m,), by which the rows were divided
    met: bool  # whether any direction meets the equations

    @classmethod
    def of(cls, level: Rows, norms: Array, span: Array, ridge: float) -> "_Plane":
        sizes = np.abs(level.matrix) @ norms  # not the rows' own lengths, which may be what rounding left
        sizes = np.where(sizes > 0, sizes, norms.max())
        targets = level.values / sizes
        left, singular, right = np.linalg.svd((level.matrix @ span) / sizes[:, None], full_matrices=False)
        kept = singular > ridge
        left, singular, right = left[:, kept], singular[kept], right[kept]
        inside = targets @ left
        missed = float(np.linalg.norm(targets - left @ inside))
        met = missed <= _MISSED * float(np.linalg.norm(targets))
        return cls((inside / singular) @ right, left, singular, right, sizes, met)

    def within(self, lines: Array) -> Array:
        """The part of each row that is orthogonal to the equations."""
        return np.asarray(lines - (lines @ self.right.T) @ self.right)

    def prices(self, rest: Array) -> Array:
        """Multipliers of the equations whose combination of rows is `rest`."""
        return np.asarray(self.left @ ((self.right @ rest) / self.singular) / self.sizes)


def _multipliers(lines: Array, offsets: Array, sizes: Array, aims: int, ridge: float) -> tuple[Array, str, int]:
    r"""Minimise :math:`\tfrac12 |z^\top V|^2 + q^\top z` over z >= 0 whose first entries sum to 1.

    `sizes` stand for the lengths of the rows of V where these are zero; vectors below `ridge` count as zero.

    Returns:
        z, how it ended ("solved", "unbounded" or "stopped"), and the number of least-squares problems.
    """
    lengths = np.linalg.norm(lines, axis=1)
    lengths = np.where(lengths > 0, lengths, np.where(sizes > 0, sizes, sizes.max() or 1.0))
    units, slopes = lines / lengths[:, None], offsets / lengths
    sums = np.where(np.arange(len(lines)) < aims, lengths.min() / lengths, 0.0)  # in units of the shortest
    values = np.zeros(len(lines))
    first = int(np.argmin(0.5 * np.einsum("ij,ij->i", lines, lines)[:aims] + offsets[:aims]))
    basic = np.arange(len(lines)) == first
    values[first] = lengths[first]
    limit = 20 + 10 * len(lines)
    for exchange in range(1, limit + 1):
        support = basic.nonzero()[0]
        move, bounded = _best_move(units, slopes, sums, values, support, ridge)
        room = np.full(len(support), np.inf)
        falls = move < 0
        room[falls] = values[support][falls] / -move[falls]
        nearest = int(np.argmin(room))
        if not bounded and not np.isfinite(room[nearest]):
            return values / lengths, "unbounded", exchange
        if room[nearest] < 1 or not bounded:
            values[support] = np.maximum(values[support] + room[nearest] * move, 0.0)
            values[support[nearest]], basic[support[nearest]] = 0.0, False
            continue
        values[support] += move
        vector = values @ units
        slack = units @ vector + slopes
        common = float(slack[support] @ values[support]) / float(sums @ values)
        noise = 64 * len(lines) * _EPS * (float(values.sum()) + np.abs(slopes) + abs(common) * sums)
        excess = np.where(basic, np.inf, slack - common * sums + noise)
        if excess.min() >= 0:
            return values / lengths, "solved", exchange
        basic[int(np.argmin(excess))] = True
    return values / lengths, "stopped", limit


def _best_move(
    units: Array, slopes: Array, sums: Array, values: Array, support: NDArray[np.intp], ridge: float
) -> tuple[Array, bool]:
    """How the entries of a support get to their best values at the same sum; False where they fall for ever."""
    rows, kept_sum = units[support], sums[support]
    basis = np.linalg.qr(kept_sum[:, None], mode="complete")[0][:, 1:] if kept_sum.any() else np.eye(len(support))
    if not basis.shape[1]:
        return np.zeros(1), True
    vector, slope = values @ units, basis.T @ slopes[support]
    left, singular, right = np.linalg.svd((basis.T @ rows).T, full_matrices=False)
    kept = singular > ridge
    left, singular, right = left[:, kept], singular[kept], right[kept]
    flat = slope - right.T @ (right @ slope)  # slopes along moves that change no vector
    if float(np.linalg.norm(flat)) > ridge * float(np.linalg.norm(slopes[support])):
        return -(basis @ flat), False
    step = (left.T @ vector) / singular + (right @ slope) / singular**2
    return -(basis @ (right.T @ step)), True


def _certificate(falls: Array, values: Array, multipliers: Array, sizes: Array, aims: int, free: int) -> float:
    """The duality gap and the worst miss of a condition beyond rounding, each relative.

    All are given for every row; the first are aims, those after `free` equations.
    """
    reach = float(np.abs(multipliers) @ sizes)  # the size of the terms that may cancel
    rounding = 64 * len(sizes) * _EPS * reach
    square, paid = max(float(multipliers @ falls), 0.0), multipliers * values
    gap = square - float(paid.sum()) - float(falls[:aims].min()) - rounding * reach
    seen = square if square > rounding * reach else reach**2
    missed = values - falls
    missed[free:] = np.abs(missed[free:])
    scale = (np.abs(values) + sizes * seen**0.5)[aims:]
    misses = (missed - sizes * rounding)[aims:] / np.where(scale > 0, scale, 1.0)
    return max(0.0, gap / (seen + float(np.abs(paid).sum()) or 1.0), float(misses.max(initial=0.0)))
