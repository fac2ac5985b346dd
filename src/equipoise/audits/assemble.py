"""The audit of a linear problem, wherever it comes from: a verdict a width, and the record around them.

`audit_record` is the only place that makes an `AuditRecord`: the audits of tables and of networks differ in where the
problem comes from, and in nothing else.
"""

import platform
from collections.abc import Iterable, MutableMapping, Sequence
from importlib.metadata import version
from numbers import Real
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from ..core.numbers import is_whole
from ..core.progress import Progress
from ..core.records.audit import AuditRecord, CompleteRows, DataCard, TaskCard, Verdict
from ..core.records.json_text import model_of
from ..core.records.new_rows import NewRows
from ..errors import SettingError
from ..linear.held_out.row_blocks import RowBlocks
from ..linear.problem.gramian import checked_width
from ..linear.problem.linear_problem import LinearProblem
from .held_out.cross_validation import MOST_TASKS, measure
from .held_out.told import with_new_rows, without_new_rows
from .pictures.catalogue import arranged
from .widths.optima import Solutions, in_shares
from .widths.resampling import resampled
from .widths.verdict import on_complete_rows, verdict_at
from .widths.width_story import width_summary

__all__ = ["audit_problem", "audit_record"]

FEWEST_COMPLETE = 20
"""Rows with every target from which what they give alone is shown, if they are also more than the inputs."""


def audit_record(
    problem: LinearProblem,
    data: DataCard,
    *,
    title: str,
    kinds: Sequence[str],
    units: Sequence[str] | None = None,
    columns: str = "Inputs",
    doubts: Sequence[str] | None = None,
    packages: Sequence[str] = (),
    command: str = "",
    width: int | None = None,
    bootstraps: int = 0,
    seed: int = 0,
    kept: MutableMapping[str, Any] | None = None,
    progress: Progress | None = None,
    new_rows: RowBlocks | str | None = None,
) -> AuditRecord:
    """The record of a problem: verdicts, summary, tasks, pictures and doubts.

    `data` says where the problem comes from; how it was fitted, and what its fit makes a reader doubt (`doubts`,
    default the problem's warnings), is added to it. `columns` is what the columns of X are called at the start of a
    sentence. `packages` are those whose versions are recorded besides equipoise, NumPy and SciPy. Without a `width`
    every width is audited, from 1 to the smallest at which nothing is left to trade. `kept` and `progress` are those of
    `audit_problem`. `new_rows` is the partition of the problem's rows by which remedies are measured on new rows, or a
    sentence that says why they are not, or None.
    """
    parts: MutableMapping[str, Any] = {} if kept is None else kept
    verdicts = audit_problem(
        problem, None if width is None else (width,), bootstraps=bootstraps, seed=seed, kept=parts, progress=progress
    )
    whole = np.asarray(~np.isnan(problem.raw_targets).any(axis=1)) if problem.incomplete else None
    if whole is not None and whole.sum() >= max(FEWEST_COMPLETE, problem.inputs + 2):
        verdicts = _beside_complete_rows(problem.drawn(np.flatnonzero(whole)), verdicts, parts, progress)
    about = NewRows(absent=new_rows) if isinstance(new_rows, str) else None
    if isinstance(new_rows, str):
        verdicts = tuple(without_new_rows(verdict, new_rows) for verdict in verdicts)
    elif new_rows is not None:
        verdicts, about = _on_new_rows(problem, verdicts, new_rows, whole, parts, progress)
    smallest = max(1, problem.rank)
    steps = (
        f"{columns} and targets were centred and divided by their standard deviations, so losses are shares of each "
        "task's variance.",
        f"Least-squares predictions were computed from the {problem.method}, in float64.",
    )
    warnings = (*data.warnings, *map(_sentence, problem.warnings if doubts is None else doubts))
    return AuditRecord(
        title=title,
        command=command,
        data=data.model_copy(update={"steps": (*data.steps, *steps), "warnings": warnings}),
        tasks=_task_cards(problem, units or [""] * len(problem.tasks), kinds),
        verdicts=verdicts,
        smallest_width=smallest,
        summary=width_summary(verdicts, smallest) if width is None else "",
        versions={
            "python": platform.python_version(),
            **{name: version(name) for name in ("equipoise", "numpy", "scipy", *packages)},
        },
        pictures=arranged(in_shares(problem), verdicts),
        new_rows=about,
    )


