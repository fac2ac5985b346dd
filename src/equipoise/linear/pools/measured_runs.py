"""Audit of measured runs: which trained models no weights support among these runs, and what beats them."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.sparse.csgraph import minimum_spanning_tree

from ...core.numbers import Array, is_whole
from ...errors import DataError, SettingError
from ..minmax.mixture_lp import Program
from .pool_mixture import checked_pool
from .preference_lp import spread

__all__ = ["RunPoint", "RunsAudit", "audit_runs"]


BELOW = 1e-9
"""A pool gap below this share of the ranges is the solver's rounding."""

NEAR = 0.15
"""A setting this near to a task's best one (in ranges, largest task) lies at that end of the front."""


@dataclass(frozen=True, eq=False)
class RunPoint:
    """One setting (weights, method, architecture; whatever was varied), its loss averaged over its seeds.

    Attributes:
        name: Name of the setting.
        losses: (k,) mean over the seeds.
        seeds: Number of runs.
        dominated_by: Name of a setting that is nowhere worse and somewhere better; None for a non-dominated one.
        pool_gap: Largest t for which a mixture of these runs has every loss lower by t ranges; 0: some weights support
            the setting among these runs. NOT reachability: that word is for exact linear models. A run that was never
            made may change it.
        interval: 5 % and 95 % quantiles of the gap over resamples of the seeds; None without seeds.
        mixture: Names and probabilities of the mixture that attains the gap; empty where the gap is 0.
        mixture_losses: Expected losses of that mixture, (k,).
        next_weights: (k,) sum 1: the weighted sum to train next; a model with a lower value than all runs have makes
            the pool better around here.
        end: Name of the task at whose end of the front the setting lies, or None.
    """

    name: str
    losses: Array
    seeds: int
    dominated_by: str | None
    pool_gap: float
    interval: tuple[float, float] | None
    mixture: tuple[tuple[str, float], ...]
    mixture_losses: Array
    next_weights: Array
    end: str | None


@dataclass(frozen=True, eq=False)
class RunsAudit:
    """Findings about the trade-off in a pool of runs.

    Attributes:
        points: Points of the pool, one a setting, in the order given.
        tasks: Names of the k tasks.
        scale: (k,) ranges of the tasks over the non-dominated settings: the unit of the gaps.
        front: Names of the non-dominated settings.
        unsupported: Settings among those whose gap is positive, and remains so at the 5 % quantile where seeds are
            given.
        at_ends: Share of the non-dominated settings that lie at an end.
        crowded: Whether more than half of at least four non-dominated settings lie at the ends, or the largest hole
            is more than half of the range: the middle of the front is then hardly known.
        largest_hole: Largest distance from a non-dominated setting to its nearest neighbour on the way between ends:
            the longest edge of the minimum spanning tree, in ranges (largest task).
        resamples: Number of resamples of the seeds.
        words: Findings, in sentences.
    """

    points: tuple[RunPoint, ...]
    tasks: tuple[str, ...]
    scale: Array
    front: tuple[str, ...]
    unsupported: tuple[str, ...]
    at_ends: float
    crowded: bool
    largest_hole: float
    resamples: int
    words: str


