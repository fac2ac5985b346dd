"""Records in, a plain dict out: everything that the templates show, in words and formatted numbers.

To add a panel: add a key here, read it in a template, test the key. Names and sentences of the record are cleaned
of control characters here; markup in them is escaped by whoever renders.
"""

import re
from collections.abc import Sequence
from typing import Any

from ...core.records.audit import AuditRecord, Rung, Verdict
from ...core.text import clean, count, joined, plural, share, signed
from ..pictures.correlations import correlation_table
from ..pictures.figures import figures, legend_entries
from ..pictures.names import said_shorter, short_names
from .captions import (
    MEASURES,
    about_widths,
    badge,
    bootstrap_words,
    complete_words,
    condition_words,
    effect_words,
    front_caption,
    how_known,
    overall,
    takes,
    width_words,
)
from .choosing import MOST_SECTIONS, MOST_TASKS, recommended, sections_shown, tasks_shown
from .columns import column_rows
from .glossary import explained, glossary
from .new_rows import MEASURED, bound_words, new_rows_words
from .sharing import sharing_part

__all__ = ["collect"]

_NAMED = 12
"""Most tasks that are named in the first lines of a page."""
_FEW = 2
"""Most tasks that are named as the worst ones of a remedy."""
_SHORT = {
    "equal_weights": "equal weights",
    "best_weights": "best weights",
    "tchebycheff": "one model",
    "mixture": "mixture",
    "separate": "separate models",
}
"""Remedies at the head of a narrow column; a wider layer is named by its width."""
_LONG_HEADLINE = 90
"""Letters; longer ones do not stand in large type."""
_LONG_START = 150
"""Letters; of longer ones only the verdict stands there, without what to do."""


def collect(records: Sequence[AuditRecord], title: str | None = None) -> dict[str, Any]:
    """Everything that a report shows of these cases, as plain strings, numbers, lists and dicts.

    Returns:
        ``title`` (by default the only record's own), ``cases``, ``glossary`` and ``versions``.
    """
    cases = [_case_in_short(record, number) for number, record in enumerate(records, start=1)]
    return {
        "title": clean(title) if title is not None else cases[0]["title"],
        "cases": cases,
        "glossary": glossary(cases),
        "versions": sorted({item for record in records for item in record.versions.items()}),
    }


def _case_in_short(record: AuditRecord, number: int) -> dict[str, Any]:
    """A case with long names made short everywhere but in the table of tasks."""
    case, names = _case(record, number), [task.name for task in record.tasks]
    short: dict[str, Any] = said_shorter(case, names) | {"command": case["command"]}
    for task, name in zip(short["tasks"], names, strict=True):
        task["full"] = clean(name)
    return short


def _case(record: AuditRecord, number: int) -> dict[str, Any]:
    anchor = f"case-{number}"
    shown, first = sections_shown(record), recommended(record)
    sections = [_section(verdict, record, anchor) for verdict in record.verdicts]
    for place, section in enumerate(sections):
        chosen = place == first and len(sections) > 1
        section |= {"whole": place in shown, "recommended": chosen and record.verdicts[place].reached}
    names = [clean(task.name) for task in record.tasks]
    about, caveat = about_widths(record)
    smallest = f"Smallest shared width at which nothing is left to trade: {record.smallest_width}."
    return {
        "anchor": anchor,
        "title": clean(record.title),
        "command": clean(record.command),
        "tasks_joined": joined(names)
        if len(names) <= _NAMED
        else f"{', '.join(names[:_NAMED])} and {len(names) - _NAMED} more",
        "task_count": len(names),
        "most_tasks": MOST_TASKS,
        "data": _data(record),
        "columns": column_rows(record.data.columns),
        "tasks": [_task(record, index) for index in range(len(record.tasks))],
        "correlations": correlation_table(record),
        "sharing": sharing_part(record),
        "overall": overall(record),
        "summary": clean(record.summary) or smallest,
        "about": about,
        "caveat": caveat,
        "sections": sections,
        "in_order": [sections[place] for place in shown],
        "left_out": max(0, len(sections) - MOST_SECTIONS),
        "measure": MEASURES[record.verdicts[0].measure],
        "several": len(sections) > 1,
    }


