"""The alpha-fair equation G a = a^(-1/alpha), of which alpha = 1 is the Nash bargaining solution."""

import numpy as np
from numpy.typing import NDArray

from .complementarity import Complementarity, solve_positive
from .equilibrate import as_gramian, equilibrate
from .min_norm import hull_holds_zero
from .solution import Solution, Status

__all__ = ["alpha_fair_weights"]

_EPS = float(np.finfo(np.float64).eps)
_LIMIT = 200

Array = NDArray[np.float64]


def alpha_fair_weights(gramian: Array, alpha: float = 1.0, *, checked: bool = False) -> Solution:
    r"""The positive weights whose projections are their own power.

    .. math:: (G a)_i = a_i^{-p}, \quad a > 0, \qquad p = 1/\alpha

    a is the one minimiser of the strictly convex potential :math:`\tfrac12 a^\top G a - \sum_i \phi(a_i)`,
    :math:`\phi' = a^{-p}` (for alpha = 1: :math:`\phi = \log`). With :math:`y_i = |g_i| a_i` only the cosines
    and :math:`\kappa_i = |g_i|^{p-1}` are left: :math:`(C y)_i = \kappa_i y_i^{-p}`; damped Newton in relative steps.

    Args:
        gramian: (k, k), no zero on the diagonal.
        alpha: Positive; larger is fairer.
        checked: Whether `gramian` is known to be a Gramian, so that the checks may be left out.

    Returns:
        a, (k,), in units of a gradient to the power -2/(1+p). ``certificate`` is
        :math:`\max_i |a_i^p (G a)_i - 1|`. No solution exists exactly when some :math:`a \ge 0, a \ne 0` has G a = 0,
        that is when 0 lies in the convex hull of the gradients: then a = 0, status ``NO_SOLUTION``. Dependent
        gradients otherwise are no exception: the weights stay unique.

    Raises:
        GramianError: Not a Gramian.

    Cost:
        4 to 12 steps of O(k^3); 0.1 ms for k = 10, 0.6 ms for k = 100.

    Source:
        Navon et al. (2022), arXiv:2202.01017, eq. 2 (alpha = 1); Ban & Ji (2024), arXiv:2402.15638, eq. 4. The
        potential is ours; the authors solve a sequence of linearised convex problems, or least squares.

    Example:
        >>> alpha_fair_weights(np.diag([4.0, 0.25])).value  # orthogonal gradients: 1/|g|
        array([0.5, 2. ])
    """
    matrix = gramian if checked else as_gramian(gramian)
    cosines, norms = equilibrate(matrix)
    k = len(norms)
    if hull_holds_zero(cosines):
        return Solution(np.zeros(k), Status.NO_SOLUTION, certificate=1.0)
    power = 1 / alpha
    unit = float(np.exp(np.log(norms).mean()))
    scaled = norms / unit
    prices = np.ones(k) if alpha == 1 else scaled ** (power - 1)
    pulls, residual, steps, settled = _newton(cosines, prices, power)
    weights = pulls / scaled * unit ** (-2 / (1 + power))
    return Solution(weights, Status.SOLVED if settled else Status.ITERATION_LIMIT, residual, steps)


def _newton(cosines: Array, prices: Array, power: float) -> tuple[Array, float, int, bool]:
    """Solves C y = kappa y^-p. Returns y, the largest relative residual, the steps, and whether it settled."""
    pulls = prices if power == 1 else prices ** (1 / (1 + power))
    products = cosines @ pulls
    # the best common factor of the diagonal's solution
    energy = max(float(pulls @ products), len(pulls) * _EPS * float(pulls @ pulls))
    factor = (float(prices @ pulls ** (1 - power)) / energy) ** (1 / (1 + power))
    pulls, products = pulls * factor, products * factor
    best = (pulls, np.inf)
    worse = 0
    for step in range(1, _LIMIT + 1):
        supply = prices * pulls ** (1 - power)  # kappa y^(1-p): what y_i (C y)_i must equal
        imbalance = supply - pulls * products
        residual = float(np.abs(imbalance / supply).max())
        if residual < best[1]:
            best, worse = (pulls, residual), 0
        elif residual < 1e-6:
            worse += 1  # only rounding is left
            if worse == 2:
                return *best, step, True
        root = 1 / np.sqrt(supply)
        scale = pulls * root
        hessian = scale[:, None] * cosines * scale
        hessian.ravel()[:: len(pulls) + 1] += power
        solved = solve_positive(hessian / (diagonal := hessian.diagonal().max()), imbalance * root / diagonal)
        if solved is None:
            break
        change = root * solved[0]  # relative to y
        largest = float(np.abs(change).max())
        length = 1.0
        if largest > 0.25:
            length = _damped(pulls, products, cosines @ (pulls * change), change, prices, power)
        pulls = pulls * (1 + length * change)
        products = cosines @ pulls
        if length == 1.0 and largest <= 1e-9:  # quadratic: the next error is below rounding
            supply = prices * pulls ** (1 - power)
            residual = float(np.abs(1 - pulls * products / supply).max())
            return (pulls, residual, step, True) if residual <= best[1] else (*best, step, True)
    return *best, _LIMIT, best[1] <= 1e-9


def _damped(pulls: Array, products: Array, moved: Array, change: Array, prices: Array, power: float) -> float:
    """The minimiser of the potential along the step, to a few digits, by a safeguarded one-dimensional Newton."""
    supply = prices * pulls ** (1 - power)
    direction = pulls * change
    slope, bend = float(direction @ products), float(direction @ moved)
    falling = float(change.min())
    highest = np.inf if falling >= 0 else -0.99 / falling
    low, high, length = 0.0, highest, min(1.0, highest)
    for _ in range(12):
        grown = 1 + length * change
        pressure = supply * change * grown**-power
        derivative = slope + length * bend - float(pressure.sum())
        curvature = bend + power * float((pressure * change / grown).sum())
        low, high = (length, high) if derivative < 0 else (low, length)
        ahead = length - derivative / curvature
        if not low < ahead < high:
            ahead = 0.5 * (low + high) if np.isfinite(high) else 2 * length
        if abs(ahead - length) <= 1e-2 * length:
            return ahead
        length = ahead
    return length
