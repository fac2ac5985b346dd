"""A recorded training as a plain dict: everything that its page, its Markdown and the console show."""

from collections.abc import Sequence
from statistics import median
from typing import Any

from ...core.drawing.plot_parts import legend_line, line_styles
from ...core.records.training import Notice, StepLine, TrainingRecord
from ...core.text import clean, count, joined, percent, plural, shorten
from ...solve import Status
from ...training.recording.run_checks import NO_DOUBTS, SMALL_SHARE, notices
from .figures import training_panels
from .steps_taken import of_task, taken_words

__all__ = ["collect_training"]

_PLACES = {
    "shared parameters": "the parameters that at least two tasks reach",
    "sketch": "a random sketch of the parameters that at least two tasks reach",
    "features": "the features, not the parameters",
    "one layer": "the parameters of one layer",
    "shared parameters, in the optimizer's metric": (
        "the parameters that at least two tasks reach, measured in the metric of the optimizer (metric=)"
    ),
}
_TITLES = {
    "uniform weights": "The weights never moved",
    "identical runs": "Another run is the same",
    "small share": "A task hardly takes part",
    "failed solves": "Solves failed",
    "restarted": "Steps were trained again",
    "one task": "There was never more than one task in a step",
    "nothing shared": "The tasks share no parameter",
    "lost lines": "Steps are missing from the record",
    "stopped improving": "A task has stopped improving",
    "finished": "A task has finished",
    "starved": "A task is starved",
    "not moved": "Parameters never move",
}
_OTHER_STATUSES = {
    "propagated": "a loss or gradient was not finite: NaN was handed on, the state left alone",
    "empty": "no task was left in the step",
    "reused": "the weights of an earlier step were used again (gradients=eq.Every(n))",
    "products again in float64": "tasks nearly agreed, so products of gradients were made twice; the numbers are right",
}


def collect_training(record: TrainingRecord, found: Sequence[Notice] = ()) -> dict[str, Any]:
    """Everything that a report of a training shows, as plain strings, numbers, lists and dicts.

    `found` are notices beyond those that the record alone gives: comparisons with other runs.
    """
    config, lines = record.config, record.lines
    said = [*notices(record), *found]
    doubts = [notice for notice in said if notice.kind not in NO_DOUBTS]
    names = [clean(task) for task in config.tasks]
    many = len(names) > 6
    groups = max((line.groups for line in lines), default=0)
    return {
        "title": f"{clean(config.method)}: {plural(len(names), 'task')}",
        "method": clean(config.method),
        "kind": config.kind,
        "headline": _headline(doubts, len(lines)),
        "status": "undetermined" if not lines else ("not_enough" if doubts else "enough"),
        "badge": "No steps yet" if not lines else (plural(len(doubts), "doubt") if doubts else "No doubts"),
        "lead": _lead(record, names if not many else [*names[:5], f"{len(names) - 5} more"]),
        "notices": [
            {"title": _TITLES[notice.kind], "words": clean(notice.words), "remedy": clean(notice.remedy)}
            for notice in said
        ],
        "tasks": [_task(lines, task, name) | of_task(record, task) for task, name in enumerate(names)],
        "taken": taken_words(record),
        "legend": [legend_line(style["name"], style["color"], style["dash"]) for style in line_styles(config.tasks)],
        "panels": [panel | {"id": f"figure-{number}"} for number, panel in enumerate(training_panels(record), start=1)],
        "gradients": _gradients(record),
        "counts": _counts(lines),
        "counted_to": count(lines[-1].step) if lines else "0",
        "time": _time(lines),
        "settings": [
            *([("method's class", clean(config.outside_class))] if config.outside_class else []),
            ("heads", config.heads),
            *([("gradients measured in the metric of", clean(config.metric))] if config.metric else []),
            ("scale", config.scale),
            ("losses that are not finite", config.nonfinite),
            ("recorded", f"step 1 and every {plural(config.every, 'step')}"),
            *([("weights", f"means over {plural(groups, 'group')} of parameters")] if groups else []),
        ],
        "torn": record.torn,
        "versions": sorted(config.versions.items()),
    }


def _headline(doubts: Sequence[Notice], lines: int) -> str:
    if not lines:
        return "No step has been recorded yet."
    if not doubts:
        return "Nothing was found that should worry you."
    kinds = list(dict.fromkeys(_TITLES[notice.kind] for notice in doubts))
    return ". ".join(kinds) + "."


