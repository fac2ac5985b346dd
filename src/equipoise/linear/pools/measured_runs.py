"""Audit of measured runs: which trained models no weights support among these runs, and what beats them."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...core.numbers import Array, is_whole
from ...errors import SettingError
from ..minmax.mixture_lp import Program
from .judging import BELOW, judge, pool_gaps
from .preference_lp import spread
from .repeats import Repeats
from .weight_cells import non_dominated

__all__ = ["RunPoint", "RunsAudit", "audit_runs"]


MOST_SPANNED = 20_000
"""Most non-dominated settings between which holes are measured: the cost is quadratic."""

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
        weights_low, weights_high: (k,) smallest and largest weight of each loss (they sum to 1) over the weighted sums
            for which the setting is the best of these runs; None where there are none.
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
    weights_low: Array | None
    weights_high: Array | None
    next_weights: Array
    end: str | None
    _beat: Callable[[], tuple[tuple[tuple[str, float], ...], Array]] = field(repr=False)

    @property
    def mixture(self) -> tuple[tuple[str, float], ...]:
        """Names and probabilities of the mixture that attains the gap; empty where the gap is 0.

        It is computed when first asked for: a linear program of 1 ms.
        """
        return self._mixed[0] if self.pool_gap > 0 else ()

    @property
    def mixture_losses(self) -> Array:
        """(k,) the expected losses of `mixture`."""
        return self._mixed[1]

    @cached_property
    def _mixed(self) -> tuple[tuple[tuple[str, float], ...], Array]:
        return self._beat()


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
            the longest edge of the minimum spanning tree, in ranges (largest task). None above `MOST_SPANNED` of them.
        resamples: Number of resamples of the seeds.
        words: Findings, in sentences.
        to_try: Weights (k,), sum 1, of up to three weighted sums to train next, and positions of the settings that tie
            there: the emptiest flat pieces of the hull first. Up to four tasks; empty with more.
    """

    points: tuple[RunPoint, ...]
    tasks: tuple[str, ...]
    scale: Array
    front: tuple[str, ...]
    unsupported: tuple[str, ...]
    at_ends: float
    crowded: bool
    largest_hole: float | None
    resamples: int
    words: str
    to_try: tuple[tuple[Array, tuple[int, ...]], ...] = ()


def audit_runs(
    losses: ArrayLike,
    *,
    settings: Sequence[Hashable] | None = None,
    seeds: Sequence[Hashable] | None = None,
    tasks: Sequence[str] | None = None,
    resamples: int = 200,
    seed: int = 0,
    paired: bool = True,
) -> RunsAudit:
    """Which of these trained models no weighted sum would choose among them, and which mixture beats them.

    For each setting the pool gap is max { t : some mixture of the pool has losses <= L - t s }, s the ranges of the
    non-dominated settings: the empirical counterpart of delta in `reach`, over the convex hull of measured points
    instead of all models. It speaks of these runs only.

    Seeds: rows of the same setting are averaged. The interval comes from resampling the seeds with replacement, the
    same seeds in every setting (runs that share a seed share data order and start, so they are paired), or each setting
    for itself. With one to four seeds the interval is rough.

    Args:
        losses: (m, k), one row a run; or (settings, seeds, k).
        settings: m labels: runs with the same label differ by seed only. Default: every row is a setting.
        seeds: m labels of the seeds; without them no intervals.
        tasks: Names of the k tasks.
        resamples: Number of resamples of the seeds.
        seed: Seed of the resamples.
        paired: Whether runs with the same seed belong together. Every setting then needs the same seeds; otherwise
            settings may have any number of runs, and one with a single run counts as known exactly.

    Returns:
        The audit of the runs.

    Raises:
        DataError: Losses not finite or of another shape; settings with different seeds.
        TaskError: Names that do not fit.
        SettingError: Labels of another number; resamples < 1.

    Cost: Up to four tasks 1 s for 10,000 settings, and for a resample what sorting out the non-dominated ones costs.
    With more tasks one linear program (2 ms) a setting and resample.

    Example:
        >>> found = audit_runs([[0.0, 1.0], [0.6, 0.6], [1.0, 0.0], [1.0, 1.0]], settings="abcd")
        >>> found.front, found.unsupported, round(found.points[1].pool_gap, 6), found.points[1].mixture
        (('a', 'b', 'c'), ('b',), 0.1, (('a', 0.5), ('c', 0.5)))
        >>> found.points[0].weights_low.round(3).tolist(), found.points[0].weights_high.round(3).tolist()
        ([0.5, 0.0], [1.0, 0.5])
    """
    if not is_whole(resamples, least=1):
        raise SettingError(f"resamples must be at least 1; found {resamples!r}")
    runs = Repeats.of(losses, settings, seeds, tasks, paired=paired)
    means, names, named = runs.means, runs.names, runs.tasks
    best_of_all = non_dominated(means)
    front = np.flatnonzero(best_of_all).tolist()
    dominated = _dominators(means, front)
    scale = spread(means[front]) if len(front) > 1 else spread(means)
    judged = judge(means / scale, scale)
    resampled = runs.seeded and runs.sizes.max() > 1
    intervals = _intervals(runs, scale, resamples, seed) if resampled else None
    low = means[front].min(axis=0)
    best = [front[int(np.argmin(means[front, i]))] for i in range(len(named))]
    away = np.column_stack([np.max(np.abs(means - means[i]) / scale, axis=1) for i in best])
    points = tuple(
        RunPoint(
            name=names[j],
            losses=means[j],
            seeds=int(runs.sizes[j]),
            dominated_by=None if (other := dominated[j]) is None else names[other],
            pool_gap=gap if (gap := float(judged.gaps[j])) > BELOW else 0.0,
            interval=None if intervals is None else (float(intervals[0][j]), float(intervals[1][j])),
            weights_low=judged.low[j] if np.isfinite(judged.low[j]).all() else None,
            weights_high=judged.high[j] if np.isfinite(judged.low[j]).all() else None,
            next_weights=judged.weights[j],
            end=named[int(np.argmin(away[j]))] if away[j].min() <= NEAR else None,
            _beat=partial(_mixed, means, scale, names, judged.candidates, j),
        )
        for j in range(len(means))
    )
    unsupported = tuple(
        points[j].name for j in front if (points[j].interval or (points[j].pool_gap,))[0] > BELOW
    )  # fmt: skip
    hole = _largest_hole((means[front] - low) / scale) if len(front) <= MOST_SPANNED else None
    at_ends = float(np.mean([points[j].end is not None for j in front]))
    crowded = len(front) >= 4 and (at_ends > 0.5 or (hole or 0.0) > 0.5)
    return RunsAudit(
        points=points,
        tasks=named,
        scale=scale,
        front=tuple(names[j] for j in front),
        unsupported=unsupported,
        at_ends=at_ends,
        crowded=crowded,
        largest_hole=hole,
        resamples=resamples if intervals is not None else 0,
        words=_words([points[j] for j in front], len(points), unsupported, at_ends, hole, runs),
        to_try=judged.to_try,
    )