def _beside_complete_rows(
    complete: LinearProblem,
    verdicts: Sequence[Verdict],
    parts: MutableMapping[str, Any],
    progress: Progress | None,
) -> tuple[Verdict, ...]:
    """The verdicts, each with what complete rows alone give at its width."""
    solutions, found = Solutions(in_shares(complete)), []
    with threadpool_limits(1, user_api="blas"):
        for verdict in verdicts:
            width = verdict.about.width
            if progress:
                progress(0, 1, f"width {width}: complete rows")
            part = f"complete rows, width {width}"
            if part not in parts:
                parts[part] = on_complete_rows(solutions, width, verdict.effect.threshold).model_dump(mode="json")
            beside = model_of(CompleteRows, parts[part])
            found.append(verdict.model_copy(update={"on_complete_rows": beside}))
    return tuple(found)


def _on_new_rows(
    problem: LinearProblem,
    verdicts: Sequence[Verdict],
    blocks: RowBlocks,
    whole: NDArray[np.bool_] | None,
    parts: MutableMapping[str, Any],
    progress: Progress | None,
) -> tuple[tuple[Verdict, ...], NewRows]:
    """The verdicts with their remedies on new rows, and how these were measured.

    `whole` are the rows that are measured: those complete in all targets, or None where all are.
    """
    chosen = slice(None) if whole is None else whole

    def watch(words: str) -> None:
        if progress:
            progress(0, 1, words)

    with threadpool_limits(1, user_api="blas"):
        measured = measure(
            problem.raw_inputs[chosen],
            problem.raw_targets[chosen],
            blocks,
            tasks=problem.tasks,
            widths={rung.width for verdict in verdicts for rung in verdict.ladder if rung.kind != "separate"},
            searched=len(problem.tasks) <= MOST_TASKS,
            watch=watch,
            parts=parts,
        )
    if progress:
        progress(1, 1, "done")
    shares = in_shares(problem)
    return tuple(with_new_rows(verdict, shares, measured) for verdict in verdicts), measured.about


def _sentence(words: str) -> str:
    return f"{words[:1].upper()}{words[1:]}{'' if words.endswith('?') else '.'}"


def _task_cards(problem: LinearProblem, units: Sequence[str], kinds: Sequence[str]) -> tuple[TaskCard, ...]:
    size = np.sqrt(problem.gramian.diagonal())
    # A task of which nothing can be predicted has no direction: its correlations are shown as 0.
    scale = np.where(size > 0, size, np.inf)
    correlations = np.clip(problem.gramian / np.outer(scale, scale), -1.0, 1.0)
    np.fill_diagonal(correlations, 1.0)
    return tuple(
        TaskCard(
            name=name,
            unit=units[index],
            kind=cast("Any", kinds[index]),
            variance=float(problem.variance[index]),
            separate_loss=float(problem.unexplained[index] / problem.total[index]),
            correlations=tuple(map(float, correlations[index])),
        )
        for index, name in enumerate(problem.tasks)
    )


def audit_problem(
    problem: LinearProblem,
    widths: Sequence[int] | None = None,
    *,
    bootstraps: int = 0,
    seed: int = 0,
    threshold: float = 0.01,
    kept: MutableMapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> tuple[Verdict, ...]:
    """Which trade-offs a weighted sum can reach at each width, what it misses, and what to do instead.

    Losses are in shares of each task's variance. The balanced trade-off is the model whose largest excess is least:
    a task's excess is its loss minus the loss of the best linear model of its own. Nothing is left to trade from width
    `problem.rank` on.

    Args:
        problem: The table as a linear problem.
        widths: Which widths; default the problem's own where it has one, otherwise 1 to its rank.
        bootstraps: Resamples of the rows over which the range of each verdict is taken; 0 for none. Each
            repeats the searches of every width.
        seed: Seed of the resamples and of the picture.
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
    parts: MutableMapping[str, Any] = {} if kept is None else kept
    # thousands of k x k problems: BLAS threads only wait for each other (5 times the CPU time on two cores)
    with threadpool_limits(1, user_api="blas"):
        return _verdicts(problem, chosen, bootstraps, seed, float(threshold), parts, progress)


def _verdicts(
    problem: LinearProblem,
    chosen: Sequence[int],
    bootstraps: int,
    seed: int,
    threshold: float,
    parts: MutableMapping[str, Any],
    progress: Progress | None,
) -> tuple[Verdict, ...]:
    steps = [2 * sum(_part(width) in parts for width in chosen), 2 * len(chosen) + bootstraps]

    def watch(words: str) -> None:
        if progress:
            progress(min(steps[0], steps[1]), steps[1], words)

    def done() -> None:
        steps[0] += 1

    solutions = Solutions(in_shares(problem), watch)
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
        verdicts.append(model_of(Verdict, parts[_part(width)]))
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
