"""Projection on the cone of directions that raise no loss."""

import numpy as np
from numpy.typing import NDArray

from .equilibrate import as_gramian, equilibrate
from .least_norm import least_norm_weights
from .min_norm import hull_holds_zero
from .nnls import Complementarity
from .solution import Solution, Status

__all__ = ["project_on_dual_cone"]

Array = NDArray[np.float64]


def project_on_dual_cone(gramian: Array, points: Array, *, checked: bool = False) -> Solution:
    r"""The sum of the projections of m vectors on the dual cone of the gradients, as weights of the gradients.

    .. math:: \sum_r \arg\min_{d} \{|d - J^\top p_r|^2 : J d \ge 0\} = J^\top a, \qquad
              a = \sum_r (p_r + v_r), \quad v_r = \arg\min_{v \ge 0} |J^\top (p_r + v)|^2

    m = 1 is one projection (DualProj, GEM); :math:`p_r = w_r e_r` gives UPGrad. All right-hand sides share the cosines
    and, where they are dependent, one pivoted Cholesky factor.

    Args:
        gramian: (k, k), in squared units of a gradient, no zero on the diagonal.
        points: (m, k), the rows p_r: weights of the vectors to project.
        checked: Whether `gramian` is known to be a Gramian, so that the checks may be left out.

    Returns:
        a, (k,), at least the sum of the points. ``certificate`` is the KKT residual: the largest over r of
        :math:`-\langle u_i, d_r \rangle` and, where :math:`v_{ri} > 0`, of :math:`|\langle u_i, d_r \rangle|` (u_i the
        unit gradients), relative to :math:`\sum_i |p_{ri}| |g_i|`. Dependent gradients: where the multipliers are not
        unique, the a of least norm with the same direction and ``a >= sum of the points`` (status
        ``RANK_DEFICIENT``). Zero in the convex hull of the gradients: status ``STATIONARY``; the direction then still
        follows the formula and need not be zero.

    Raises:
        GramianError: Not a Gramian.

    Cost:
        m problems of O(k^3); 0.05 ms for one at k = 10, 15 ms for 100 at k = 100. Unchanged by G -> c G.

    Source:
        Problem: Lopez-Paz & Ranzato (2017), eq. 11; Quinton & Rey (2024), arXiv:2406.16232, eq. 4-5. We add no ridge
        and solve for unit gradients, so that neither scale nor imbalance costs digits.

    Example:
        >>> gramian = np.array([[1.0, -1.0], [-1.0, 2.0]])  # of (1, 0) and (-1, 1)
        >>> project_on_dual_cone(gramian, np.array([[1.0, 0.0]])).value
        array([1. , 0.5])
    """
    matrix = gramian if checked else as_gramian(gramian)
    cosines, norms = equilibrate(matrix)
    pulls = points * norms  # coefficients on the unit gradients
    sizes = np.add.reduce(np.abs(pulls), axis=1)
    if not sizes.all():
        pulls, sizes = pulls[sizes > 0], sizes[sizes > 0]
    pulls /= sizes[:, None]
    offsets = pulls @ cosines
    kernel = Complementarity(cosines)
    multipliers, solved, unique, exchanges = kernel.solve_many(offsets)
    slacks = multipliers @ cosines + offsets
    residual = max(0.0, float(np.where(multipliers > 0, np.abs(slacks), -slacks).max()))
    base = np.add.reduce(points, axis=0)
    weights = base + (sizes @ multipliers) / norms
    status = Status.SOLVED
    if not unique:
        shortest = least_norm_weights(kernel, norms.min() / norms, weights, base)
        if shortest is not None and np.abs((shortest - weights) * norms).max() > 1e-12 * np.abs(weights * norms).max():
            weights, status = shortest, Status.RANK_DEFICIENT
    if hull_holds_zero(cosines, kernel):
        status = Status.STATIONARY
    if not solved:
        status = Status.ITERATION_LIMIT
    return Solution(weights, status, residual, exchanges)
