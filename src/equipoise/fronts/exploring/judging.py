"""The points of an exploration judged: what weights select, what is lost without the rest, which point was chosen."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...core.numbers import Array
from ...core.records.explored import ChosenPoint, ExploredPoint, PointRun, Support
from ...core.tasks import Bounds, Preference, Ray, ReferencePoint
from ...linear.pools.measured_runs import RunPoint, RunsAudit, audit_runs
from ...methods import LinearScalarization, Tchebycheff
from ...training.executors.runs import Outcome
from ..decision import choose, knee, nondominated
from ..indicators.dominated_volume import hypervolume
from ..refined_sweep import Sweep
from .running import RUNS, ending, vector

__all__ = ["MATTERS", "Judged", "chosen_points", "judged_points", "point_run", "reference_of", "said"]

MATTERS = 0.01
"""Smallest gap, in ranges of the front, that counts."""
_SURELY = 1e-9
_SCATTERED = 1 / 3  # of the ranges: traded between two seeds of a point
_MOST_MEASURED = 6  # losses up to which hypervolumes are computed
_MARGIN = 0.1  # of the ranges: from the worst point of the front to the reference


@dataclass(frozen=True, eq=False)
class Judged:
    """Points with what was found about them.

    Attributes:
        points: Points in the order of the sweep.
        audit: Which of them weights select.
        held: Rows of the points that count: all but scattered ones, or all where fewer than two would remain.
        losses: (h, k) means of the points that count.
        reference: (k,) reference of the hypervolumes, or None.
        volumes: Shares of the trained weighted sums and of the points that weights select.
        paired: Whether every point has every seed.
    """

    points: tuple[ExploredPoint, ...]
    audit: RunsAudit
    held: tuple[int, ...]
    losses: Array
    reference: Array | None
    volumes: tuple[float, float] | None
    paired: bool


def judged_points(
    sweep: Sweep, sums: int, outcomes: Sequence[Sequence[Outcome]], seeds: Sequence[int], *, kept: bool
) -> Judged:
    """Judge all points of a sweep, of which the first `sums` are weighted sums.

    Args:
        sweep: Preferences, mean losses and reasons.
        sums: Number of weighted sums.
        outcomes: One outcome a seed for each preference.
        seeds: Seeds of the outcomes.
        kept: Whether the runs have folders.
    """
    names = [f"S{i + 1}" if i < sums else f"T{i - sums + 1}" for i in range(len(sweep.losses))]
    rows = [
        (place, seed, found)
        for place, each in enumerate(outcomes)
        for seed, outcome in zip(seeds, each, strict=True)
        if (found := vector(outcome, sweep.tasks)) is not None
    ]
    paired = len(rows) == len(names) * len(seeds)
    apart = _scattered(
        np.array([place for place, _, _ in rows]), np.array([s for _, s, _ in rows]), np.array([r for _, _, r in rows]),
        paired=paired,
    )  # fmt: skip
    together = [place for place in range(len(names)) if place not in apart]
    held = together if len(together) > 1 else list(range(len(names)))
    pool = [row for row in rows if row[0] in held]
    audit = audit_runs(
        [found for _, _, found in pool],
        settings=[names[place] for place, _, _ in pool],
        seeds=[seed for _, seed, _ in pool] if len(seeds) > 1 else None,
        tasks=sweep.tasks,
        paired=paired,
    )
    found_of = {} if len(together) < 2 else {point.name: point for point in audit.points}
    reasons = [
        reason if gap is None else f"between {names[gap[0]]} and {names[gap[1]]}"
        for reason, gap in zip(sweep.reasons, sweep.gaps, strict=True)
    ]
    points = tuple(
        _point(names[place], sweep.losses[place], found_of.get(names[place]), sweep.preferences[place], reasons[place],
               [point_run(outcome, seed, sweep.tasks, kept=kept) for outcome, seed in zip(each, seeds, strict=True)])
        for place, each in enumerate(outcomes)
    )  # fmt: skip
    losses = np.asarray(sweep.losses[held])
    reference, volumes = _volumes(losses, [points[place] for place in held])
    return Judged(points, audit, tuple(held), losses, reference, volumes, paired)


def reference_of(losses: Array) -> Array | None:
    """A tenth of the front's ranges above its highest losses; None where a range is 0 or there are too many losses."""
    front = losses[nondominated(losses)]
    ranges = np.ptp(front, axis=0)
    if losses.shape[1] > _MOST_MEASURED or not ranges.min() > 0:
        return None
    return np.asarray(front.max(axis=0) + _MARGIN * ranges)


