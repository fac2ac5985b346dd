"""Points seen on the way: what a set is chosen from again while it is trained."""

from itertools import pairwise

import moocore
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...core.numbers import Array

__all__ = ["Archive"]

_NUMBERS = 2e7  # held between two prunings


class Archive:
    """Losses and parameters seen, of which only those that no other dominates are kept, up to a number.

    Args:
        width: Numbers in one snapshot of all solutions, K n.
        steps: Number of steps to come: decides how often a snapshot is taken.
        seed: Decides which points are kept of more than `kept`, above two losses.
        kept: Largest number of points kept.
    """

    def __init__(self, width: int, steps: int, seed: int, kept: int = 300) -> None:
        self._kept = kept
        self._every = max(3, int(np.ceil(steps * width / _NUMBERS)))
        self._losses: list[Array] = []
        self._points: list[Tensor] = []
        self._draw = np.random.default_rng(seed)
        self._always: NDArray[np.int64] = np.zeros(0, dtype=np.int64)

    def see(self, step: int, losses: Array, points: Tensor) -> None:
        """Keep a snapshot where it is time for one; what is handed in must not be changed afterwards."""
        if step % self._every == 0:
            self.add(losses, points)

    def add(self, losses: Array, points: Tensor, *, always: bool = False) -> None:
        """Keep a snapshot; `always`: it is not thinned out until another takes its place."""
        if always:
            before = sum(map(len, self._losses))
            self._always = np.arange(before, before + len(losses))
        self._losses.append(losses)
        self._points.append(points)

    def prune(self) -> tuple[Array, Tensor]:
        """What is kept, the dominated and the surplus dropped: losses (rows, k) and points (rows, n)."""
        losses = np.concatenate(self._losses)
        kept = np.flatnonzero(moocore.is_nondominated(losses, keep_weakly=False))
        if len(kept) > self._kept:
            kept = np.union1d(kept[self._spread(losses[kept])], np.intersect1d(kept, self._always))
        ends = np.cumsum([0, *map(len, self._losses)])
        parts = [
            snapshot[torch.from_numpy(kept[(kept >= low) & (kept < high)] - low)]
            for snapshot, (low, high) in zip(self._points, pairwise(ends), strict=True)
        ]
        self._always = np.flatnonzero(np.isin(kept, self._always))
        self._losses, self._points = [losses[kept]], [torch.cat(parts)]
        return self._losses[0], self._points[0]

    def _spread(self, losses: Array) -> NDArray[np.int64]:
        """Rows to keep, in rising order: the best of each loss, and others along the front."""
        ends = losses.argmin(axis=0)
        if losses.shape[1] == 2:
            order = np.argsort(losses[:, 0])
            unit = np.ptp(losses, axis=0)
            gaps = np.abs(np.diff(losses[order] / np.where(unit > 0, unit, 1.0), axis=0)).sum(axis=1)
            along = np.r_[0.0, np.cumsum(gaps)]
            rows = order[np.searchsorted(along, np.linspace(0.0, along[-1], self._kept))]
        else:
            rows = self._draw.choice(len(losses), size=self._kept, replace=False)
        return np.unique(np.r_[ends, rows])
