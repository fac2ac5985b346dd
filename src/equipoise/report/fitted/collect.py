"""The record of a fit as a plain dict: everything that its page, its Markdown and the console show."""

import re
from collections.abc import Sequence
from statistics import mean, stdev
from typing import Any

from ...comparison.contrast import contrast, losses_of, overlap_of
from ...core.records.fitted import Entrant, FitRecord, FittedTask, Role
from ...core.text import clean, count, joined, plural, shorten
from ..audit.columns import column_rows
from .changes import change, ratio, span
from .figures import curve_panels, difference_panel
from .verdict_words import Answer, answer, certainty, entrant_of

__all__ = ["collect_fit"]

_BADGES = {
    "one model": ("enough", "One model"),
    "separate": ("nothing_to_trade", "Separate models"),
    "both": ("nothing_to_trade", "Depends on the target"),
    "open": ("undetermined", "No difference detectable"),
    "undecided": ("undetermined", "Not decided"),
}
_FINDINGS = {"better": "one model is better", "worse": "separate models are better", "open": "no difference detectable"}
_ROLES: dict[Role, str] = {
    "joint": "one model",
    "weights": "tuned weights",
    "linear": "linear",
    "separate": "separate",
    "boosting": "boosting",
}
_LONG = 40
_CLAUSE = re.compile(r"(?<=[:;]) ")


def collect_fit(record: FitRecord, title: str | None = None) -> dict[str, Any]:
    """Everything that a report of a fit shows.

    Args:
        record: Record of a fit.
        title: Title of the page; by default the record's own.

    Returns:
        Plain strings, numbers, lists and dicts.
    """
    said = answer(record)
    status, badge = _badge(said)
    panels = [*difference_panel(said.contrast), *curve_panels(record, said.single, said.separate)]
    entrants = [_column(entrant, record) for entrant in record.entrants]
    return {
        "title": clean(title if title is not None else record.title),
        "status": status,
        "badge": badge,
        "headline": said.headline,
        "first_clause": _CLAUSE.split(said.headline, maxsplit=1)[0],
        "measures": _measures(record),
        "sentences": list(said.sentences),
        "certainty": certainty(record),
        "ladder": _ladder(record),
        "references": _references(record),
        "entrants": entrants,
        "rows": [_row(record, said, place) for place in range(len(record.tasks))],
        "compared": said.contrast is not None,
        "single": _short(said.single) if said.single else "",
        "weights": _weights(record),
        "settings": _settings(record),
        "panels": [panel | {"id": f"figure-{number}"} for number, panel in enumerate(panels, start=1)],
        "unfinished": _unfinished(record),
        "counts": _counts(record),
        "facts": _facts(record),
        "command": clean(record.command),
        "doubts": [clean(warning) for warning in record.data.warnings],
        "data": {
            "name": clean(record.data.name),
            "source": clean(record.data.source),
            "rows": plural(record.data.rows, "row")
            + (f", {count(record.data.rows_used)} used" if record.data.rows_used != record.data.rows else ""),
            "inputs": plural(record.data.inputs, "encoded input column"),
            "steps": [clean(step) for step in record.data.steps],
            "sha256": record.sha256,
        },
        "columns": column_rows(record.data.columns, record.tasks),
        "versions": sorted(record.versions.items()),
    }


def _badge(said: Answer) -> tuple[str, str]:
    """Status and badge; where the average is open, the verdict holds for single targets only."""
    status, words = _BADGES[said.status]
    single = said.status in ("one model", "separate") and said.contrast is not None and said.contrast.finding == "open"
    return status, f"{words} for some targets" if single else words


def _short(entrant: Entrant) -> str:
    return shorten(clean(entrant.words), _LONG)


def _column(entrant: Entrant, record: FitRecord) -> str:
    """An entrant at the head of a narrow column: by its role, or by its name where several share that."""
    shared = sum(other.role == entrant.role for other in record.entrants) > 1
    return shorten(clean(entrant.name), _LONG) if shared else _ROLES[entrant.role]


