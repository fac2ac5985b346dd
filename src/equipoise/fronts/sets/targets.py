"""What a set is trained for: which points belong to it, and where each one is pulled."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from ...core.numbers import Array
from ..indicators.subset_selection import subset_rows
from ..indicators.volume_gradient import layered_gradient
from .criteria import Scale, cover_weights, tchebycheff_weights

__all__ = ["LEGS", "WARM", "Cover", "Hypervolume", "Rays", "Target", "Uniform", "reference_above", "target_of"]

WARM = 0.4
"""Share of the steps that go to spread rays first."""
LEGS = (0.0, 1 / 3, 2 / 3, 1.0)
"""Shares of the steps left between which points are chosen anew."""

_SHARPEST = 1e-3
_STARTS = 8


class Target(Protocol):
    """One goal of a set."""

    def choose(self, losses: Array, size: int) -> NDArray[np.int64]:
        """Rows of the points that make the best set of at most `size`."""

    def pull(self, losses: Array, share: float) -> Array:
        """Weights (K, k) that the solutions descend; `share` of the steps is done."""


class Hypervolume:
    """The largest hypervolume; exact gradients up to three losses, sampled above.

    Args:
        reference: (k,) reference point of the hypervolume.
        seed: Seed of the samples.
        samples: Number of samples of each face above three losses; new ones in every step.
    """

    def __init__(self, reference: Array, seed: int = 0, samples: int = 256) -> None:
        self.reference = reference
        self._draw = np.random.default_rng(seed)
        self._samples = samples

    def choose(self, losses: Array, size: int) -> NDArray[np.int64]:
        return subset_rows(losses, self.reference, size)

    def pull(self, losses: Array, share: float) -> Array:
        del share
        k = losses.shape[1]
        draw = self._draw.random((self._samples, k)) if k > 3 else None
        weights = -layered_gradient(losses, self.reference, layered=True, draw=draw).value
        beyond = losses >= self.reference
        if beyond.any():  # no volume yet: first below the reference
            outside = beyond.any(axis=1)
            weights[outside] = beyond[outside]
        return weights


class Rays:
    """One point on each ray, by smooth Tchebycheff.

    Args:
        rays: (K, k) positive.
        scale: Ideal and sizes.
    """

    def __init__(self, rays: Array, scale: Scale) -> None:
        self.rays, self._scale = rays, scale

    def choose(self, losses: Array, size: int) -> NDArray[np.int64]:
        heights = (self._scale.normalised(losses)[None] / self.rays[:size, None]).max(axis=2)
        rays, rows = linear_sum_assignment(np.minimum(heights, 1e12))  # no point serves two rays
        return np.asarray(rows) if len(rays) == size else np.zeros(0, dtype=np.int64)

    def pull(self, losses: Array, share: float) -> Array:
        return tchebycheff_weights(losses, self.rays, self._scale, 0.1 * (_SHARPEST / 0.1) ** share)


class Uniform:
    """The largest smallest distance between neighbours, in units of the losses' sizes.

    The points farthest apart are chosen, then each keeps to a ray; the rays are pushed apart where points are close,
    and the points follow by smooth Tchebycheff, which keeps them on the front.

    Args:
        scale: Ideal and sizes.
    """

    def __init__(self, scale: Scale) -> None:
        self._scale = scale
        self._rays: Array | None = None
        self._calls = 0

    def choose(self, losses: Array, size: int) -> NDArray[np.int64]:
        self._rays = None
        places = self._scale.normalised(losses)
        return _evenly_along(places, size) if losses.shape[1] == 2 else _farthest(places, size)

    def pull(self, losses: Array, share: float) -> Array:
        places = self._scale.normalised(losses)
        self._calls += 1
        if self._rays is None or self._calls % 10 == 0:
            push = np.zeros_like(places) if self._rays is None else _repulsion(places) * (1 - share)
            moved = np.clip(places + push, 1e-3, None)
            self._rays = moved / moved.sum(axis=1, keepdims=True)
        return tchebycheff_weights(losses, self._rays, self._scale, 0.01 * (_SHARPEST / 0.01) ** share)


class Cover:
    """Each loss is served by the solution that is best at it (few solutions, many losses).

    Args:
        scale: Ideal and sizes.
    """

    def __init__(self, scale: Scale) -> None:
        self._scale = scale

    def choose(self, losses: Array, size: int) -> NDArray[np.int64]:
        normal = self._scale.normalised(losses)
        greedy: list[int] = []
        for _ in range(min(size, len(losses))):
            greedy.append(_best_addition(normal, greedy))
        # one after another finds a compromise first: exchange rows, from there and from elsewhere
        draw = np.random.default_rng(0)
        starts = [greedy, *(draw.permutation(len(losses))[:size].tolist() for _ in range(_STARTS))]
        best = min((_exchanged(normal, start) for start in starts), key=lambda rows: _served(normal, rows))
        return np.unique(best)

    def pull(self, losses: Array, share: float) -> Array:
        return cover_weights(losses, self._scale, 0.1 * (_SHARPEST * 10 / 0.1) ** share)


def _served(normal: Array, rows: list[int]) -> tuple[float, float]:
    """Largest and mean loss, each at the best of some rows."""
    served = normal[rows].min(axis=0)
    return float(served.max()), float(served.mean())


def _exchanged(normal: Array, rows: list[int]) -> list[int]:
    """Rows of which none alone can be exchanged for a better one, from some rows on."""
    chosen, before = list(rows), list[int]()
    while chosen != before:
        before = list(chosen)
        for place, now in enumerate(before):
            others = chosen[:place] + chosen[place + 1 :]
            other = _best_addition(normal, others)
            if _served(normal, [*others, other]) < _served(normal, [*others, now]):
                chosen[place] = other
    return chosen


def _best_addition(normal: Array, chosen: list[int]) -> int:
    """The row that, with those chosen, gives the lowest worst-served loss; among equals the lowest mean."""
    best = normal[chosen].min(axis=0) if chosen else np.full(normal.shape[1], np.inf)
    served = np.minimum(best, normal)
    return int(np.lexsort((served.mean(axis=1), served.max(axis=1)))[0])


def _evenly_along(places: Array, size: int) -> NDArray[np.int64]:
    """Rows of a front of two losses with the largest smallest distance, by bisection: steps of a length along it."""
    order = np.argsort(places[:, 0])
    line = places[order]

    def steps(length: float) -> list[int]:
        chosen = [0]
        for i in range(1, len(line)):
            if np.hypot(*(line[i] - line[chosen[-1]])) >= length:
                chosen.append(i)
        return chosen

    low, high = 0.0, float(np.hypot(*(line[-1] - line[0])))
    for _ in range(30):
        middle = (low + high) / 2
        low, high = (middle, high) if len(steps(middle)) >= size else (low, middle)
    return np.asarray(order[steps(low)[:size]])


def _farthest(places: Array, size: int) -> NDArray[np.int64]:
    """Rows whose smallest distance is large: the best of each loss, then always the point farthest from those chosen.

    Within a factor of 2 of the best smallest distance (Gonzalez, 1985).
    """
    chosen = list(dict.fromkeys(places.argmin(axis=0).tolist()))[:size]
    distance = np.sqrt(((places[:, None] - places[chosen]) ** 2).sum(axis=2)).min(axis=1)
    while len(chosen) < min(size, len(places)) and distance.max() > 0:
        chosen.append(int(distance.argmax()))
        distance = np.minimum(distance, np.sqrt(((places - places[chosen[-1]]) ** 2).sum(axis=1)))
    return np.array(chosen)


def _repulsion(places: Array) -> Array:
    """A tenth of the mean gap away from the neighbours, weighted by how close they are."""
    away = places[:, None] - places[None]
    distance = np.sqrt((away**2).sum(axis=2))
    np.fill_diagonal(distance, np.inf)
    gap = float(distance.min(axis=1).mean())
    if not gap > 0:
        return np.zeros_like(places)
    close = np.exp(-2 * distance / gap)
    push = (close[:, :, None] * away / np.where(distance > 0, distance, 1.0)[:, :, None]).sum(axis=1)
    return np.asarray(gap * push)


def reference_above(seen: Array) -> Array:
    """A reference point a tenth of the range above the largest of these losses (rows, k)."""
    return np.asarray(
        seen.max(axis=0) + 0.1 * np.maximum(np.ptp(seen, axis=0), 1e-3 * np.abs(seen).max(axis=0)), dtype=np.float64
    )


def target_of(goal: str, reference: Array, rays: Array, scale: Scale, seed: int) -> Target:
    """The target that a goal of `find_set` names."""
    if goal == "hypervolume":
        return Hypervolume(reference, seed)
    if goal == "rays":
        return Rays(rays, scale)
    return Uniform(scale) if goal == "uniform" else Cover(scale)