def _data(record: AuditRecord) -> dict[str, Any]:
    data = record.data
    used = plural(data.rows, "row")
    if data.rows_used != data.rows:
        used = f"{count(data.rows_used)} of {used} ({count(data.rows - data.rows_used)} without "
        used += "any target left out)" if _incomplete(record) else "every target left out)"
    return {
        "name": clean(data.name),
        "source": clean(data.source),
        "rows": used,
        "inputs": plural(data.inputs, "encoded input column"),
        "steps": [clean(step) for step in data.steps],
        "warnings": [clean(warning) for warning in data.warnings],
    }


def _incomplete(record: AuditRecord) -> bool:
    return record.verdicts[0].about.split == "in-sample, incomplete rows"


def _task(record: AuditRecord, index: int) -> dict[str, Any]:
    task = record.tasks[index]
    return {
        "full": clean(task.name),
        "unit": clean(task.unit),
        "kind": task.kind,
        "variance": f"{task.variance:.4g}",
        "separate": share(task.separate_loss),
        "explained": f"{100 * (1 - task.separate_loss):.1f} %",
    }


def _section(verdict: Verdict, record: AuditRecord, case: str) -> dict[str, Any]:
    anchor = f"{case}-width-{verdict.about.width}"
    names = [task.name for task in record.tasks]
    separate = [task.separate_loss for task in record.tasks]
    rungs = [_rung(verdict, index, names, separate) for index in range(len(verdict.ladder))]
    headline, rest = _split(clean(verdict.headline), clean(verdict.words))
    remedy = verdict.remedied
    return {
        "anchor": anchor,
        "width": verdict.about.width,
        "status": verdict.status,
        "badge": badge(verdict),
        "headline": headline,
        "rest": rest,
        "caveat": clean(verdict.caveat),
        "about": f"{clean(verdict.about.model)}, {width_words(verdict.about.width)}",
        "basis": f"{plural(verdict.about.rows, 'row')}, {verdict.about.split}"
        + (", and cross-validated where new rows are named" if verdict.on_new_rows else ""),
        "remedy": "none needed" if verdict.remedy is None else clean(remedy.words),
        "remedy_worst": share(verdict.deciding(remedy)),
        "tag": "cheapest" if verdict.status == "nothing_to_trade" else "cheapest that closes the gap",
        "measure": MEASURES[verdict.measure],
        "ladder": rungs,
        "bound": bound_words(verdict),
        "complete": complete_words(verdict),
        "new_rows": MEASURED if verdict.on_new_rows else "",
        "told": verdict.on_new_rows or "",
        "rows": _rows(rungs, names, tasks_shown(verdict, separate)),
        "threshold": share(verdict.effect.threshold, 2),
        "summary": _summary(verdict),
        "undrawn": "",
        "caption": front_caption(verdict, names),
        "legend": legend_entries(verdict, names),
        "panels": [
            panel | {"id": f"{anchor}-figure-{number}"} for number, panel in enumerate(figures(verdict, names), start=1)
        ],
        "effect": effect_words(verdict),
        "condition": _condition(verdict),
        "effort": clean(verdict.effort),
        "bootstrap": bootstrap_words(verdict.bootstrap) if verdict.bootstrap else [],
        "explained": explained(verdict),
    }


def _split(headline: str, words: str) -> tuple[str, str]:
    """The sentence to print large, and the rest; a long first sentence is cut at a colon with words behind it."""
    rest = words[len(headline) :].strip() if words.startswith(headline) else words
    start, *others = re.split(r": (?=[a-z])", headline, maxsplit=1)
    detail = "".join(others)
    if len(headline) <= _LONG_HEADLINE or not detail:
        return headline, rest
    if len(start) > _LONG_START:  # what to do is the second half, with its weights
        start, semicolon, action = start.partition("; ")
        detail = f"{action}: {detail}" if semicolon else detail
    return f"{start}.", f"{detail[:1].upper()}{detail[1:]} {rest}".strip()