def audit_runs(
    losses: ArrayLike,
    *,
    settings: Sequence[Hashable] | None = None,
    seeds: Sequence[Hashable] | None = None,
    tasks: Sequence[str] | None = None,
    resamples: int = 200,
    seed: int = 0,
) -> RunsAudit:
    """Which of these trained models no weighted sum would choose among them, and which mixture beats them.

    For each setting the pool gap is max { t : some mixture of the pool has losses <= L - t s }, s the ranges of the
    non-dominated settings: the empirical counterpart of delta in `reach`, over the convex hull of measured points
    instead of all models. It speaks of these runs only.

    Seeds: rows of the same setting are averaged. The interval comes from resampling the seeds with replacement, the
    same seeds in every setting (runs that share a seed share data order and start, so they are paired). With one to
    four seeds the interval is rough.

    Args:
        losses: (m, k), one row a run; or (settings, seeds, k).
        settings: m labels: runs with the same label differ by seed only. Default: every row is a setting.
        seeds: m labels of the seeds; without them no intervals. Every setting needs the same ones.
        tasks: Names of the k tasks.
        resamples: Number of resamples of the seeds.
        seed: Seed of the resamples.

    Returns:
        The audit of the runs.

    Raises:
        DataError: Losses not finite or of another shape; settings with different seeds.
        TaskError: Names that do not fit.
        SettingError: Labels of another number; resamples < 1.

    Cost: One linear program (2 ms) a setting and resample.

    Example:
        >>> found = audit_runs([[0.0, 1.0], [0.6, 0.6], [1.0, 0.0], [1.0, 1.0]], settings="abcd")
        >>> found.front, found.unsupported, round(found.points[1].pool_gap, 6), found.points[1].mixture
        (('a', 'b', 'c'), ('b',), 0.1, (('a', 0.5), ('c', 0.5)))
    """
    if not is_whole(resamples, least=1):
        raise SettingError(f"resamples must be at least 1; found {resamples!r}")
    cube, names, named = _cube(losses, settings, seeds, tasks)
    means = cube.mean(axis=1)
    dominated = _dominators(means)
    front = [j for j, winner in enumerate(dominated) if winner is None]
    scale = spread(means[front]) if len(front) > 1 else spread(means)
    gaps = [_gap(means, scale, j) for j in range(len(means))]
    intervals = _intervals(cube, scale, resamples, seed) if cube.shape[1] > 1 else None
    low = means[front].min(axis=0)
    best = [front[int(np.argmin(means[front, i]))] for i in range(len(named))]
    points = []
    for j, (gap, shares, weights) in enumerate(gaps):
        mixed = tuple((names[i], float(shares[i])) for i in np.argsort(-shares, kind="stable") if shares[i] > 0)
        distances = np.array([float(np.max(np.abs(means[j] - means[i]) / scale)) for i in best])
        points.append(
            RunPoint(
                name=names[j],
                losses=means[j],
                seeds=cube.shape[1],
                dominated_by=None if (other := dominated[j]) is None else names[other],
                pool_gap=gap,
                interval=None if intervals is None else intervals[j],
                mixture=mixed if gap > 0 else (),
                mixture_losses=shares @ means,
                next_weights=weights,
                end=named[int(np.argmin(distances))] if distances.min() <= NEAR else None,
            )
        )
    unsupported = tuple(
        points[j].name for j in front if (points[j].interval or (points[j].pool_gap,))[0] > BELOW
    )  # fmt: skip
    hole = _largest_hole((means[front] - low) / scale)
    at_ends = float(np.mean([points[j].end is not None for j in front]))
    crowded = len(front) >= 4 and (at_ends > 0.5 or hole > 0.5)
    return RunsAudit(
        points=tuple(points),
        tasks=named,
        scale=scale,
        front=tuple(names[j] for j in front),
        unsupported=unsupported,
        at_ends=at_ends,
        crowded=crowded,
        largest_hole=hole,
        resamples=resamples if intervals is not None else 0,
        words=_words([points[j] for j in front], len(points), unsupported, at_ends, hole, cube.shape[1]),
    )


