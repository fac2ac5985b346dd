"""The volume that a set of points dominates."""

from typing import NamedTuple

import moocore
import numpy as np
from numpy.typing import ArrayLike

from ...core.numbers import Array
from ...errors import SettingError
from .checks import checked_points, checked_reference, refuse_sampling

__all__ = ["SampledVolume", "hypervolume", "hypervolume_contributions", "sampled_hypervolume"]

_EXACT = 8


class SampledVolume(NamedTuple):
    """A hypervolume by Monte Carlo.

    Attributes:
        value: Estimate of the volume.
        error: Its standard error.
    """

    value: float
    error: float


def hypervolume(points: ArrayLike, reference: ArrayLike) -> float:
    r"""Volume of what the points dominate below a reference, :math:`|\{z \le r : \exists\, y \le z\}|`, exactly.

    Points that are not below the reference in every loss add nothing. More is better; a set that is nowhere worse and
    somewhere better has more (strict Pareto compliance).

    Args:
        points: (K, k) losses.
        reference: (k,) reference point.

    Raises:
        DataError: Points that are not finite or not a matrix.
        SettingError: Another reference, or more than eight losses: use `sampled_hypervolume`.

    Cost:
        By moocore: O(K log K) up to three losses, O(K^2) for four, O(K^(k-2)) above.

    Example:
        >>> hypervolume([[0.0, 0.5], [0.5, 0.0]], [1.0, 1.0])
        0.75
    """
    array, corner = _checked(points, reference)
    if array.shape[1] > _EXACT:
        raise SettingError(
            f"an exact hypervolume of {array.shape[1]} losses takes too long; use sampled_hypervolume(points, "
            "reference)."
        )
    inside = array[(array < corner).all(axis=1)]
    if array.shape[1] == 1:
        return float((corner - inside).max(initial=0.0))
    return float(moocore.hypervolume(inside, ref=corner)) if len(inside) else 0.0


def sampled_hypervolume(
    points: ArrayLike, reference: ArrayLike, *, samples: int = 100_000, seed: int = 0
) -> SampledVolume:
    """As `hypervolume`, for any number of losses: the share of uniform samples that are dominated, with its error.

    Args:
        points: (K, k) losses.
        reference: (k,) reference point.
        samples: Number of samples between the lowest losses and the reference.
        seed: Seed of the samples.

    Raises:
        DataError: Points that are not finite or not a matrix.
        SettingError: Another reference; samples or seed out of range.

    Example:
        >>> found = sampled_hypervolume([[0.0, 0.5], [0.5, 0.0]], [1.0, 1.0])
        >>> abs(found.value - 0.75) < 4 * found.error, round(found.error, 4)
        (True, 0.0014)
    """
    array, corner = _checked(points, reference)
    refuse_sampling(samples, seed)
    inside = array[(array < corner).all(axis=1)]
    if not len(inside):
        return SampledVolume(0.0, 0.0)
    low = inside.min(axis=0)
    volume = float(np.prod(corner - low))
    draw = np.random.default_rng(seed)
    hits = 0
    for start in range(0, samples, 4096):
        places = low + draw.random((min(4096, samples - start), len(corner))) * (corner - low)
        hits += int((inside[None] <= places[:, None]).all(axis=2).any(axis=1).sum())
    share = hits / samples
    return SampledVolume(volume * share, volume * float(np.sqrt(share * (1 - share) / samples)))


def hypervolume_contributions(points: ArrayLike, reference: ArrayLike) -> Array:
    """(K,) what the hypervolume loses without each point; 0 for dominated points and for equal ones.

    Example:
        >>> hypervolume_contributions([[0.0, 0.5], [0.5, 0.0], [0.6, 0.6]], [1.0, 1.0]).tolist()
        [0.25, 0.25, 0.0]
    """
    array, corner = _checked(points, reference)
    whole = hypervolume(array, corner)
    if len(array) == 1:
        return np.array([whole])
    return np.array([max(whole - hypervolume(np.delete(array, i, axis=0), corner), 0.0) for i in range(len(array))])


def _checked(points: ArrayLike, reference: ArrayLike) -> tuple[Array, Array]:
    array = checked_points(points)
    return array, checked_reference(reference, array.shape[1])