def _lead(record: TrainingRecord, names: Sequence[str]) -> str:
    lines = record.lines
    steps = f"{plural(record.steps, 'step')}, {count(len(lines))} of them recorded" if lines else "no steps"
    return f"{clean(record.config.method)} on {joined([shorten(name, 30) for name in names])}: {steps}."


def _task(lines: Sequence[StepLine], task: int, name: str) -> dict[str, Any]:
    losses = [line.raw_losses[task] for line in lines if line.raw_losses[task] is not None]
    values = [loss for loss in losses if loss is not None]
    weights = [line.weights[task] for line in lines if line.weights is not None]
    present = [weight for weight in weights if weight is not None]
    measured = [line.gradients for line in lines if line.gradients is not None]
    norms = [x for gradients in measured if (x := gradients.norms[task]) is not None]
    shares = [x for gradients in measured if gradients.shares and (x := gradients.shares[task]) is not None]
    along = [x for gradients in measured if gradients.to_update and (x := gradients.to_update[task]) is not None]
    return {
        "name": name,
        "first": _number(values[0] if values else None),
        "lowest": _number(min(values) if values else None),
        "last": _number(values[-1] if values else None),
        "weights": _span(present),
        "norm": _number(median(norms) if norms else None),
        "share": "n/a"
        if not shares
        else "<0.1 %"
        if 0 < median(shares) < SMALL_SHARE
        else f"{100 * median(shares):.1f} %",
        "small": bool(shares) and max(shares) < SMALL_SHARE,
        "against": percent(sum(1 for cosine in along if cosine < 0), len(along)),
        "present": percent(len(values), len(lines)),
    }


def _number(value: float | None) -> str:
    return "n/a" if value is None else f"{value:.3g}"


def _span(values: Sequence[float]) -> str:
    if not values:
        return "n/a"
    low, high = _number(min(values)), _number(max(values))
    return low if low == high else f"{low} to {high}"


def _gradients(record: TrainingRecord) -> str:
    measured = [line.gradients for line in record.lines if line.gradients is not None]
    if not measured:
        every = record.config.gradients
        hint = (
            "they were switched off (gradients=None)"
            if record.config.kind == "loss method" and every is None
            else "the run has not come to its first measurement, or k gradients took too much memory"
        )
        return f"No gradients were recorded: {hint}."
    how = (
        f"measured by the record at {plural(len(measured), 'step')}, one backward pass a task"
        if measured[0].measured == "by the record"
        else f"those that the method itself computed, at {plural(len(measured), 'recorded step')}"
    )
    return f"Gradients are {how}, on {_PLACES[measured[0].at]}, of one mini-batch each."


def _counts(lines: Sequence[StepLine]) -> list[dict[str, str]]:
    if not lines:
        return []
    counts = lines[-1].counts
    total = max(1, lines[-1].step)
    rows = []
    for status, number in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
        if status.startswith("skipped "):
            words = f"task '{clean(status.removeprefix('skipped '))}' left out: its loss or gradient was not finite"
            status = "skipped"  # noqa: PLW2901 - the name is in the words
        else:
            words = Status[status].value if status in Status.__members__ else _OTHER_STATUSES.get(status, "")
        rows.append(
            {"status": clean(status.replace("_", " ").lower()), "words": clean(words), "steps": count(number),
             "share": percent(number, total)}
        )  # fmt: skip
    return rows


def _time(lines: Sequence[StepLine]) -> list[str]:
    steps = [line.step_seconds for line in lines if line.step_seconds is not None]
    inside = [line.balancer_seconds for line in lines if line.balancer_seconds is not None]
    sentences = []
    if steps:
        sentences.append(f"A step of the loop took {_milliseconds(median(steps))} (median, everything included).")
    if inside:
        part = f", {_part(median(inside), median(steps))} of it" if steps else ""
        sentences.append(
            f"Inside the Balancer: {_milliseconds(median(inside))}{part}; the backward after it not counted."
        )
    if lines and lines[-1].seconds > 0:
        sentences.append(f"Recording took {_part(lines[-1].record_seconds, lines[-1].seconds)} of the time.")
    return sentences


def _milliseconds(seconds: float) -> str:
    return f"{1000 * seconds:.3g} ms"


def _part(some: float, whole: float) -> str:
    return f"{100 * some / whole:.2g} %" if whole > 0 else "n/a"