def _cube(
    losses: ArrayLike,
    settings: Sequence[Hashable] | None,
    seeds: Sequence[Hashable] | None,
    tasks: Sequence[str] | None,
) -> tuple[Array, tuple[str, ...], tuple[str, ...]]:
    """Losses (settings, seeds, k), names of settings, names of tasks."""
    array = np.array(losses, dtype=np.float64) if not hasattr(losses, "columns") else losses
    if isinstance(array, np.ndarray) and array.ndim == 3:
        if seeds is not None:
            raise SettingError("losses of shape (settings, seeds, tasks) hold their seeds already: leave out `seeds`")
        count, repeats, width = array.shape
        pool, named, _ = checked_pool(array.reshape(count * repeats, width), tasks)
        labels: list[Hashable] = list(range(count) if settings is None else settings)
        if len(labels) != count or len(set(labels)) != count:
            raise SettingError(f"settings must be {count} different labels; found {len(labels)}")
        return pool.reshape(count, repeats, width), tuple(map(str, labels)), named
    pool, named, rows = checked_pool(losses, tasks)
    labels = list(rows if settings is None else settings)
    if len(labels) != len(pool) or (seeds is not None and len(seeds) != len(pool)):
        raise SettingError(f"settings and seeds must have one label a run, {len(pool)}")
    order = list(dict.fromkeys(labels))
    if seeds is None:
        groups = [pool[[i for i, label in enumerate(labels) if label == name]] for name in order]
        return np.array([group.mean(axis=0) for group in groups])[:, None], tuple(map(str, order)), named
    table = {(label, repeat): row for label, repeat, row in zip(labels, seeds, pool, strict=True)}
    repeats_of = list(dict.fromkeys(seeds))
    missing = [f"{name} with seed {repeat}" for name in order for repeat in repeats_of if (name, repeat) not in table]
    if missing or len(table) != len(pool):
        raise DataError(
            f"every setting needs one run for each seed; missing: {', '.join(missing[:10]) or 'none'}; "
            f"doubled: {len(pool) - len(table)}. Leave out `seeds` for no intervals"
        )
    cube = np.array([[table[name, repeat] for repeat in repeats_of] for name in order])
    return cube, tuple(map(str, order)), named


def _dominators(means: Array) -> list[int | None]:
    """For each setting one that is nowhere worse and somewhere better (of equal ones none), or None."""
    found: list[int | None] = []
    for row in means:
        better = (means <= row).all(axis=1) & (means < row).any(axis=1)
        # the dominator that is furthest ahead in sum is itself non-dominated
        found.append(int(np.argmin(np.where(better, means.sum(axis=1), np.inf))) if better.any() else None)
    return found


def _program(means: Array, scale: Array, place: int) -> Program:
    return Program.least_level((means - means[place]) / scale)


def _gap(means: Array, scale: Array, place: int) -> tuple[float, Array, Array]:
    """Pool gap of one setting, the mixture, and the weights that prove it."""
    found = _program(means, scale, place).solve()
    assert found is not None
    weights = found.normal / scale
    gap = -found.level
    return (gap if gap > BELOW else 0.0), found.shares, weights / weights.sum()


def _intervals(cube: Array, scale: Array, resamples: int, seed: int) -> list[tuple[float, float]]:
    generator = np.random.default_rng(seed)
    repeats = cube.shape[1]
    drawn = []
    for _ in range(resamples):
        means = cube[:, generator.integers(repeats, size=repeats)].mean(axis=1)
        drawn.append([max(-_program(means, scale, place).vertex().level, 0.0) for place in range(len(cube))])
    low, high = np.quantile(np.array(drawn), (0.05, 0.95), axis=0)
    return [(float(a), float(b)) for a, b in zip(low, high, strict=True)]


def _largest_hole(points: Array) -> float:
    """Longest edge of the minimum spanning tree, distances by the largest task."""
    return float(minimum_spanning_tree(np.max(np.abs(points[:, None] - points[None]), axis=2)).max())


def _words(
    front: list[RunPoint], count: int, unsupported: tuple[str, ...], at_ends: float, hole: float, repeats: int
) -> str:
    said = [f"{len(front)} of {count} settings are not dominated by another one."]
    if unsupported:
        worst = max((point for point in front if point.name in unsupported), key=lambda point: point.pool_gap)
        mixed = " and ".join(f"{share:.0%} {name}" for name, share in worst.mixture)
        said.append(
            f"{len(unsupported)} of these no weights support among these runs; the largest pool gap is "
            f"{worst.pool_gap:.3g} of the ranges, at {worst.name}: {mixed} is better on every task."
        )
    else:
        said.append("Each of these is the best of these runs for some weights.")
    said.append(f"{at_ends:.0%} lie at an end of the front; the largest hole is {hole:.2g} of the ranges.")
    said.append(
        f"Gaps come from means over {repeats} seeds."
        if repeats > 1
        else "No seeds were given: a gap of the size of the noise between seeds means nothing."
    )
    return " ".join(said)
