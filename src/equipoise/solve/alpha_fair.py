"""The alpha-fair equation G a = a^(-1/alpha), of which alpha = 1 is the Nash bargaining solution."""

from collections.abc import Iterator

import numpy as np

from ..core.numbers import Array
from .equilibrate import as_gramian, equilibrate
from .lapack import lapack
from .min_norm import hull_holds_zero
from .nnls import solve_positive
from .promise import Attempt, first_kept, known_at_size
from .solution import Solution, Status
from .two_gradients import TwoGradients, in_closed_form
from .unsquared import UnitColumns

__all__ = ["alpha_fair_weights"]

_EPS = float(np.finfo(np.float64).eps)
_LIMIT = 200
_CLOSE = 1e-8  # below this residual, a step that does not help was made by rounding
_FASTEST = 8.0  # an entry shrinks at most by e^-8 a step, or to its square where it is smaller already
_LARGEST = 300.0  # logarithms beyond which a number counts as this large or small


def alpha_fair_weights(
    gramian: Array, alpha: float = 1.0, *, factor: Array | None = None, checked: bool = False
) -> Solution:
    r"""The positive weights whose projections are their own power.

    .. math:: (G a)_i = a_i^{-p}, \quad a > 0, \qquad p = 1/\alpha

    a is the one minimiser of the strictly convex potential :math:`\tfrac12 a^\top G a - \sum_i \phi(a_i)`, :math:`\phi'
    = a^{-p}` (for alpha = 1: :math:`\phi = \log`); a larger alpha is fairer. With :math:`y_i = |g_i| a_i` only the
    cosines and :math:`\kappa_i = |g_i|^{p-1}` are left:

    .. math:: C y = u, \qquad u_i y_i^p = \kappa_i

    solved by Newton's method for y and u together, the second equation in logarithms, every system symmetric positive
    definite. An entry that grows moves in its value, one that shrinks in its logarithm: both stay positive without a
    line search.

    Returns:
        a, (k,), in units of a gradient to the power -2/(1+p). ``certificate`` is
        :math:`\max_i |(G a)_i - a_i^{-p}| / (|g_i| |d|)`, the error of a cosine with the direction d. No solution
        exists exactly when some :math:`a \ge 0, a \ne 0` has G a = 0, that is when 0 lies in the convex hull of the
        gradients: then a = 0, status ``NO_SOLUTION``. Other dependent gradients are no exception: the weights stay
        unique.

    Cost:
        4 to 15 steps of O(k^3), 30 where alpha and the spread of the norms are extreme; 0.1 ms for k = 10, 0.5 ms for
        k = 100.

    Source:
        Navon et al. (2022), arXiv:2202.01017, eq. 2 (alpha = 1); Ban & Ji (2024), arXiv:2402.15638, eq. 4. The
        authors solve a sequence of linearised convex problems, or least squares.

    Example:
        >>> alpha_fair_weights(np.diag([4.0, 0.25])).value  # orthogonal gradients: 1/|g|
        array([0.5, 2. ])
    """
    matrix = gramian if checked else as_gramian(gramian)
    closed = in_closed_form(matrix, TwoGradients.nash) if alpha == 1 else None
    if closed is not None:
        return closed
    cosines, norms = equilibrate(matrix)
    if hull_holds_zero(cosines):
        return Solution(np.zeros(len(norms)), Status.NO_SOLUTION, certificate=1.0)
    power = 1 / alpha
    logs = np.log(norms)
    unit = float(logs.sum()) / len(logs)
    prices = (power - 1) * (logs - unit)

    def route(columns: Array | None) -> Attempt:
        log_pulls, residual, steps, length = _newton(cosines, prices, power, columns)
        weights = np.exp(log_pulls - (logs - unit) - unit * (2 / (1 + power)))
        found = Solution(weights, Status.SOLVED if residual <= _CLOSE else Status.ITERATION_LIMIT, residual, steps)
        known = columns is not None or known_at_size(float(_raised(log_pulls).sum()) / length, factor)
        return Attempt(found, residual if known else np.inf)

    def routes() -> Iterator[Attempt]:
        yield route(None)
        yield route(UnitColumns.of(cosines, factor).columns)

    return first_kept(routes(), np.zeros(len(norms)))


