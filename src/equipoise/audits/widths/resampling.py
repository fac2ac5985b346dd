"""How a verdict varies over resamples of the rows."""

from collections import Counter
from collections.abc import Callable, MutableMapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...core.records.audit import Bootstrap
from ...errors import DataError
from ...linear.problem.linear_problem import LinearProblem
from ...linear.sign_test.condition import condition
from .optima import RESAMPLED, Solutions, in_shares
from .verdict import judge

__all__ = ["resampled"]


def resampled(
    problem: LinearProblem,
    widths: Sequence[int],
    count: int,
    seed: int,
    threshold: float,
    watch: Callable[[str], None],
    done: Callable[[], None],
    full: Solutions,
    parts: MutableMapping[str, Any],
) -> dict[int, Bootstrap]:
    """Range of every width's verdict over resamples of the rows, with replacement.

    The searches of a resample start from the weights that are best for all rows, and are shorter for it
    (`RESAMPLED`). A resample that is no problem any more (a target became constant) counts as ``undetermined`` with
    gap and margin 0.
    """
    generator = np.random.default_rng(seed)
    found: list[list[tuple[str, str, float, float]]] = []
    for number in range(count):
        watch(f"resample {number + 1} of {count}")
        rows = generator.integers(problem.rows, size=problem.rows)
        part = f"resample {number}"
        if part not in parts:
            parts[part] = _resample(problem, rows, widths, threshold, full)
        found.append(parts[part])
        done()
    return {width: _range([one[place] for one in found]) for place, width in enumerate(widths)}


def _range(found: Sequence[Sequence[Any]]) -> Bootstrap:
    statuses, conditions, gaps, margins = zip(*found, strict=True)
    return Bootstrap(
        resamples=len(found),
        statuses=dict(sorted(Counter(statuses).items())),
        conditions=dict(sorted(Counter(conditions).items())),
        balanced_gap=_quantiles(gaps),
        margin=_quantiles(margins),
    )


def _resample(
    problem: LinearProblem, rows: NDArray[np.int64], widths: Sequence[int], threshold: float, full: Solutions
) -> list[tuple[str, str, float, float]]:
    """Verdict, condition, gap and margin of some rows at each width."""
    try:
        again = problem.drawn(rows)
    except DataError:
        return [("undetermined", "undetermined", 0.0, 0.0)] * len(widths)
    solutions = Solutions(in_shares(again), None, RESAMPLED, full)
    found: list[tuple[str, str, float, float]] = []
    for width in widths:
        here = solutions.at(width)
        theorem = condition(solutions.shares.gramian, width, tasks=problem.tasks)
        gap = max(here.excess_best - here.excess_point, 0.0)
        found.append((judge(here, theorem, threshold), theorem.status, gap, float(theorem.margin)))
    return found


def _quantiles(values: Sequence[float]) -> tuple[float, float, float]:
    low, middle, high = np.quantile(values, (0.05, 0.5, 0.95))
    return float(low), float(middle), float(high)