def _dominators(means: Array, front: list[int]) -> list[int | None]:
    """For each setting one that is nowhere worse and somewhere better (of equal ones none), or None.

    The dominator that is furthest ahead in sum is itself non-dominated, so only the front is looked through.
    """
    found: list[int | None] = [None] * len(means)
    best, ahead = means[front], means[front].sum(axis=1)
    for j in sorted(set(range(len(means))) - set(front)):
        better = (best <= means[j]).all(axis=1)
        found[j] = front[int(np.argmin(np.where(better, ahead, np.inf)))]
    return found


def _mixed(
    means: Array, scale: Array, names: tuple[str, ...], candidates: NDArray[np.intp], place: int
) -> tuple[tuple[tuple[str, float], ...], Array]:
    """The mixture of supported settings that is furthest below one setting, and its losses."""
    found = Program.least_level((means[candidates] - means[place]) / scale).solve()
    assert found is not None
    order = np.argsort(-found.shares, kind="stable")
    members = tuple((names[candidates[i]], float(found.shares[i])) for i in order if found.shares[i] > 0)
    return (members if -found.level > BELOW else ()), found.shares @ means[candidates]


def _intervals(runs: Repeats, scale: Array, resamples: int, seed: int) -> tuple[Array, Array]:
    """5 % and 95 % quantiles of the gaps over resampled seeds, the unit of the gaps held."""
    drawn = [pool_gaps(means / scale) for means in runs.resampled(resamples, seed)]
    low, high = np.quantile(np.array(drawn), (0.05, 0.95), axis=0)
    return low, high


def _largest_hole(points: Array) -> float:
    """Longest edge of the minimum spanning tree (Prim), distances by the largest task."""
    nearest, longest = np.full(len(points), np.inf), 0.0
    waiting = np.ones(len(points), dtype=bool)
    node, columns = 0, np.ascontiguousarray(points.T)  # the largest over a short last axis is slow
    for _ in range(len(points) - 1):
        waiting[node] = False
        nearest = np.minimum(nearest, np.abs(columns - columns[:, node, None]).max(axis=0))
        node = int(np.argmin(np.where(waiting, nearest, np.inf)))
        longest = max(longest, float(nearest[node]))
    return longest


def _words(
    front: list[RunPoint],
    count: int,
    unsupported: tuple[str, ...],
    at_ends: float,
    hole: float | None,
    runs: Repeats,
) -> str:
    said = [f"{len(front)} of {count} settings are not dominated by another one."]
    if unsupported:
        named = set(unsupported)
        worst = max((point for point in front if point.name in named), key=lambda point: point.pool_gap)
        mixed = " and ".join(f"{share:.0%} {name}" for name, share in worst.mixture)
        said.append(
            f"{len(unsupported)} of these no weights support among these runs; the largest pool gap is "
            f"{worst.pool_gap:.3g} of the ranges, at {worst.name}: {mixed} is better on every task."
        )
    else:
        said.append("Each of these is the best of these runs for some weights.")
    width = "was not measured" if hole is None else f"is {hole:.2g} of the ranges"
    said.append(f"{at_ends:.0%} lie at an end of the front; the largest hole {width}.")
    least, most = int(runs.sizes.min()), int(runs.sizes.max())
    said.append(
        f"Gaps come from means over {least if least == most else f'{least} to {most}'} seeds."
        if most > 1
        else "No seeds were given: a gap of the size of the noise between seeds means nothing."
    )
    return " ".join(said)