def _products(cosines: Array, pulls: Array, columns: Array | None) -> tuple[Array, float]:
    """<u_i, d> and |d| of the combination d of unit gradients."""
    if columns is None:
        products = cosines @ pulls
        return products, max(float(pulls @ products), len(pulls) * _EPS * float(pulls @ pulls)) ** 0.5
    direction = columns @ pulls
    return columns.T @ direction, float(np.sqrt(direction @ direction))


def _solved(cosines: Array, pulls: Array, weight: Array, right: Array, columns: Array | None) -> Array | None:
    """Solves (Y C Y + diag weight) x = right, Y = diag pulls; by orthogonal factors where the columns are given."""
    if columns is None:
        scale = 1 / np.sqrt(pulls * pulls + weight)
        scaled = scale * pulls
        system = scaled[:, None] * cosines * scaled
        system.ravel()[:: len(pulls) + 1] = 1.0  # what the scale is for
        solved = solve_positive(system, scale * right)
        return None if solved is None else scale * solved[0]
    stacked = np.vstack([columns * pulls, np.diag(np.sqrt(weight))])
    scale = 1 / np.sqrt((stacked**2).sum(axis=0))
    triangle = np.linalg.qr(stacked * scale, mode="r")
    found: Array = scale * lapack().dtrtrs(triangle, lapack().dtrtrs(triangle, scale * right, trans=1)[0])[0]
    return found


def _newton(cosines: Array, log_prices: Array, power: float, columns: Array | None) -> tuple[Array, float, int, float]:
    """Solves C y = u, log u + p log y = log kappa: log y, the largest error of a cosine, the steps, the length |d|.

    Both unknowns are kept as logarithms: kappa overflows for a small alpha, and for a large one y underflows.
    """
    k = len(cosines)
    logs = log_prices / (1 + power)  # the solution of orthogonal gradients, then times the best factor
    pulls = _raised(logs)
    energy = max(float(pulls @ cosines @ pulls), k * _EPS * float(pulls @ pulls))
    logs = logs + np.log(float((pulls * _raised(log_prices - power * logs)).sum()) / energy) / (1 + power)
    unknown = np.array([logs, log_prices - power * logs, logs])  # log y and log u; the third row is for their equation
    best, least, reach = logs, np.inf, 1.0
    slowest = np.full((2, k), -_FASTEST)
    for step in range(1, _LIMIT + 1):
        unknown[2] = log_prices - power * unknown[0]
        pulls, supply, wanted = _raised(unknown)
        products, length = _products(cosines, pulls, columns)
        residual = float(np.maximum.reduce(np.abs(products - wanted))) / length
        if residual < least:
            best, least, reach = unknown[0].copy(), residual, length
        elif residual < _CLOSE and columns is None:
            return best, least, step, reach
        lag = unknown[2] - unknown[1]
        weight = supply * pulls
        change = _solved(cosines, pulls, power * weight, pulls * (supply - products) + weight * lag, columns)
        if change is None:
            return best, least, step, reach
        rounding = 8 * _EPS * float(np.maximum.reduce(pulls)) / length  # of a step, where the columns keep all digits
        last = float(np.maximum.reduce(np.abs(change))) <= max(1e-9, rounding)  # quadratic: what is left is rounding
        slowest[0] = np.minimum(unknown[0], -_FASTEST)
        unknown[:2] += _grown(np.array([change, lag - power * change]), slowest)
        if last:
            unknown[2] = log_prices - power * unknown[0]
            pulls, _, wanted = _raised(unknown)
            products, length = _products(cosines, pulls, columns)
            residual = float(np.abs(products - wanted).max()) / length
            kept = columns is None or residual <= max(least, 8 * rounding)  # at rounding, the last step is the best
            return (unknown[0], residual, step, length) if kept else (best, least, step, reach)
    return best, least, _LIMIT, reach


def _raised(logs: Array) -> Array:
    raised: Array = np.exp(np.minimum(np.maximum(logs, -_LARGEST), _LARGEST))  # faster than np.clip
    return raised


def _grown(change: Array, slowest: Array) -> Array:
    """What the logarithm of an entry grows by: one that grows moves in its value, one that shrinks in its logarithm."""
    grown: Array = np.log1p(np.maximum(change, 0.0)) + np.maximum(np.minimum(change, 0.0), slowest)
    return grown