def _volumes(losses: Array, points: Sequence[ExploredPoint]) -> tuple[Array | None, tuple[float, float] | None]:
    """A reference, and the shares that trained weighted sums and what weights select have of the hypervolume."""
    reference = reference_of(losses)
    if reference is None:
        return None, None
    whole = hypervolume(losses, reference)
    trained = losses[[point.kind == "sum" for point in points]]
    picked = losses[[point.support in ("weights", "close", "unsure") for point in points]]
    shares = [hypervolume(part, reference) / whole if len(part) else 0.0 for part in (trained, picked)]
    return reference, (shares[0], shares[1])


def _scattered(owners: NDArray[np.intp], seeds: NDArray[np.int64], runs: Array, *, paired: bool) -> set[int]:
    """Points whose seeds ended at different places of the front, so that their mean is no point.

    Two seeds did where one is lower in a loss and the other lower in another loss, both by a good part of the ranges: a
    seed that is worse in everything, or in one loss alone, is noise, of which means and intervals tell. Ranges are
    those of a seed's own front, for means of such points lie close together. Where all points have the same seeds, it
    must be so as well without what a seed does to all points alike.
    """
    ranges = [np.ptp(own[nondominated(own)], axis=0) for seed in np.unique(seeds) if len(own := runs[seeds == seed])]
    unit = np.mean(ranges, axis=0)
    unit = np.where(unit > 0, unit, np.inf)
    own_alone = runs - np.array([runs[seeds == seed].mean(axis=0) for seed in seeds]) if paired else runs
    return {
        place
        for place in np.unique(owners).tolist()
        if min(_traded(values[owners == place] / unit) for values in (runs, own_alone)) > _SCATTERED
    }


def _traded(runs: Array) -> float:
    """Most that one of some runs is lower than another in a loss and higher in another loss, the lesser of the two."""
    apart = runs[:, None] - runs[None]
    return float(np.minimum(apart.max(axis=2), -apart.min(axis=2)).max())


def _point(
    name: str, losses: Array, found: RunPoint | None, preference: Preference, reason: str, runs: Sequence[PointRun]
) -> ExploredPoint:
    """One point; `found` is None for a scattered one, of which nothing more is said."""
    assert isinstance(preference, LinearScalarization | Tchebycheff)
    weights = np.array([float(w) for w in preference.weights or () if not isinstance(w, tuple)])
    judged: dict[str, Any] = {
        "support": "scattered",
        "gap": 0.0,
        "interval": None,
        "low": None,
        "high": None,
        "mixture": (),
    }
    if found is not None:
        low, high = (None if w is None else tuple(w.tolist()) for w in (found.weights_low, found.weights_high))
        judged = {
            "support": _support(found),
            "gap": found.pool_gap,
            "interval": found.interval,
            "mixture": found.mixture,
        }
        judged |= {"low": low, "high": high}
    return ExploredPoint(
        name=name,
        kind="sum" if isinstance(preference, LinearScalarization) else "tchebycheff",
        preference=repr(preference),
        weights=tuple((weights / weights.sum()).tolist()),
        reason=reason,
        losses=tuple(losses.tolist()),
        runs=tuple(runs),
        **judged,
    )


def _support(point: RunPoint) -> Support:
    if point.dominated_by is not None:
        return "dominated"
    if point.pool_gap <= MATTERS:
        return "weights" if point.pool_gap == 0 else "close"
    return "none" if point.interval is None or point.interval[0] > _SURELY else "unsure"


def point_run(outcome: Outcome, seed: int, tasks: Sequence[str], *, kept: bool) -> PointRun:
    """One training as the record holds it, without what it says about the test part."""
    losses = vector(outcome, tasks)
    return PointRun(
        seed=seed,
        status="failed" if losses is None and outcome.status == "done" else outcome.status,
        words=ending(outcome, tasks),
        losses=losses,
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

    points = [judged.points[place] for place in judged.held]
    row = knee(judged.losses)
    end = judged.audit.points[row].end
    words = "ok" if end is None else f"no point lies clearly below the line through the ends: this is the end of {end}"
    if len(np.unique(judged.losses[nondominated(judged.losses)], axis=0)) == 1:
        words = "it is the only non-dominated point"
    place = judged.held[row]
    found = [
        ChosenPoint(
            wish="the knee", status=words, point=points[row].name, losses=points[row].losses, test=tested(place)
        )
    ]
    if wish is not None:
        best = choose(judged.losses, wish, tasks=tasks)
        mixed = best.mixture
        found.append(
            ChosenPoint(
                wish=said(wish, tasks), status=best.status, point=points[best.row].name,
                losses=tuple(best.losses.tolist()), test=tested(judged.held[best.row]),
                members=tuple((points[j].name, float(mixed.probabilities[j])) for j in mixed.members),
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