def _references(record: FitRecord) -> list[str]:
    """What the losses of the ladder are divided by, as heads of its columns."""
    words = {"boosting": "Loss / boosting", "separate": "Loss / separate"}
    return [words[bar.role] for bar in _bars(record)]


def _bars(record: FitRecord) -> list[Entrant]:
    bars = [entrant_of(record, "boosting"), entrant_of(record, "separate")]
    return [bar for bar in bars if bar is not None]


def _ladder(record: FitRecord) -> list[dict[str, Any]]:
    tasks = [task.name for task in record.tasks]
    bars = _bars(record)
    rows = []
    for entrant in record.entrants:
        done = [run for run in entrant.runs if run.status == "done"]
        ratios = []
        for bar in bars:
            found = contrast(tasks, losses_of(entrant), losses_of(bar), overlap_of(record)).average
            ratios.append("1" if bar is entrant else ("n/a" if found is None else ratio(found)))
        chosen = [clean(task) for task in tasks if record.selected[task] == entrant.name]
        rows.append(
            {
                "words": clean(entrant.words),
                "tag": _selected(chosen, len(tasks)),
                "selected": bool(chosen),
                "ratios": ratios,
                "parameters": "n/a" if entrant.parameters is None else count(entrant.parameters),
                "trials": _range([run.trials for run in done]),
                "passes": _mean([run.passes for run in done]),
                "seconds": f"{_mean([run.seconds for run in done])} s" if done else "n/a",
                "runs": f"{len(done)} of {len(entrant.runs)}",
                "whole": len(done) == len(entrant.runs),
            }
        )
    return rows


def _selected(tasks: Sequence[str], k: int) -> str:
    if not tasks:
        return ""
    if len(tasks) == k:
        return "selected"
    names = [shorten(name, 22) for name in tasks[:3]]
    more = len(tasks) - len(names)
    return f"selected for {joined([*names, f'{more} more'] if more else names)}"


def _mean(values: Sequence[float]) -> str:
    if not values:
        return "n/a"
    value = mean(values)
    return f"{value:.2g}" if 0 < value < 10 else f"{value:,.0f}"


def _range(values: Sequence[int]) -> str:
    return "n/a" if not values else "–".join(map(count, sorted({min(values), max(values)})))


def _row(record: FitRecord, said: Answer, place: int) -> dict[str, Any]:
    """One target: what it is, its losses under every entrant, and what was found."""
    task = record.tasks[place]
    found = said.contrast.tasks[place] if said.contrast is not None else None
    logs = found.logs if found is not None else None
    return {
        "name": clean(task.name),
        "kind": _kind(task),
        "loss": _loss(task),
        "metric": f"{clean(task.metric)} ({task.better} is better)",
        "labelled": count(task.labelled),
        "cells": [
            {
                "loss": _spread([run.test[task.name] for run in entrant.runs if run.status == "done"]),
                "metric": _spread([run.metric[task.name] for run in entrant.runs if run.status == "done"]),
                "selected": record.selected[task.name] == entrant.name,
            }
            for entrant in record.entrants
        ],
        "change": change(logs.mean) if logs is not None else "n/a",
        "interval": span(logs.low, logs.high) if logs and logs.low is not None and logs.high is not None else "none",
        "finding": ""
        if found is None
        else (found.absent or _finding(found.finding, logs is None or logs.error is None)),
        "p": "" if found is None or logs is None or logs.error is None else _p(found.adjusted),
    }


def _p(value: float) -> str:
    return "<0.0001" if value < 1e-4 else f"{value:.2g}"


def _finding(finding: str, untested: bool) -> str:
    return "not tested" if untested else _FINDINGS[finding]


