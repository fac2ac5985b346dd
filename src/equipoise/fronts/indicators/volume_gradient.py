"""The gradient of the hypervolume in the losses of each point: exact for two and three losses, sampled above."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...core.numbers import Array
from .checks import checked_points, checked_reference, refuse_sampling

__all__ = ["HypervolumeGradient", "hypervolume_gradient", "layered_gradient"]

_SAMPLES = 4096


@dataclass(frozen=True, eq=False)
class HypervolumeGradient:
    """Derivatives of a hypervolume.

    Attributes:
        value: (K, k), each entry at most 0: a higher loss never adds volume.
        error: (K, k) standard error of each entry; None where it is exact.
    """

    value: Array
    error: Array | None


def hypervolume_gradient(
    points: ArrayLike, reference: ArrayLike, *, layered: bool = False, samples: int = _SAMPLES, seed: int = 0
) -> HypervolumeGradient:
    r"""Derivatives of the hypervolume in the losses of each point.

    .. math:: \frac{\partial H}{\partial y_{id}} = - \mathrm{vol} \big\{ z_{-d} :\; y_{i,-d} \le z_{-d} \le r_{-d},
              \text{ no } y_{j,-d} \le z_{-d} \text{ with } y_{jd} \le y_{id} \big\}

    the area of the face that only point i holds. One rule for ties: of equal points the first counts, the others are
    dominated; where points share a coordinate, the derivative is the one towards higher loss. Points that are
    dominated, or not below the reference in every loss, have derivative 0.

    Args:
        points: (K, k) losses.
        reference: (k,) reference point.
        layered: Whether dominated points get the gradient of their own layer (what is left once the layers before it
            are taken away) instead of 0, so that they move as well.
        samples: Number of samples for each face, above three losses.
        seed: Seed of the samples.

    Returns:
        The derivatives, and their standard errors where they are sampled (k > 3): at most half the volume of a face's
        box over sqrt(samples).

    Raises:
        DataError: Points that are not finite or not a matrix.
        SettingError: A reference of another length; samples or seed out of range.

    Cost:
        Arrays of K numbers for two losses, of 3 K^2 for three, of K k samples above.
    Source:
        Emmerich & Deutz (2014) for the formula; layers: Wang et al. (2017), Deist et al. (2021), arXiv:2102.04523.

    Example:
        >>> hypervolume_gradient([[0.0, 0.5], [0.5, 0.0]], [1.0, 1.0]).value.tolist()
        [[-0.5, -0.5], [-0.5, -0.5]]
    """
    array = checked_points(points)
    corner = checked_reference(reference, array.shape[1])
    refuse_sampling(samples, seed, least=2)
    draw = np.random.default_rng(seed).random((samples, array.shape[1])) if array.shape[1] > 3 else None
    return layered_gradient(array, corner, layered=layered, draw=draw)


def layered_gradient(points: Array, reference: Array, *, layered: bool, draw: Array | None) -> HypervolumeGradient:
    """As `hypervolume_gradient`, unchecked, with the samples of the unit cube given."""
    value = np.zeros_like(points)
    error = None if draw is None else np.zeros_like(points)
    rows: NDArray[np.int64] = np.flatnonzero((points < reference).all(axis=1))
    while len(rows):
        front, rest = _first_layer(points, rows)
        chosen = points[front]
        if chosen.shape[1] == 1:
            value[front] = -1.0
        elif chosen.shape[1] == 2:
            value[front] = _edges(chosen, reference)
        elif chosen.shape[1] == 3:
            value[front] = _faces(chosen, reference)
        else:
            assert draw is not None
            assert error is not None
            value[front], error[front] = _sampled(chosen, reference, draw)
        rows = rest if layered else rest[:0]
    return HypervolumeGradient(value, error)


def _first_layer(points: Array, rows: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows that no other row dominates or repeats before it, and the others; two losses: the first are in order."""
    chosen = points[rows]
    if chosen.shape[1] == 2:
        order = np.lexsort((chosen[:, 1], chosen[:, 0]))
        seconds = chosen[order, 1]
        kept = np.ones(len(order), dtype=bool)
        kept[1:] = seconds[1:] < np.minimum.accumulate(seconds)[:-1]
        return rows[order[kept]], rows[order[~kept]]
    below = (chosen[:, None] <= chosen[None]).all(axis=2)  # i, j: i is nowhere worse than j
    strictly = below & ~below.T
    equal = np.triu(below & below.T, k=1)  # i before j
    dominated = (strictly | equal).any(axis=0)
    return rows[~dominated], rows[dominated]


def _edges(points: Array, reference: Array) -> Array:
    """Two losses, in rising order of the first."""
    found = np.empty_like(points)
    found[0, 0], found[1:, 0] = points[0, 1] - reference[1], points[1:, 1] - points[:-1, 1]
    found[-1, 1], found[:-1, 1] = points[-1, 0] - reference[0], points[:-1, 0] - points[1:, 0]
    return found


def _faces(points: Array, reference: Array) -> Array:
    """Three losses: for each point and loss, the box of the other two less what other points hold there."""
    found, count = np.empty_like(points), len(points)
    for axis in range(3):
        a, b = [other for other in range(3) if other != axis]
        # (i, j): the corner that j cuts out of the face of i; one that does not reach it cuts nothing
        reaches = points[None, :, axis] <= points[:, None, axis]
        np.fill_diagonal(reaches, val=False)
        first = np.where(reaches, np.maximum(points[None, :, a], points[:, None, a]), reference[a])
        second = np.where(reaches, np.maximum(points[None, :, b], points[:, None, b]), reference[b])
        order = np.argsort(first, axis=1)
        first, second = np.take_along_axis(first, order, axis=1), np.take_along_axis(second, order, axis=1)
        lowest = np.minimum.accumulate(second, axis=1)
        widths = np.diff(np.concatenate([first, np.full((count, 1), reference[a])], axis=1), axis=1)
        taken = (widths * (reference[b] - lowest)).sum(axis=1)
        whole = (reference[a] - points[:, a]) * (reference[b] - points[:, b])
        found[:, axis] = taken - whole
    return found


def _sampled(points: Array, reference: Array, draw: Array) -> tuple[Array, Array]:
    """More losses: the share of each face's box that no other point holds."""
    value, error = np.empty_like(points), np.empty_like(points)
    k = points.shape[1]
    for i, point in enumerate(points):
        room = reference - point
        held = (point + draw * room)[:, None, :] >= np.delete(points, i, axis=0)[None]  # (samples, others, k)
        missing = k - held.sum(axis=2)
        reaches = np.delete(points, i, axis=0) <= point
        for axis in range(k):
            beaten = (missing - ~held[:, :, axis] == 0) & reaches[:, axis]
            share = 1 - beaten.any(axis=1).mean()
            volume = np.prod(np.delete(room, axis))
            value[i, axis] = -share * volume
            error[i, axis] = volume * np.sqrt(share * (1 - share) / (len(draw) - 1))
    return value, error
