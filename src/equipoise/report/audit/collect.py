"""Records in, a plain dict out: everything that the templates show, in words and formatted numbers.

To add a panel: add a key here, read it in a template, test the key. Names and sentences of the record are cleaned
of control characters here; markup in them is escaped by whoever renders.
"""

from collections.abc import Sequence
from typing import Any

from ...core.records.audit import AuditRecord, Rung, Verdict
from ..pictures.figures import figures, marks_present
from ..pictures.palette import legend_mark
from ..text import clean, count, joined, plural, share, signed
from .captions import (
    about_widths,
    badge,
    bootstrap_words,
    condition_words,
    effect_words,
    front_caption,
    how_known,
    overall,
    takes,
    width_words,
)
from .columns import column_rows
from .glossary import glossary

__all__ = ["collect"]

_FEW = 2
"""Most tasks that are named as the worst ones of a remedy."""
_LONG_HEADLINE = 90
"""Letters; longer ones do not stand in large type."""


def collect(records: Sequence[AuditRecord], title: str | None = None) -> dict[str, Any]:
    """Everything that a report shows.

    Args:
        records: One a case; a demo shows several side by side.
        title: Of the page; by default the only record's own.

    Returns:
        ``title``, ``cases`` and ``versions``; plain strings, numbers, lists and dicts throughout.
    """
    cases = [_case(record, number) for number, record in enumerate(records, start=1)]
    return {
        "title": clean(title if title is not None else records[0].title),
        "cases": cases,
        "glossary": glossary(cases),
        "versions": sorted({item for record in records for item in record.versions.items()}),
    }


def _case(record: AuditRecord, number: int) -> dict[str, Any]:
    anchor = f"case-{number}"
    sections = [_section(verdict, record, anchor) for verdict in record.verdicts]
    names = [clean(task.name) for task in record.tasks]
    about, caveat = about_widths(record)
    smallest = f"Smallest shared width at which nothing is left to trade: {record.smallest_width}."
    return {
        "anchor": anchor,
        "title": clean(record.title),
        "command": clean(record.command),
        "tasks_joined": joined(names),
        "task_names": names,
        "task_count": len(names),
        "data": _data(record),
        "columns": column_rows(record.data.columns),
        "tasks": [_task(record, index) for index in range(len(record.tasks))],
        "overall": overall(record),
        "summary": clean(record.summary) or smallest,
        "about": about,
        "caveat": caveat,
        "sections": sections,
        "several": len(sections) > 1,
    }


def _data(record: AuditRecord) -> dict[str, Any]:
    data = record.data
    used = plural(data.rows, "row")
    if data.rows_used != data.rows:
        used = f"{count(data.rows_used)} of {used} ({count(data.rows - data.rows_used)} without every target left out)"
    return {
        "name": clean(data.name),
        "source": clean(data.source),
        "rows": used,
        "inputs": plural(data.inputs, "encoded input column"),
        "steps": [clean(step) for step in data.steps],
        "warnings": [clean(warning) for warning in data.warnings],
    }


def _task(record: AuditRecord, index: int) -> dict[str, Any]:
    task = record.tasks[index]
    return {
        "name": clean(task.name),
        "unit": clean(task.unit),
        "kind": task.kind,
        "variance": f"{task.variance:.4g}",
        "separate": share(task.separate_loss),
        "explained": f"{100 * (1 - task.separate_loss):.1f} %",
        "correlations": [signed(value) for value in task.correlations],
        "shades": [_shade(value, index == other) for other, value in enumerate(task.correlations)],
    }


def _shade(correlation: float, own: bool) -> str:
    if own or abs(correlation) < 0.1:
        return ""
    side = "positive" if correlation > 0 else "negative"
    return f"{side} strong" if abs(correlation) >= 0.5 else side


