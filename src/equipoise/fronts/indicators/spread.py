"""How evenly a set of points is spread; none of these asks whether the points are any good."""

import math

import moocore
import numpy as np
from numpy.typing import ArrayLike
from scipy.special import logsumexp

from ...core.numbers import Array
from ...errors import DataError, SettingError
from .checks import checked_points

__all__ = ["smallest_gap", "soft_smallest_gap", "spacing", "span", "sparsity"]


def smallest_gap(points: ArrayLike) -> float:
    r"""Smallest distance between two points, :math:`\min_{i \ne j} |y_i - y_j|`. Higher is better.

    Example:
        >>> smallest_gap([[0.0, 1.0], [1.0, 1.0], [3.0, 1.0]])
        1.0
    """
    return float(_neighbours(points).min())


def soft_smallest_gap(points: ArrayLike, sharpness: float = 20.0) -> float:
    r"""A smooth lower bound of `smallest_gap`: :math:`-\frac1s \log \sum_{i \ne j} e^{-s\, d_{ij}}`, ordered pairs.

    Args:
        points: (K, k) losses of at least two points.
        sharpness: Sharpness s, above 0; the bound is tight within log(K (K - 1)) / s, and may be below 0.

    Source:
        Zhang et al. (2024), arXiv:2402.09486.

    Example:
        >>> round(soft_smallest_gap([[0.0, 0.0], [1.0, 0.0]]), 4)  # 1 - log(2) / 20
        0.9653
    """
    if not (isinstance(sharpness, int | float) and 0 < sharpness < math.inf):
        raise SettingError(f"`sharpness` must be a positive finite number; got {sharpness!r}.")
    distance = _distances(points)
    return float(-logsumexp(-sharpness * distance[np.isfinite(distance)]) / sharpness)


def spacing(points: ArrayLike) -> float:
    """Standard deviation (of the population) of the distances to the nearest neighbour. Lower is better.

    Source:
        After Schott (1995), who takes the L1 distance and divides by K - 1.

    Example:
        >>> spacing([[0.0, 1.0], [1.0, 1.0], [2.0, 1.0]])
        0.0
    """
    return float(_neighbours(points).std())


def span(points: ArrayLike) -> float:
    """Range of the loss whose range is smallest. Higher is better.

    Example:
        >>> span([[0.0, 1.0], [1.0, 0.8]])
        0.2
    """
    return float(np.ptp(checked_points(points), axis=0).min())


def sparsity(points: ArrayLike) -> float:
    """Mean squared gap between neighbours in each loss, summed over losses, of the non-dominated points.

    Lower is better.

    Source:
        Xu et al. (2020), *Prediction-guided multi-objective reinforcement learning*.

    Example:
        >>> sparsity([[0.0, 1.0], [1.0, 0.0], [2.0, 2.0]])
        2.0
    """
    array = checked_points(points)
    front = array[moocore.is_nondominated(array)]
    if len(front) < 2:
        return 0.0
    return float((np.diff(np.sort(front, axis=0), axis=0) ** 2).sum() / (len(front) - 1))


def _distances(points: ArrayLike) -> Array:
    """(K, K), infinite on the diagonal."""
    array = checked_points(points)
    if len(array) < 2:
        raise DataError("distances between points need at least two of them; got one.")
    found = np.sqrt(((array[:, None] - array[None]) ** 2).sum(axis=2))
    np.fill_diagonal(found, np.inf)
    return np.asarray(found)


def _neighbours(points: ArrayLike) -> Array:
    return np.asarray(_distances(points).min(axis=1))