def _measures(record: FitRecord) -> list[str]:
    """What the losses and metrics are, one line for all targets that share them."""
    shared: dict[str, list[str]] = {}
    for task in record.tasks:
        words = f"{_loss(task)}; {clean(task.metric)}, {task.better} is better"
        shared.setdefault(words, []).append(shorten(clean(task.name), 30))
    if len(shared) == 1:
        return list(shared)
    return [
        f"{joined(names if len(names) <= 5 else [*names[:4], f'{len(names) - 4} more'])}: {words}"
        for words, names in shared.items()
    ]


def _loss(task: FittedTask) -> str:
    return clean(f"{task.loss}, {task.loss_unit}" if task.loss_unit else task.loss)


def _kind(task: FittedTask) -> str:
    if task.kind != "classes":
        return {"regression": "number", "binary": "yes/no"}[task.kind]
    return plural(len(task.classes), "class") if len(task.classes) == 1 else f"{len(task.classes)} classes"


def _spread(values: Sequence[float | None]) -> str:
    """Mean over seeds, and the standard deviation between them."""
    known = [value for value in values if value is not None]
    if not known:
        return "n/a"
    return _fixed(mean(known), 3) + (f" ± {_fixed(stdev(known), 1)}" if len(known) > 1 else "")


def _fixed(value: float, digits: int) -> str:
    """A number with so many digits; a small one without an exponent, as long as that is short."""
    shown = f"{value:.{digits}g}"
    return f"{value:.{digits + 4}f}" if "e-05" in shown else shown


def _weights(record: FitRecord) -> dict[str, Any]:
    """The task weights that were chosen, over the seeds; records of earlier versions leave equal ones out."""
    done = {e.name: [run.weights for run in e.runs if run.status == "done"] for e in record.entrants}
    with_weights = [e for e in record.entrants if any(done[e.name]) or (e.role == "weights" and done[e.name])]
    rows = []
    for task in record.tasks:
        cells = []
        for entrant in with_weights:
            found = [weights.get(task.name, 1 / len(record.tasks)) for weights in done[entrant.name]]
            cells.append("–".join(dict.fromkeys(f"{x:.3g}" for x in (min(found), max(found)))))
        rows.append({"name": clean(task.name), "cells": cells})
    return {"entrants": [_column(entrant, record) for entrant in with_weights], "rows": rows if with_weights else []}


def _settings(record: FitRecord) -> list[tuple[str, str]]:
    """Other settings that the validation part chose, each with its values over the seeds."""
    found = []
    for entrant in record.entrants:
        names = dict.fromkeys(name for run in entrant.runs for name in run.settings)
        chosen = [
            f"{name}: {joined(list(dict.fromkeys(run.settings[name] for run in entrant.runs if name in run.settings)))}"
            for name in names
        ]
        if chosen:
            found.append((_column(entrant, record), clean("; ".join(chosen))))
    return found


def _counts(record: FitRecord) -> str:
    runs = sum(len(entrant.runs) for entrant in record.entrants)
    if not record.failed and not record.skipped:
        return f"Nothing: all {plural(runs, 'run')} finished"
    return f"{plural(runs, 'run')}, {record.failed} failed, {record.skipped} skipped"


def _unfinished(record: FitRecord) -> list[dict[str, str]]:
    return [
        {"entrant": _short(entrant), "seed": str(run.seed), "status": run.status, "reason": clean(run.reason)}
        for entrant in record.entrants
        for run in entrant.runs
        if run.status != "done"
    ]


def _facts(record: FitRecord) -> list[tuple[str, str]]:
    split = record.split
    parts = ((split.train, "training"), (split.val, "validation"), (split.test, "held out"))
    sizes = ", ".join(f"{count(number)} {words}" for number, words in parts)
    return [
        (
            "Split",
            f"{clean(split.how)}: {sizes} rows"
            + ("; drawn anew by each seed" if split.redrawn else "; one for all seeds"),
        ),
        ("Seeds", ", ".join(map(str, record.seeds))),
        ("Budget", clean(record.budget)),
        ("Selection", clean(record.selection)),
        ("Prediction", clean(record.predicts)),
        *([("Device", clean(record.device))] if record.device else []),
    ]