def _section(verdict: Verdict, record: AuditRecord, case: str) -> dict[str, Any]:
    anchor = f"{case}-width-{verdict.about.width}"
    names = [task.name for task in record.tasks]
    headline, rest = _split(clean(verdict.headline), clean(verdict.words))
    remedy = verdict.ladder[verdict.remedy]
    return {
        "anchor": anchor,
        "width": verdict.about.width,
        "status": verdict.status,
        "badge": badge(verdict),
        "headline": headline,
        "rest": rest,
        "caveat": clean(verdict.caveat),
        "about": f"{clean(verdict.about.model)}, {width_words(verdict.about.width)}",
        "basis": f"{plural(verdict.about.rows, 'row')}, {verdict.about.split}",
        "remedy": clean(remedy.words),
        "remedy_worst": share(remedy.worst),
        "tag": "cheapest" if verdict.status == "nothing_to_trade" else "cheapest that closes the gap",
        "ladder": [_rung(verdict, index, names) for index in range(len(verdict.ladder))],
        "threshold": share(verdict.effect.threshold, 2),
        "summary": _summary(verdict),
        "caption": front_caption(verdict, names),
        "legend": [legend_mark(mark) for mark in marks_present(verdict)],
        "panels": [
            panel | {"id": f"{anchor}-figure-{number}"} for number, panel in enumerate(figures(verdict, names), start=1)
        ],
        "effect": effect_words(verdict),
        "condition": _condition(verdict),
        "effort": clean(verdict.effort),
        "bootstrap": bootstrap_words(verdict.bootstrap) if verdict.bootstrap else [],
    }


def _split(headline: str, words: str) -> tuple[str, str]:
    """The sentence to print large, and the rest; a long first sentence is cut at its colon."""
    rest = words[len(headline) :].strip() if words.startswith(headline) else words
    start, colon, detail = headline.partition(": ")
    if len(headline) <= _LONG_HEADLINE or not colon or len(start) > _LONG_HEADLINE:
        return headline, rest
    return f"{start}.", f"{detail[:1].upper()}{detail[1:]} {rest}".strip()


def _rung(verdict: Verdict, index: int, names: Sequence[str]) -> dict[str, Any]:
    rung = verdict.ladder[index]
    tied = [i for i, loss in enumerate(rung.losses) if share(loss) == share(rung.worst)]
    return {
        "words": clean(rung.words),
        "worst": share(rung.worst),
        "worst_task": _worst_tasks([clean(names[i]) for i in tied], len(names)) or clean(rung.worst_task),
        "excess": share(rung.worst_excess),
        "known": how_known(rung),
        "takes": takes(rung),
        "closes": rung.closes,
        "remedy": index == verdict.remedy,
        "bar": _bar(rung.worst),
        "bar_lower": _bar(rung.lower),
        "losses": [share(loss) for loss in rung.losses],
        "worst_indices": tied,
        "weights": _weights(rung),
        "searched": rung.solves is not None and rung.weights is not None,
    }


def _worst_tasks(tied: Sequence[str], count_all: int) -> str:
    """The tasks whose losses are the same to three digits: a balanced model has several worst ones."""
    if len(tied) == count_all > 1:
        return "all tasks"
    return joined(tied) if len(tied) <= _FEW else f"{len(tied)} of {count_all} tasks"


def _bar(value: float) -> str:
    """Length in percent of the loss of predicting the mean."""
    return f"{100 * min(1.0, max(0.0, value)):.2f}" if value == value else "0"  # noqa: PLR0124 - NaN has no length


def _weights(rung: Rung) -> list[str]:
    """With the digits that matter: more would look as if they did."""
    if rung.weights is None:
        return []
    if rung.written_weights is None or rung.weight_digits is None:
        digits = max(3, min(8, rung.weight_digits or 0))
        return [f"{weight:.{digits}f}" for weight in rung.weights]
    last = 10.0**-rung.weight_digits
    return [
        f"{weight:.{rung.weight_digits}f}" if weight == 0 or weight > last / 2 else "almost 0"
        for weight in rung.written_weights
    ]


def _summary(verdict: Verdict) -> dict[str, str]:
    """One row of the table over widths: the worst task at each kind of remedy of this width."""
    worst: dict[str, str] = {
        rung.kind: share(rung.worst) for rung in verdict.ladder if rung.width == verdict.about.width
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
