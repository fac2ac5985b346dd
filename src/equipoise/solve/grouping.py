"""Numbers in groups of neighbours: the exact k-means of points on a line."""

import numpy as np

from ..core.numbers import Array

__all__ = ["group_means"]


def group_means(values: Array, groups: int) -> Array:
    r"""Each number replaced by the mean of its group, for the best groups.

    .. math:: \min \sum_g \sum_{i \in g} (v_i - \bar v_g)^2

    over all ways to make so many groups. On a line the best groups are intervals of the sorted numbers, so dynamic
    programming finds them exactly, where Lloyd's iterations depend on their start.

    Args:
        values: Finite numbers v, (k,).
        groups: Number of groups, at least 1; with k or more every number is a group of its own.

    Returns:
        (k,), in the order of `values`. Where several ways are equally good, the one whose last group is longest.

    Cost:
        O(groups k^2).

    Source:
        Fisher (1958), *On grouping for maximum homogeneity*.

    Example:
        >>> group_means(np.array([1.0, 10.0, 3.0]), 2)
        array([ 2., 10.,  2.])
    """
    k = len(values)
    if groups >= k:
        return values.copy()
    order = np.argsort(values, kind="stable")
    scale = float(np.abs(values).max()) or 1.0
    ordered = values[order] / scale  # no square overflows
    errors = np.zeros((k + 1, k + 1))  # of the interval [start, stop)
    for start in range(k):
        part = ordered[start:] - ordered[start]
        counts = np.arange(1, k - start + 1)
        errors[start, start + 1 :] = np.cumsum(part**2) - np.cumsum(part) ** 2 / counts
    best = errors[0].copy()
    cuts = np.zeros((groups, k + 1), dtype=int)
    for group in range(1, groups):
        table = best[:, None] + errors
        table[np.tril_indices(k + 1)] = np.inf  # a group holds at least one number
        table[0] = np.inf
        cuts[group] = np.argmin(table, axis=0)
        best = table[cuts[group], np.arange(k + 1)]
    found, stop = np.empty(k), k
    for group in range(groups - 1, -1, -1):
        start = int(cuts[group, stop]) if group else 0
        found[order[start:stop]] = scale * ordered[start:stop].mean()
        stop = start
    return found
