"""The audit of a linear problem: one verdict a width, with its range over resamples of the rows where asked."""

import json
from collections import Counter
from collections.abc import Callable, Iterable, MutableMapping, Sequence
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core.numbers import is_whole
from ..core.progress import Progress
from ..core.records.audit import Bootstrap, Verdict
from ..errors import DataError, SettingError
from ..linear.problem.gramian import checked_width
from ..linear.problem.linear_problem import LinearProblem
from ..linear.sign_test.condition import condition
from .widths.optima import RESAMPLED, Solutions, in_shares
from .widths.verdict import judge, verdict_at

__all__ = ["audit_problem", "resampled"]

Kept = MutableMapping[str, Any]


def audit_problem(
    problem: LinearProblem,
    widths: Sequence[int] | None = None,
    *,
    bootstraps: int = 0,
    seed: int = 0,
    threshold: float = 0.01,
    kept: Kept | None = None,
    progress: Progress | None = None,
) -> tuple[Verdict, ...]:
    """Which trade-offs a weighted sum can reach at each width, what it misses, and what to do instead.

    Losses are in shares of each task's variance. The balanced trade-off is the model whose largest excess is least:
    a task's excess is its loss minus the loss of the best linear model of its own. Nothing is left to trade from width
    `problem.rank` on.

    Args:
        problem: The table.
        widths: Which widths; default the problem's own where it has one, otherwise 1 to its rank.
        bootstraps: Resamples of the rows over which the range of each verdict is taken; 0 for none. Each
            repeats the searches of every width.
        seed: Of the resamples and of the picture.
        threshold: Differences below this share of variance are called too small to matter.
        kept: Finished parts of the same audit: what is in it is not computed again, what is computed is put in. One
            entry a width, one a resample.
        progress: Called with (steps done, steps in all, what comes next).

    Returns:
        Verdicts in rising width.

    Raises:
        SettingError: Widths that are no whole numbers above 0, or none at all, bootstraps or a seed below 0, a
            threshold outside (0, 1).

    Example:
        >>> X = np.random.default_rng(0).normal(size=(50, 3))
        >>> (verdict,) = audit_problem(LinearProblem(X, X[:, :2], tasks=("a", "b")), [2])
        >>> verdict.words
        'The two predictable parts span 2 dimensions and the shared layer has 2, so one model is best at
        every task at once.'
    """
    if isinstance(threshold, bool) or not isinstance(threshold, Real) or not 0 < threshold < 1:
        raise SettingError(
            f"threshold is a share of variance, above 0 and below 1; found {threshold!r}. Pass for example 0.01"
        )
    for name, count in (("bootstraps", bootstraps), ("seed", seed)):
        if not is_whole(count):
            raise SettingError(f"{name} must be a whole number of at least 0; found {count!r}. Pass {name}=0")
    chosen = _widths(problem, widths)
    steps = [0, 2 * len(chosen) + bootstraps]

    def watch(words: str) -> None:
        if progress:
            progress(min(steps[0], steps[1]), steps[1], words)

    def done() -> None:
        steps[0] += 1

    solutions = Solutions(in_shares(problem), watch)
    parts: Kept = {} if kept is None else kept
    steps[0] = 2 * sum(_part(width) in parts for width in chosen)
    ranges = (
        resampled(problem, chosen, bootstraps, seed, threshold, watch, done, solutions, parts) if bootstraps else {}
    )
    verdicts: list[Verdict] = []
    for width in chosen:
        if _part(width) not in parts:
            solutions.at(width)
            done()
            found = verdict_at(solutions, width, threshold=threshold, seed=seed, bootstrap=ranges.get(width))
            parts[_part(width)] = found.model_dump(mode="json")
            done()
        verdicts.append(Verdict.model_validate_json(json.dumps(parts[_part(width)])))
    watch("done")
    return tuple(verdicts)


def _part(width: int) -> str:
    return f"width {width}"


def _widths(problem: LinearProblem, widths: Sequence[int] | None) -> list[int]:
    if widths is None:
        widths = [problem.width] if problem.width is not None else range(1, max(problem.rank, 1) + 1)
    if isinstance(widths, str) or not isinstance(widths, Iterable):
        raise SettingError(f"widths must be a sequence of whole numbers; found {widths!r}. Pass for example [1, 2]")
    chosen = sorted({checked_width(width) for width in widths})
    if not chosen:
        raise SettingError("an audit needs at least one width; found none. Leave widths out for all of them")
    return chosen


def resampled(
    problem: LinearProblem,
    widths: Sequence[int],
    count: int,
    seed: int,
    threshold: float,
    watch: Callable[[str], None],
    done: Callable[[], None],
    full: Solutions | None = None,
    kept: Kept | None = None,
) -> dict[int, Bootstrap]:
    """Range of every width's verdict over resamples of the rows, with replacement.

    The searches of a resample start from the weights that are best for all rows, and are shorter for it
    (`RESAMPLED`). A resample that is no problem any more (a target became constant) counts as ``undetermined`` with
    gap and margin 0.
    """
    statuses: dict[int, Counter[str]] = {width: Counter() for width in widths}
    conditions: dict[int, Counter[str]] = {width: Counter() for width in widths}
    gaps: dict[int, list[float]] = {width: [] for width in widths}
    margins: dict[int, list[float]] = {width: [] for width in widths}
    parts: Kept = {} if kept is None else kept
    generator = np.random.default_rng(seed)
    for number in range(count):
        watch(f"resample {number + 1} of {count}")
        rows = generator.integers(problem.rows, size=problem.rows)
        part = f"resample {number}"
        if part not in parts:
            parts[part] = _resample(problem, rows, widths, threshold, full)
        for width, (status, theorem, gap, margin) in zip(widths, parts[part], strict=True):
            statuses[width][status] += 1
            conditions[width][theorem] += 1
            gaps[width].append(gap)
            margins[width].append(margin)
        done()
    return {
        width: Bootstrap(
            resamples=count,
            statuses=dict(sorted(statuses[width].items())),
            conditions=dict(sorted(conditions[width].items())),
            balanced_gap=_quantiles(gaps[width]),
            margin=_quantiles(margins[width]),
        )
        for width in widths
    }


def _resample(
    problem: LinearProblem, rows: NDArray[np.int64], widths: Sequence[int], threshold: float, full: Solutions | None
) -> list[tuple[str, str, float, float]]:
    """Verdict, condition, gap and margin of some rows at each width."""
    try:
        again = LinearProblem(
            problem.raw_inputs[rows],
            problem.raw_targets[rows],
            tasks=problem.tasks,
            center=problem.center,
            scale=problem.scale,
        )
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


def _quantiles(values: list[float]) -> tuple[float, float, float]:
    low, middle, high = np.quantile(values, (0.05, 0.5, 0.95))
    return float(low), float(middle), float(high)
