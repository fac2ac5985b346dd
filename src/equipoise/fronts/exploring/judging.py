"""The points of an exploration judged: what weights select, what is lost without the rest, which point was chosen."""

from collections.abc import Sequence
from dataclasses import dataclass

import moocore
import numpy as np

from ...core.numbers import Array
from ...core.records.explored import ChosenPoint, ExploredPoint, PointRun, Support
from ...core.tasks import Bounds, Preference, Ray, ReferencePoint
from ...linear.pools.measured_runs import RunPoint, RunsAudit, audit_runs
from ...methods import LinearScalarization, Tchebycheff
from ...training.executors.runs import Outcome
from ..decision import choose, knee, nondominated
from ..indicators.dominated_volume import hypervolume
from ..refined_sweep import Sweep
from .running import RUNS, vector

__all__ = ["MATTERS", "Judged", "chosen_points", "judged_points", "point_run", "said"]

MATTERS = 0.01
"""Smallest gap, in ranges of the front, that counts."""
_SURELY = 1e-9
_MOST_MEASURED = 6  # losses up to which hypervolumes are computed
_MARGIN = 0.1  # of the ranges: from the worst point of the front to the reference


@dataclass(frozen=True, eq=False)
class Judged:
    """Points with what was found about them.

    Attributes:
        points: Points in the order of the sweep.
        audit: Which of them weights select.
        losses: (m, k) means of the points.
        reference: (k,) reference of the hypervolumes, or None.
        volumes: Shares of the trained weighted sums and of the points that weights select.
        paired: Whether every point has every seed.
    """

    points: tuple[ExploredPoint, ...]
    audit: RunsAudit
    losses: Array
    reference: Array | None
    volumes: tuple[float, float] | None
    paired: bool

    def volume(self, losses: Array) -> float | None:
        """Hypervolume of some losses as a share of that of all points."""
        if self.reference is None:
            return None
        return hypervolume(losses, self.reference) / hypervolume(self.losses, self.reference)


def judged_points(
    sweep: Sweep, sums: int, outcomes: Sequence[Sequence[Outcome]], seeds: Sequence[int], *, kept: bool
) -> Judged:
    """Judge all points of a sweep, of which the first `sums` are weighted sums.

    Args:
        sweep: Preferences, mean losses and reasons.
        sums: Number of weighted sums.
        outcomes: For each preference one outcome a seed.
        seeds: Seeds of the outcomes.
        kept: Whether the runs have folders.
    """
    names = [f"S{i + 1}" if i < sums else f"T{i - sums + 1}" for i in range(len(sweep.losses))]
    rows = [
        (name, seed, found)
        for name, each in zip(names, outcomes, strict=True)
        for seed, outcome in zip(seeds, each, strict=True)
        if (found := vector(outcome, sweep.tasks)) is not None
    ]
    paired = len(rows) == len(names) * len(seeds)
    audit = audit_runs(
        [found for _, _, found in rows],
        settings=[name for name, _, _ in rows],
        seeds=[seed for _, seed, _ in rows] if len(seeds) > 1 else None,
        tasks=sweep.tasks,
        paired=paired,
    )
    reasons = [
        reason if gap is None else f"between {names[gap[0]]} and {names[gap[1]]}"
        for reason, gap in zip(sweep.reasons, sweep.gaps, strict=True)
    ]
    points = tuple(
        _point(point, preference, reason, each, seeds, sweep.tasks, kept=kept)
        for point, preference, reason, each in zip(audit.points, sweep.preferences, reasons, outcomes, strict=True)
    )
    losses = np.array([point.losses for point in points])
    reference, volumes = None, None
    front = losses[nondominated(losses)]
    ranges = np.ptp(front, axis=0)
    if len(sweep.tasks) <= _MOST_MEASURED and ranges.min() > 0:
        reference = front.max(axis=0) + _MARGIN * ranges
        whole = hypervolume(losses, reference)
        picked = losses[[point.support in ("weights", "close", "unsure") for point in points]]
        volumes = hypervolume(losses[:sums], reference) / whole, hypervolume(picked, reference) / whole
    return Judged(points, audit, losses, reference, volumes, paired)


