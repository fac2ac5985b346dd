"""The point of least norm in the convex hull of k gradients."""

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from .equilibrate import as_gramian, equilibrate, factor
from .solution import Solution, Status

__all__ = ["min_norm_point"]

_EPS = float(np.finfo(np.float64).eps)
_RANK = 1e-10  # a direction of the unit gradients below this, relative, counts as dependent


def min_norm_point(gramian: NDArray[np.float64]) -> Solution:
    r"""Weights of the shortest vector in the convex hull of k gradients, exactly.

    .. math:: a^* = \arg\min_{a \ge 0,\; \sum_i a_i = 1} a^\top G a, \qquad G = J J^\top

    One non-negative least-squares problem: the minimiser b of :math:`\|[R; t s^\top] b - e_{last}\|^2` over
    :math:`b \ge 0`, with :math:`R^\top R = C` the cosines, :math:`s_i = 1/|g_i|` and any t > 0, gives
    :math:`a \propto s \circ b`. This is a reformulation, not a penalty: for fixed direction the value of the problem
    is a rising function of :math:`a^\top G a`. The system of the found support is then solved once more directly.

    Args:
        gramian: (k, k), in squared units of a gradient.

    Returns:
        Weights (k,), non-negative, sum 1. ``certificate`` is the duality gap
        :math:`(a^\top G a - \min_i (G a)_i) / a^\top G a`, an upper bound of the relative suboptimality; where the
        optimum is zero, the gap over the largest squared norm of the support (status ``STATIONARY``). Where several
        weights give the same vector, those of least norm are returned (status ``RANK_DEFICIENT``). A zero gradient is
        itself the answer: its weight is 1.

    Raises:
        GramianError: Not a Gramian.

    Cost:
        O(k^3); 0.05 ms for k = 2, 0.3 ms for k = 40. Unchanged by G -> c G.

    Source:
        Problem: Desideri (2012), Sener & Koltun (2018), eq. 3. Route: Lawson & Hanson (1974), ch. 23, on the
        equilibrated Gramian; the authors' Frank-Wolfe solver is off by 1 % after 100 iterations.

    Example:
        >>> min_norm_point(np.array([[1.0, 0.0], [0.0, 3.0]])).value  # orthogonal gradients: weights ~ 1/|g|^2
        array([0.75, 0.25])
    """
    matrix = as_gramian(gramian)
    zero = np.diagonal(matrix) == 0
    if zero.any():
        return Solution(zero / zero.sum(), Status.STATIONARY, certificate=0.0)
    cosines, norms = equilibrate(matrix)
    root = factor(cosines)
    inverse = norms.min() / norms  # s up to a factor, at most 1, so that the last row has the size of the others
    system = np.vstack([root, inverse])
    target = np.zeros(len(system))
    target[-1] = 1.0
    pulls, _ = nnls(system, target)
    pulls = _solve_on_support(cosines, inverse, pulls)
    weights = inverse * pulls
    weights /= weights.sum()
    weights, unique = _least_norm_weights(cosines, norms, root, weights)
    value, gap, scale = _gap(cosines, norms, weights)
    if value <= 64 * len(weights) * _EPS * scale:
        return Solution(weights, Status.STATIONARY, certificate=gap / scale, iterations=1)
    status = Status.SOLVED if unique else Status.RANK_DEFICIENT
    return Solution(weights, status, certificate=gap / value, iterations=1)


def _solve_on_support(
    cosines: NDArray[np.float64], inverse: NDArray[np.float64], pulls: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Solves C b = s on the support that was found; kept only where it stays positive and lowers the gap."""
    support = np.flatnonzero(pulls)
    block = cosines[np.ix_(support, support)]
    if len(support) == 0 or np.linalg.cond(block) > 1 / (1e3 * _EPS):
        return pulls
    direct = np.linalg.solve(block, inverse[support])
    if (direct <= 0).any():
        return pulls
    polished = np.zeros_like(pulls)
    polished[support] = direct
    norms = 1 / inverse

    def relative_gap(candidate: NDArray[np.float64]) -> float:
        weights = inverse * candidate
        value, gap, scale = _gap(cosines, norms, weights / weights.sum())
        return gap / max(value, _EPS * scale)

    return min(pulls, polished, key=relative_gap)


def _least_norm_weights(
    cosines: NDArray[np.float64],
    norms: NDArray[np.float64],
    root: NDArray[np.float64],
    weights: NDArray[np.float64],
) -> tuple[NDArray[np.float64], bool]:
    """Among all weights that give the same vector, those of least Euclidean norm; and whether there was one only.

    The candidates are a + N y >= 0, N spanning the directions that change neither the vector nor the sum: a
    least-distance problem in y, again one non-negative least-squares problem.
    """
    projections = norms * (cosines @ (norms * weights))
    value = float(weights @ projections)
    tight = projections - value <= 1e-9 * (value + _EPS * (norms * weights).max() * norms)
    rows = np.flatnonzero(tight | (weights > 0))
    if len(rows) < 2:
        return weights, True
    scaled = norms[rows].min() / norms[rows]
    system = np.vstack([root[:, rows], scaled])
    _, singular, vectors = np.linalg.svd(system)
    null = vectors[int((singular > _RANK * singular[0]).sum()) :].T * scaled[:, None]
    if not null.size:
        return weights, True
    basis, _ = np.linalg.qr(null)
    base = weights[rows] - basis @ (basis.T @ weights[rows])
    if (base < 0).any():
        target = np.zeros(basis.shape[1] + 1)
        target[-1] = 1.0
        solution, _ = nnls(np.vstack([basis.T, -base]), target)
        residual = np.vstack([basis.T, -base]) @ solution - target
        base = base + basis @ (-residual[:-1] / residual[-1])
    least = np.zeros_like(weights)
    least[rows] = np.maximum(base, 0.0)
    return least / least.sum(), False


def _gap(
    cosines: NDArray[np.float64], norms: NDArray[np.float64], weights: NDArray[np.float64]
) -> tuple[float, float, float]:
    """The value a^T G a, its duality gap, and the largest squared norm of the support, all in the same unit."""
    pulls = norms * weights
    products = cosines @ pulls
    value = float(pulls @ products)
    scale = float((norms[weights > 0] ** 2).max())
    return max(value, 0.0), max(value - float((norms * products).min()), 0.0), scale
