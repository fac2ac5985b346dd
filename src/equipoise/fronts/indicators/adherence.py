"""How well points keep to the preferences that asked for them."""

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import spearmanr

from ...core.numbers import Array
from ...errors import DataError
from .checks import checked_points

__all__ = ["boundary_distance", "controllability", "nonuniformity", "ray_angles"]


def ray_angles(points: ArrayLike, rays: ArrayLike) -> Array:
    r"""Angle between each point's losses and its ray, in degrees: :math:`\arccos(y \cdot r / |y| |r|)`.

    Args:
        points: (K, k) losses.
        rays: (K, k) proportions of losses, at least 0: a ray, not weights (whose ray is about 1/w).

    Returns:
        (K,); 0 where a point is the origin. Accurate for small angles.

    Example:
        >>> ray_angles([[1.0, 1.0], [1.0, 0.0]], [[2.0, 2.0], [1.0, 1.0]]).round(6).tolist()
        [0.0, 45.0]
    """
    losses, wanted = _pairs(points, rays, "rays")
    _refuse_rays(wanted, positive=False)
    a = losses / np.maximum(np.linalg.norm(losses, axis=1, keepdims=True), 1e-300)
    b = wanted / np.maximum(np.linalg.norm(wanted, axis=1, keepdims=True), 1e-300)
    # arccos would lose half of the digits of a small angle
    angle = 2 * np.arctan2(np.linalg.norm(a - b, axis=1), np.linalg.norm(a + b, axis=1))
    return np.where(losses.any(axis=1), np.degrees(angle), 0.0)


def boundary_distance(points: ArrayLike, rays: ArrayLike, penalty: float = 5.0) -> Array:
    r"""Penalty-based boundary intersection: :math:`d_1 + \theta d_2`, along the ray and away from it.

    Args:
        points: (K, k) losses.
        rays: (K, k) proportions of losses, at least 0.
        penalty: Factor theta of the distance from the ray.

    Returns:
        (K,), lower is better.

    Source:
        Zhang & Li (2007).

    Example:
        >>> boundary_distance([[3.0, 4.0]], [[1.0, 0.0]]).tolist()
        [23.0]
    """
    losses, wanted = _pairs(points, rays, "rays")
    _refuse_rays(wanted, positive=False)
    unit = wanted / np.linalg.norm(wanted, axis=1, keepdims=True)
    along = (losses * unit).sum(axis=1)
    return np.asarray(along + penalty * np.linalg.norm(losses - along[:, None] * unit, axis=1))


def nonuniformity(points: ArrayLike, rays: ArrayLike) -> Array:
    r"""Relative entropy of the losses over their ray to equal shares.

    .. math:: \sum_i \hat l_i \log (k\, \hat l_i), \qquad \hat l \propto y / r

    Args:
        points: (K, k) losses, at least 0.
        rays: (K, k) proportions of losses, positive.

    Returns:
        (K,), 0 exactly on the ray, and where all losses are 0.

    Source:
        Mahapatra & Rajan (2020), arXiv:2108.00597.

    Example:
        >>> nonuniformity([[1.0, 2.0], [1.0, 0.0]], [[1.0, 2.0], [1.0, 1.0]]).round(4).tolist()
        [0.0, 0.6931]
    """
    losses, wanted = _pairs(points, rays, "rays")
    _refuse_rays(wanted, positive=True)
    if (losses < 0).any():
        raise DataError(f"`points` must hold losses of at least 0; the lowest is {losses.min():.6g}.")
    ratio = losses / wanted
    shares = ratio / np.maximum(ratio.sum(axis=1, keepdims=True), 1e-300)
    safe = np.where(shares > 0, shares, 1.0)
    return np.asarray((shares * np.log(losses.shape[1] * safe)).sum(axis=1))


def controllability(weights: ArrayLike, points: ArrayLike) -> Array:
    """Spearman correlation between the weight of each task and its loss, times -1.

    It is 1 where more weight always gives less loss.

    Args:
        weights: (K, k) weights that the points were asked for with; at least three points.
        points: (K, k) losses.

    Returns:
        (k,); 0 where a task's weight or loss is the same for all points.

    Example:
        >>> controllability([[0.1, 0.9], [0.5, 0.5], [0.9, 0.1]], [[3.0, 1.0], [2.0, 2.0], [1.0, 3.0]]).tolist()
        [1.0, 1.0]
    """
    losses, wanted = _pairs(points, weights, "weights")
    if len(losses) < 3:
        raise DataError(f"a rank correlation needs at least three points; got {len(losses)}.")
    found = np.zeros(losses.shape[1])
    for i, (weight, loss) in enumerate(zip(wanted.T, losses.T, strict=True)):
        if np.ptp(weight) > 0 and np.ptp(loss) > 0:
            found[i] = -spearmanr(weight, loss).statistic
    return found


def _pairs(points: ArrayLike, preferences: ArrayLike, what: str) -> tuple[Array, Array]:
    losses, wanted = checked_points(points), checked_points(preferences, what)
    if losses.shape != wanted.shape:
        raise DataError(f"there must be one row of `{what}` a point; got shapes {wanted.shape} and {losses.shape}.")
    return losses, wanted


def _refuse_rays(rays: Array, *, positive: bool) -> None:
    """Raise for rows that are no proportions of losses."""
    wrong = (rays <= 0).any(axis=1) if positive else (rays < 0).any(axis=1) | ~rays.any(axis=1)
    if wrong.any():
        kind = "positive" if positive else "at least 0, and not all 0"
        rows = np.flatnonzero(wrong)[:20].tolist()
        raise DataError(f"`rays` must hold proportions that are {kind}; those in rows {rows} are not.")
