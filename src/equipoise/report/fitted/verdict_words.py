"""Is one model for all targets better than separate ones here? The first sentence of a fit's report, and the next."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from ...comparison.contrast import (
    Contrast,
    TaskContrast,
    contrast,
    losses_of,
    overlap_of,
    selected_losses,
    single_model,
)
from ...comparison.paired import Paired, detectable, seeds_needed
from ...core.records.fitted import Entrant, FitRecord, Role
from ...core.text import clean, joined, plural, shorten
from .changes import amount, change, size

__all__ = ["Answer", "answer", "certainty", "entrant_of"]

_MOST_NAMED = 3
Status = Literal["one model", "separate", "both", "open", "undecided"]


@dataclass(frozen=True)
class Answer:
    """What the page says first.

    Attributes:
        status: Which is better; ``both`` where it depends on the target, ``open`` where no difference is detectable,
            ``undecided`` where nothing could be tested.
        headline: The first sentence.
        sentences: What follows it.
        single: The entrant that stands for one model for all targets, or None.
        separate: The entrant of separate models, or None.
        contrast: The first against the second, or None where one of them is missing.
    """

    status: Status
    headline: str
    sentences: tuple[str, ...]
    single: Entrant | None
    separate: Entrant | None
    contrast: Contrast | None


def entrant_of(record: FitRecord, role: Role) -> Entrant | None:
    """The first entrant with a role."""
    return next((entrant for entrant in record.entrants if entrant.role == role), None)


def answer(record: FitRecord) -> Answer:
    """The first sentence and those that follow, from the record alone."""
    single, separate = single_model(record), entrant_of(record, "separate")
    tasks = [task.name for task in record.tasks]
    found: Contrast | None = None
    status: Status = "undecided"
    headline, measured = _nothing_to_compare(record, single), list[str]()
    if single is not None and separate is not None and len(tasks) > 1:
        found = contrast(tasks, losses_of(single), losses_of(separate), overlap_of(record))
        status, headline, measured = _compared(found, len(record.seeds))
    sentences = [
        *measured,
        *([] if found is None else [_absent(task) for task in found.tasks if task.absent]),
        *_which(record, single if found is not None else None),
        *_against_boosting(record),
        *_unfinished(record),
    ]
    return Answer(status, headline, tuple(sentences), single, separate, found)


def _nothing_to_compare(record: FitRecord, single: Entrant | None) -> str:
    if len(record.tasks) == 1:
        return "There is one target, so one model for all targets and separate ones are the same thing."
    missing = "no model for all targets was" if single is None else "no separate models were"
    return f"Whether one model for all targets is better than separate ones cannot be said: {missing} trained."


def _compared(found: Contrast, seeds: int) -> tuple[Status, str, list[str]]:
    """Status, first sentence, and what was measured where the first sentence does not say it."""
    average, k = found.average, len(found.tasks)
    one = f"one model for all {k} targets"
    if average is None:
        return (
            "undecided",
            f"Whether {one} is better than separate ones cannot be said: no seed has held-out losses of both that can "
            "be compared.",
            [],
        )
    loss = f"its held-out loss is {amount(average)} on average over the targets"
    measured = f"Measured with {plural(average.n, 'seed')}: the one model's {loss.removeprefix('its ')}."
    if average.error is None:
        return "undecided", _without_interval(average, one, seeds), [_range(found)]
    better, worse = found.found("better"), found.found("worse")
    if found.finding == "open" and not better and not worse:
        return "open", _open(average, one), [measured]
    if found.finding == "better" and not worse:
        return "one model", f"{_capital(one)} is better than separate ones here: {loss}{_also(better)}.", []
    if found.finding == "worse" and not better:
        loss = loss.replace("its", "the one model's", 1)
        return "separate", f"Separate models are better here than {one}: {loss}{_also(worse)}.", []
    where = [f"better than separate ones for {_names(better)}"] if better else []
    where += [f"worse {'' if better else 'than separate ones '}for {_names(worse)}"] if worse else []
    amounts = f"its held-out loss is {' and '.join(_amounts(tasks) for tasks in (better, worse) if tasks)}"
    if len(better) + len(worse) == 1:  # named already
        amounts = amounts.removesuffix(f" for {_names([*better, *worse])}")
    on_average = f"on average over the targets {loss.removesuffix(' on average over the targets')}"
    if found.finding == "open":
        on_average = "on average over the targets no difference is detectable"
    status: Status = (
        "both" if (better and worse) or found.finding != "open" else ("one model" if better else "separate")
    )
    rest = [] if found.finding != "open" else [measured]
    return status, f"Here {one} is {' and '.join(where)}: {amounts}; {on_average}.", rest


def _without_interval(average: Paired, one: str, seeds: int) -> str:
    if average.n == 1:
        only = "One seed" if seeds == 1 else f"The one seed of {seeds} that both finished"
        return (
            f"{only} cannot say whether {one} is better than separate ones: its held-out loss is "
            f"{change(average.mean)} on average over the targets, and no interval can be given; --seeds 3 or more "
            "gives one."
        )
    if abs(average.mean) < 1e-9:
        return f"{_capital(one)} and separate ones have the same held-out loss on average in all {average.n} seeds."
    return (
        f"Whether {one} is better than separate ones cannot be said: the difference (its loss is "
        f"{change(average.mean)} on average) is the same in all {average.n} seeds up to rounding, so they tell nothing "
        "about its spread."
    )


def _open(average: Paired, one: str) -> str:
    assert average.spread
    least = detectable(average.n, average.spread, average.overlap)
    finer = least / 2
    seeds = seeds_needed(finer, average.spread, average.overlap)
    if seeds is None:  # more seeds split the same rows again, which has its limit
        seeds = 2 * average.n
        finer = detectable(seeds, average.spread, average.overlap)
    return (
        f"No difference is detectable here between {one} and separate ones: {plural(average.n, 'seed')} would show one "
        f"of {size(least)} of the loss, {seeds} seeds one of {size(finer)}."
    )


def _also(tasks: Sequence[TaskContrast]) -> str:
    """Which single targets bear the verdict out."""
    return f"; {_amounts(tasks)}" if tasks else "; no single target is certain by itself"


def _names(tasks: Sequence[TaskContrast]) -> str:
    return joined([_name(task) for task in tasks]) if len(tasks) <= _MOST_NAMED else f"{len(tasks)} targets"


def _amounts(tasks: Sequence[TaskContrast]) -> str:
    """Targets with their amounts, the largest difference first."""
    ordered = sorted((task for task in tasks if task.logs), key=lambda task: -abs(task.logs.mean if task.logs else 0.0))
    shown = [f"{amount(task.logs)} for {_name(task)}" for task in ordered[:_MOST_NAMED] if task.logs]
    more = len(ordered) - len(shown)
    way = "lower" if tasks[0].finding == "better" else "higher"
    return joined([*shown, f"{way} for {plural(more, 'other')}"] if more else shown)


def _name(task: TaskContrast) -> str:
    return f"“{shorten(clean(task.task), 40)}”"


def _range(found: Contrast) -> str:
    means = [task.logs.mean for task in found.tasks if task.logs]
    return f"Over the targets the measured differences go from {change(min(means))} to {change(max(means))}."


def _absent(task: TaskContrast) -> str:
    return f"{_name(task)} takes no part in the comparison: {task.absent}."


def _which(record: FitRecord, single: Entrant | None) -> list[str]:
    rivals = [entrant for entrant in record.entrants if entrant.role in ("joint", "weights", "linear")]
    if single is None or len(rivals) < 2:
        return []
    prefers = f"the validation part prefers it among the {len(rivals)} single models"
    return [f"The one model is “{clean(single.words)}”: {prefers}."]


def _against_boosting(record: FitRecord) -> list[str]:
    boosting = entrant_of(record, "boosting")
    if boosting is None:
        return []
    tasks = [task.name for task in record.tasks]
    found = contrast(tasks, selected_losses(record), losses_of(boosting), overlap_of(record))
    if found.average is None:
        return ["No seed has losses of both what was selected and gradient boosting."]
    known = found.average.error is not None and found.finding == "open"
    doubt = ", so no difference is detectable" if known else ""
    return [
        "Against gradient boosting with a model for each target, the held-out loss of what was selected is "
        f"{amount(found.average)} on average{doubt}."
    ]


def _unfinished(record: FitRecord) -> list[str]:
    runs = sum(len(entrant.runs) for entrant in record.entrants)
    counts = [f"{record.failed} failed"] if record.failed else []
    counts += [f"{record.skipped} were skipped" if record.skipped > 1 else "1 was skipped"] if record.skipped else []
    if not counts:
        return []
    return [
        f"Of {plural(runs, 'run')} {joined(counts)}; a comparison uses the seeds that both sides finished, which is "
        "kind to the side that failed."
    ]


def certainty(record: FitRecord) -> list[str]:
    """What the intervals cover and how often such a verdict errs."""
    k = len(record.tasks)
    split = (
        "Each seed splits the same rows anew; the intervals are corrected for that overlap (Nadeau and Bengio 2003)."
        if record.split.redrawn
        else "All seeds share one split. The intervals say how much initial values and the order of the batches "
        "matter, not what other rows would give."
    )
    holm = f", corrected for {k} targets (Holm 1979)" if k > 1 else ""
    return [
        "Ratios are of held-out losses, paired over seeds; averages are geometric means; intervals cover 95 %. "
        + split,
        f"The tests are two-sided at 5 %, one for the average and one for each target{holm}. If there were no "
        "difference, one model would be called better on average with a chance of 2.5 %, and for any target with one "
        "of 2.5 %. "
        "“Detectable” means: found in 80 of 100 such trials.",
    ]


def _capital(words: str) -> str:
    return words[:1].upper() + words[1:]
