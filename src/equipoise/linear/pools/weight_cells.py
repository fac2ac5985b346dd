"""Which model of a pool each weight vector picks: the cells of the weights' simplex, exactly.

The lowest weighted sum h(w) = min_j w . L_j is concave and linear on the cell of each model. How far a mixture can be
below a loss vector L on all tasks at once, in the units in which the losses are given, is

    gap(L) = max { t : some mixture has losses <= L - t } = min over the simplex of w . L - h(w)

by duality, and as that function is convex and linear on each cell, its minimum lies at a corner of the cells. So one
list of corners answers for every model what a linear program each would.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import HalfspaceIntersection

from ...core.numbers import Array

__all__ = ["MOST_TASKS", "WeightCells", "non_dominated"]

MOST_TASKS = 4
"""With more tasks the number of corners grows too fast; linear programs are solved then."""

_TIGHT = 1e-9
_BLOCK = 4_000_000  # products of corners and models held at once


def non_dominated(losses: Array) -> NDArray[np.bool_]:
    """(m,) whether no other row is nowhere worse and somewhere better; of equal rows all count.

    Cost: O(m log m) for two or three columns (`moocore`).

    Example:
        >>> non_dominated(np.array([[0.0, 1.0], [1.0, 1.0], [1.0, 0.0]])).tolist()
        [True, False, True]
    """
    import moocore  # noqa: PLC0415 - an import that most users of `linear` do not need

    return np.asarray(moocore.is_nondominated(np.ascontiguousarray(losses), keep_weakly=True), dtype=bool)


@dataclass(frozen=True, eq=False)
class WeightCells:
    """Corners of the cells in which one model has the lowest weighted sum.

    Attributes:
        corners: (c, k) weights, non-negative, sum 1.
        lowest: (c,) h at the corners.
        pool: (m, k) losses.
    """

    corners: Array
    lowest: Array
    pool: Array

    @classmethod
    def of(cls, pool: Array) -> "WeightCells":
        """The cells of a pool (m, k) whose losses have about unit ranges; k at most `MOST_TASKS`.

        Cost: O(f log f) for f non-dominated models and up to three tasks (Qhull); 0.1 s for f = 10,000.
        """
        k = pool.shape[1]
        front = np.unique(pool[non_dominated(pool)], axis=0)
        origin = front.min(axis=0)
        shifted = front - origin  # so that 0 <= h
        if k == 1:
            corners = np.ones((1, 1))
        else:
            models = np.column_stack([shifted[:, -1:] - shifted[:, :-1], np.ones(len(front)), -shifted[:, -1]])
            walls = np.zeros((k + 1, k + 1))
            walls[: k - 1, : k - 1] = -np.eye(k - 1)  # each weight at least 0
            walls[k - 1, : k - 1], walls[k - 1, -1] = 1.0, -1.0  # so the last one too
            walls[k, k - 1], walls[k, -1] = -1.0, -1.0  # a floor below h
            inside = np.append(np.full(k - 1, 1.0 / k), -0.5)
            found = HalfspaceIntersection(np.vstack([models, walls]), inside).intersections
            found = found[found[:, -1] > -0.5, : k - 1]
            corners = np.clip(np.column_stack([found, 1.0 - found.sum(axis=1)]), 0.0, None)
            corners = np.unique((corners / corners.sum(axis=1, keepdims=True)).round(15), axis=0)
        cells = cls(corners, np.zeros(len(corners)), front)
        lowest = np.concatenate([(block @ front.T).min(axis=1) for _, block in cells._blocks(len(front))])
        return cls(corners, lowest, pool)

    def _blocks(self, width: int) -> Iterator[tuple[slice, Array]]:
        size = max(1, _BLOCK // max(width, 1))
        for start in range(0, len(self.corners), size):
            part = slice(start, start + size)
            yield part, self.corners[part]

    @cached_property
    def of_pool(self) -> tuple[Array, NDArray[np.intp]]:
        """`gaps` of the pool itself."""
        return self.gaps(self.pool)

    @cached_property
    def _ties(self) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Corners, in rising order, and the models that are the lowest there: pairs of positions."""
        able = np.flatnonzero(self.of_pool[0] <= _TIGHT)
        places, members = [], []
        for part, block in self._blocks(len(able)):
            corner, member = np.nonzero(block @ self.pool[able].T <= self.lowest[part][:, None] + _TIGHT)
            places.append(corner + part.start)
            members.append(able[member])
        return np.concatenate(places), np.concatenate(members)

    def gaps(self, losses: Array) -> tuple[Array, NDArray[np.intp]]:
        """How far a mixture of the pool is below each row on all tasks, (n,), and the corner that proves it."""
        gap, place = np.full(len(losses), np.inf), np.zeros(len(losses), dtype=np.intp)
        for part, block in self._blocks(len(losses)):
            above = losses @ block.T - self.lowest[part]
            best = above.argmin(axis=1)
            value = above[np.arange(len(losses)), best]
            better = value < gap
            gap[better], place[better] = value[better], best[better] + part.start
        return gap, place

    def ranges(self, units: Array) -> tuple[Array, Array]:
        """Lowest and highest weight, (m, k), over the weights that pick each model; inf and -inf where none does.

        Args:
            units: (k,) what the losses were divided by: the weights are those of the losses before, sum 1. This map
                takes straight lines to straight lines, so the extremes stay at corners.
        """
        weights = self.corners / units
        weights /= weights.sum(axis=1, keepdims=True)
        corner, member = self._ties
        low, high = np.full(self.pool.shape, np.inf), np.full(self.pool.shape, -np.inf)
        np.minimum.at(low, member, weights[corner])
        np.maximum.at(high, member, weights[corner])
        return low, high

    def widest(self, units: Array, most: int = 3) -> list[tuple[Array, tuple[int, ...]]]:
        """Weights under which models that lie far apart tie: where one more model would tell most.

        A model between them is known only to lie above the flat piece that they span, which is empty of runs.

        Returns:
            Up to `most` weights of the losses before division by `units`, all positive, and positions of the models
            that tie there, those furthest apart first.
        """
        corner, member = self._ties
        starts = np.flatnonzero(np.diff(corner, prepend=-1))
        tied = self.pool[member]
        widths = (np.maximum.reduceat(tied, starts) - np.minimum.reduceat(tied, starts)).max(axis=1)
        widths[self.corners[corner[starts]].min(axis=1) <= _TIGHT] = 0.0
        ends = np.append(starts[1:], len(corner))
        found = []
        for place in np.argsort(-widths, kind="stable")[:most]:
            if widths[place] > _TIGHT:
                weights = self.corners[corner[starts[place]]] / units
                found.append((weights / weights.sum(), tuple(member[starts[place] : ends[place]].tolist())))
        return found
