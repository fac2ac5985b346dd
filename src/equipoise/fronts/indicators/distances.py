"""Distances between a set of points and a sample of the true front."""

import moocore
import numpy as np
from numpy.typing import ArrayLike

from ...core.numbers import Array, is_whole
from ...errors import DataError, SettingError
from .checks import checked_points

__all__ = ["additive_epsilon", "fill_distance", "generational_distance", "hausdorff_distance", "igd", "igd_plus"]


def igd(points: ArrayLike, front: ArrayLike) -> float:
    r"""Inverted generational distance, :math:`\frac1{|R|} \sum_{z \in R} \min_y |z - y|`. Lower is better.

    Not Pareto compliant: a set that dominates the front has a positive distance; see `igd_plus`.

    Args:
        points: (K, k) losses.
        front: (rows, k) dense sample R of the true front.

    Example:
        >>> igd([[0.0, 0.0]], [[3.0, 4.0]]), igd_plus([[0.0, 0.0]], [[3.0, 4.0]])
        (5.0, 0.0)
    """
    array, sample = _pair(points, front)
    return float(moocore.igd(array, ref=sample))


def igd_plus(points: ArrayLike, front: ArrayLike) -> float:
    r"""As `igd` with the distance :math:`|\max(y - z, 0)|`: only what is worse than the front counts.

    Weakly Pareto compliant (Ishibuchi et al., 2015).

    Example:
        >>> igd_plus([[1.0, 0.0]], [[0.0, 1.0]])
        1.0
    """
    array, sample = _pair(points, front)
    return float(moocore.igd_plus(array, ref=sample))


def generational_distance(points: ArrayLike, front: ArrayLike) -> float:
    """Mean distance of the points from the front: `igd` with the roles swapped. 0 where all lie on it.

    Example:
        >>> generational_distance([[0.0, 1.0]], [[0.0, 1.0], [1.0, 0.0]])
        0.0
    """
    array, sample = _pair(points, front)
    return float(moocore.igd(sample, ref=array))


def hausdorff_distance(points: ArrayLike, front: ArrayLike, power: int = 1) -> float:
    """Averaged Hausdorff distance of Schuetze et al. (2012): the larger of the two p-mean distances. Lower is better.

    Example:
        >>> hausdorff_distance([[0.0, 1.0]], [[0.0, 1.0], [0.0, 3.0]])
        1.0
    """
    array, sample = _pair(points, front)
    if not is_whole(power, least=1):
        raise SettingError(f"`power` must be a whole number of at least 1; got {power!r}.")
    return float(moocore.avg_hausdorff_dist(array, ref=sample, p=power))


def additive_epsilon(points: ArrayLike, front: ArrayLike) -> float:
    r"""How far the points must be lowered to cover the front, :math:`\max_z \min_y \max_i (y_i - z_i)`.

    Example:
        >>> additive_epsilon([[0.5, 0.5]], [[0.0, 0.5], [0.5, 0.0]])
        0.5
    """
    array, sample = _pair(points, front)
    return float(moocore.epsilon_additive(array, ref=sample))


def fill_distance(points: ArrayLike, front: ArrayLike) -> float:
    r"""Largest hole: :math:`\max_z \min_y |z - y|`. Lower is better.

    Example:
        >>> fill_distance([[0.0, 1.0]], [[0.0, 1.0], [0.0, 3.0]])
        2.0
    """
    array, sample = _pair(points, front)
    return float(max(np.sqrt(((array - place) ** 2).sum(axis=1).min()) for place in sample))


def _pair(points: ArrayLike, front: ArrayLike) -> tuple[Array, Array]:
    array, sample = checked_points(points), checked_points(front, "front")
    if array.shape[1] != sample.shape[1]:
        raise DataError(
            f"`points` and `front` must have the same number of losses; got {array.shape[1]} and {sample.shape[1]}."
        )
    return array, sample
