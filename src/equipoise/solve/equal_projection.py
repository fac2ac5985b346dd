"""The direction with the same projection on every unit gradient."""

import numpy as np
from numpy.typing import NDArray

from .min_norm import hull_holds_zero
from .nnls import Complementarity, solve_positive
from .solution import Solution, Status

__all__ = ["equal_projection"]

_EPS = float(np.finfo(np.float64).eps)

Array = NDArray[np.float64]


def equal_projection(cosines: Array) -> Solution:
    r"""Coefficients b on the unit gradients whose sum has projection one on each of them.

    .. math:: C b = 1, \qquad b = C^+ 1

    Args:
        cosines: C, (k, k), as `equilibrate` returns them.

    Returns:
        b, (k,). ``certificate`` is :math:`\max_i |(C b)_i - 1|`. A singular C (pivoted Cholesky, relative 8 k eps)
        takes the pseudo-inverse: status ``RANK_DEFICIENT``, and the certificate tells how unequal the projections
        are, since then no b may satisfy all of them; ``STATIONARY`` where 0 lies in the convex hull of the gradients.
        A sum of b of zero means that no direction is favoured; b is then zero to rounding.

    Cost:
        O(k^3); 0.02 ms for k = 10, 0.2 ms for k = 100.

    Source:
        Liu et al. (2021), IMTL-G; Liu et al. (2024), arXiv:2408.11104, eq. 2: both solve this system. They form it in
        single precision from raw norms; we form it from cosines.

    Example:
        >>> equal_projection(np.array([[1.0, 0.5], [0.5, 1.0]])).value
        array([0.66666667, 0.66666667])
    """
    k = len(cosines)
    ones = np.ones(k)
    system = solve_positive(cosines, ones)
    if system is not None and system[1] > 1e-7:
        value: Array = system[0]
        return Solution(value, Status.SOLVED, float(np.abs(cosines @ value - 1).max()))
    kernel = Complementarity(cosines)
    stationary = hull_holds_zero(cosines, kernel)
    if system is not None and kernel.full_rank:
        value, status = system[0], Status.SOLVED
    else:
        values, vectors = np.linalg.eigh(cosines)
        kept = values > 8 * k * _EPS * values[-1]
        value = vectors[:, kept] @ ((vectors[:, kept].T @ ones) / values[kept])
        status = Status.RANK_DEFICIENT
    residual = float(np.abs(cosines @ value - 1).max())
    return Solution(value, Status.STATIONARY if stationary else status, residual)
