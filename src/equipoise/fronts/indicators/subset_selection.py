"""The K points of many that together have the largest hypervolume: exact for two losses, by search above."""

import moocore
import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...core.numbers import Array, is_whole
from ...errors import SettingError
from .checks import checked_points, checked_reference

__all__ = ["best_subset", "best_value", "subset_rows"]


def best_subset(points: ArrayLike, reference: ArrayLike, size: int) -> NDArray[np.int64]:
    r"""Rows of the points that together have the largest hypervolume.

    For two losses by dynamic programming, exact: with the points in rising order of the first loss, the best value
    that ends in j is :math:`V_s(j) = \max_{i<j} V_{s-1}(i) + (r_1 - y_{j1})(y_{i2} - y_{j2})`. For more, greedily and
    then by exchanges until none helps: a local optimum.

    Args:
        points: (rows, k) losses.
        reference: (k,) reference point.
        size: Number K of points to choose, at least 1.

    Returns:
        At most K rows, none dominated and all below the reference; fewer where there are no more.

    Raises:
        DataError: Points that are not finite or not a matrix.
        SettingError: Another reference or size.

    Cost:
        Memory of rows^2 and time of K rows^2 for two losses: 20 ms for 500 points, K = 10.

    Example:
        >>> best_subset([[0.0, 0.9], [0.4, 0.4], [0.9, 0.0], [0.5, 0.5]], [1.0, 1.0], 1).tolist()
        [1]
    """
    array = checked_points(points)
    corner = checked_reference(reference, array.shape[1])
    if not is_whole(size, least=1):
        raise SettingError(f"`size` must be a whole number of at least 1; got {size!r}.")
    return subset_rows(array, corner, size)


def best_value(points: ArrayLike, reference: ArrayLike, size: int) -> float:
    """Hypervolume of `best_subset`: what K points can attain where `points` are a dense sample of the front.

    For two losses it is exact for the sample, and so a lower bound for the front itself: below it by about the square
    of the sample's gaps. For more losses it is what a search found: a lower bound for the sample as well.

    Example:
        >>> from equipoise.problems import ZDT1
        >>> round(best_value(ZDT1().front(1501), [1.1, 1.1], 10), 5)
        0.82745
    """
    array = checked_points(points)
    rows = best_subset(array, reference, size)
    corner = np.asarray(reference, dtype=np.float64)
    return float(moocore.hypervolume(array[rows], ref=corner)) if len(rows) else 0.0


def subset_rows(points: Array, reference: Array, size: int) -> NDArray[np.int64]:
    """As `best_subset`, unchecked."""
    inside = np.flatnonzero((points < reference).all(axis=1))
    if not len(inside):
        return inside
    kept: NDArray[np.int64] = inside[moocore.is_nondominated(points[inside], keep_weakly=False)]
    if len(kept) <= size:
        return kept
    return (
        _programmed(points, kept, reference, size)
        if points.shape[1] == 2
        else _exchanged(points, kept, reference, size)
    )


def _programmed(points: Array, kept: NDArray[np.int64], reference: Array, size: int) -> NDArray[np.int64]:
    kept = kept[np.argsort(points[kept, 0])]
    first, second = points[kept].T
    added = (reference[0] - first)[None, :] * (second[:, None] - second[None, :])
    added[np.tril_indices(len(kept))] = -np.inf  # the earlier point must have the smaller first loss
    value = (reference[0] - first) * (reference[1] - second)
    before = []
    for _ in range(size - 1):
        total = value[:, None] + added
        chosen = total.argmax(axis=0)
        before.append(chosen)
        value = total[chosen, np.arange(len(kept))]
    last = [int(value.argmax())]
    for chosen in reversed(before):
        last.append(int(chosen[last[-1]]))
    return np.asarray(kept[last[::-1]])


def _exchanged(points: Array, kept: NDArray[np.int64], reference: Array, size: int) -> NDArray[np.int64]:
    chosen: list[int] = []

    def volume(rows: list[int]) -> float:
        return float(moocore.hypervolume(points[rows], ref=reference)) if rows else 0.0

    def gains(rows: list[int]) -> Array:
        return np.array([volume([*rows, int(row)]) for row in kept])

    while len(chosen) < size:
        chosen.append(int(kept[gains(chosen).argmax()]))
    best, unchanged, place = volume(chosen), 0, 0
    while unchanged < size:
        others = chosen[:place] + chosen[place + 1 :]
        found = gains(others)
        if found.max() > best * (1 + 1e-12):
            chosen, best, unchanged = [*chosen[:place], int(kept[found.argmax()]), *chosen[place + 1 :]], found.max(), 0
        else:
            unchanged += 1
        place = (place + 1) % size
    return np.array(chosen)
