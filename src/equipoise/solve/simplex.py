"""The probability simplex."""

import numpy as np
from numpy.typing import NDArray

__all__ = ["project_to_simplex"]


def project_to_simplex(point: NDArray[np.float64], total: float = 1.0) -> NDArray[np.float64]:
    r"""The closest point of the simplex of sum t, `total`: exact up to rounding, O(k log k).

    .. math:: \arg\min_{a \ge 0,\; \sum_i a_i = t} \|a - p\|^2 = \max(p - \tau, 0)

    with the one :math:`\tau` for which the sum is t, found by sorting (Held, Wolfe & Crowder, 1974).

    Example:
        >>> project_to_simplex(np.array([0.9, 0.5, -1.0]))
        array([0.7, 0.3, 0. ])
    """
    point = point - point.max()  # a common shift changes nothing, and a large one would drown the total
    falling = np.sort(point)[::-1]
    thresholds = (np.cumsum(falling) - total) / np.arange(1, len(point) + 1)
    kept = np.flatnonzero(falling > thresholds)[-1]
    projected: NDArray[np.float64] = np.maximum(point - thresholds[kept], 0.0)
    return projected