def _rung(verdict: Verdict, index: int, names: Sequence[str], separate: Sequence[float]) -> dict[str, Any]:
    rung = verdict.ladder[index]
    excess = [loss - own for loss, own in zip(rung.losses, separate, strict=True)]
    worst, above = _largest(rung.losses, rung.worst), _largest(excess, rung.worst_excess)
    tied, furthest = ([clean(names[i]) for i in places] for places in (worst, above))
    decides = share(rung.worst), _worst_tasks(tied, len(names)) or clean(rung.worst_task)
    beside = share(rung.worst_excess), _worst_tasks(furthest, len(names))
    if verdict.measure == "excess":
        decides, beside = beside, decides
    return {
        "words": clean(rung.words),
        "short": _SHORT.get(rung.kind) or f"width {rung.width}",
        "decides": decides[0],
        "decides_task": decides[1],
        "beside": beside[0],
        "beside_task": beside[1],
        "known": how_known(verdict, rung),
        "new_rows": new_rows_words(rung),
        "takes": takes(rung),
        "closes": rung.closes,
        "remedy": index == verdict.remedy,
        "bar": _bar(verdict.deciding(rung)),
        "bar_lower": _bar(rung.lower),
        "losses": [share(loss) for loss in rung.losses],
        "worst_indices": worst if verdict.measure == "loss" else above,
        "weights": _weights(rung),
        "paste": _paste(rung, names),
        "searched": rung.solves is not None and rung.weights is not None,
    }


def _rows(rungs: Sequence[dict[str, Any]], names: Sequence[str], shown: Sequence[int]) -> list[dict[str, Any]]:
    """One row a task: its loss under every remedy, and its weight where the remedy has weights."""
    short = short_names(names)
    return [
        {
            "name": short[task],
            "cells": [
                {
                    "loss": rung["losses"][task],
                    "weight": rung["weights"][task] if rung["weights"] else "",
                    "worst": task in rung["worst_indices"],
                }
                for rung in rungs
            ],
        }
        for task in shown
    ]


def _largest(values: Sequence[float], largest: float) -> list[int]:
    """Where values are the largest, to the digits that are shown."""
    shown = share(largest)  # three digits: values more than 0.002 apart differ in them; what is not finite is no number
    return [i for i, value in enumerate(values) if not abs(value - largest) > 0.002 and share(value) == shown]


def _worst_tasks(tied: Sequence[str], count_all: int) -> str:
    """The tasks whose losses are the same to three digits: a balanced model has several worst ones."""
    if len(tied) == count_all > 1:
        return "all tasks"
    return joined(tied) if len(tied) <= _FEW else f"{len(tied)} of {count_all} tasks"


def _bar(value: float) -> str:
    """Length in percent of the loss of predicting the mean."""
    return f"{100 * min(1.0, max(0.0, value)):.2f}" if value == value else "0"  # noqa: PLR0124 - NaN has no length


def _weights(rung: Rung) -> list[str]:
    """Weights as they are written, with all their digits: with fewer they give other losses."""
    if rung.written_weights is None and rung.solves is not None:  # of a version that wrote none
        return [f"{weight:.{max(3, min(8, rung.weight_digits or 0))}f}" for weight in rung.weights or ()]
    digits = rung.decimals
    return [f"{weight:.{digits}f}" for weight in rung.written_weights or rung.weights or ()]


def _paste(rung: Rung, names: Sequence[str]) -> str:
    """The weights of a search as a mapping in Python."""
    if rung.solves is None:
        return ""
    return ", ".join(f"{name!r}: {weight}" for name, weight in zip(names, _weights(rung), strict=False))


def _summary(verdict: Verdict) -> dict[str, str]:
    """One row of the table over widths: what each kind of remedy of this width gives."""
    worst: dict[str, str] = {
        rung.kind: share(verdict.deciding(rung)) for rung in verdict.ladder if rung.width == verdict.about.width
    }
    kinds = ("equal_weights", "best_weights", "tchebycheff", "mixture")
    return {kind: worst.get(kind, "–") for kind in kinds}


def _condition(verdict: Verdict) -> dict[str, Any]:
    condition = verdict.condition
    cycle = [clean(name) for name in condition.cycle]
    edges = [
        {"from": cycle[i], "to": cycle[(i + 1) % len(cycle)], "correlation": signed(value, 3), "negative": value < 0}
        for i, value in enumerate(condition.cycle_correlations[: len(cycle)])
    ]
    return {
        "test": clean(condition.test),
        "words": condition_words(condition),
        "cycle": cycle,
        "cycle_joined": joined(cycle),
        "edges": edges,
        "rank": condition.rank,
    }