def _point(
    found: RunPoint,
    preference: Preference,
    reason: str,
    outcomes: Sequence[Outcome],
    seeds: Sequence[int],
    tasks: Sequence[str],
    *,
    kept: bool,
) -> ExploredPoint:
    assert isinstance(preference, LinearScalarization | Tchebycheff)
    weights = np.array([float(w) for w in preference.weights or () if not isinstance(w, tuple)])
    low, high = (None if w is None else tuple(w.tolist()) for w in (found.weights_low, found.weights_high))
    return ExploredPoint(
        name=found.name,
        kind="sum" if isinstance(preference, LinearScalarization) else "tchebycheff",
        preference=repr(preference),
        weights=tuple((weights / weights.sum()).tolist()),
        reason=reason,
        losses=tuple(found.losses.tolist()),
        runs=tuple(point_run(outcome, seed, tasks, kept=kept) for outcome, seed in zip(outcomes, seeds, strict=True)),
        support=_support(found),
        gap=found.pool_gap,
        interval=found.interval,
        low=low,
        high=high,
        mixture=found.mixture,
    )


def _support(point: RunPoint) -> Support:
    if point.dominated_by is not None:
        return "dominated"
    if point.pool_gap <= MATTERS:
        return "weights" if point.pool_gap == 0 else "close"
    return "none" if point.interval is None or point.interval[0] > _SURELY else "unsure"


def point_run(outcome: Outcome, seed: int, tasks: Sequence[str], *, kept: bool) -> PointRun:
    """One training as the record holds it, without what it says about the test part."""
    return PointRun(
        seed=seed,
        status=outcome.status,
        words=outcome.words,
        losses=vector(outcome, tasks),
        metrics=outcome.metrics.get("val", {}),
        folder=f"{RUNS}/{outcome.key}" if kept else "",
        steps=outcome.steps,
        passes=outcome.passes,
        seconds=outcome.seconds,
    )


def chosen_points(
    judged: Judged,
    tasks: tuple[str, ...],
    outcomes: Sequence[Sequence[Outcome]],
    seeds: Sequence[int],
    wish: Preference | None,
) -> tuple[ChosenPoint, ...]:
    """The knee and the point for a wish, and only now their losses on the test part.

    Raises:
        TaskError, PreferenceError: The wish does not fit the tasks.
    """

    def tested(row: int) -> dict[int, tuple[float, ...]]:
        found = {seed: vector(outcome, tasks, "test") for seed, outcome in zip(seeds, outcomes[row], strict=True)}
        return {seed: losses for seed, losses in found.items() if losses is not None}

    place = knee(judged.losses)
    front = judged.losses[moocore.is_nondominated(judged.losses, keep_weakly=True)]
    end = bool((judged.losses[place] <= front.min(axis=0)).any())
    words = "ok" if not end else "no point lies below the line through the best points of each task: this is an end"
    found = [
        ChosenPoint(
            wish="the knee", status=words, point=judged.points[place].name, losses=judged.points[place].losses,
            test=tested(place),
        )
    ]  # fmt: skip
    if wish is not None:
        best = choose(judged.losses, wish, tasks=tasks)
        mixed = best.mixture
        found.append(
            ChosenPoint(
                wish=said(wish, tasks), status=best.status, point=judged.points[best.row].name,
                losses=tuple(best.losses.tolist()), test=tested(best.row),
                members=tuple((judged.points[j].name, float(mixed.probabilities[j])) for j in mixed.members),
                mixture_losses=tuple(mixed.losses.tolist()),
            )
        )  # fmt: skip
    return tuple(found)


def said(wish: Preference, tasks: tuple[str, ...]) -> str:
    """A wish in words."""
    if isinstance(wish, Bounds):
        _, free = wish.split(tasks)
        lowered = [name for name, lower in zip(tasks, free, strict=True) if lower]
        limits = [f"{name} at most {limit:g}" for name, limit in wish.limits]
        return f"the best {' and '.join(lowered)} with {', '.join(limits)}"
    if isinstance(wish, ReferencePoint | Ray):
        numbers = [f"{v[0]} {v[1]:g}" for v in wish.losses if isinstance(v, tuple)]
        numbers = numbers or [f"{n} {v:g}" for n, v in zip(tasks, wish.losses, strict=False)]
        words = "nearest to the reference" if isinstance(wish, ReferencePoint) else "losses in the proportion"
        return f"{words} {', '.join(numbers)}"
    return repr(wish)
