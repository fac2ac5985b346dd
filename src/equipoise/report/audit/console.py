"""The report for a terminal: verdict in words, then the ladder."""

from collections.abc import Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from ...core.console import make_table
from ...core.records.audit import AuditRecord
from .collect import collect

__all__ = ["render_console"]

_MOST_COLUMNS = 6
"""Tasks up to which a terminal shows the matrix of pairs."""

_STYLES = {"enough": "green", "not_enough": "dark_orange", "nothing_to_trade": "blue", "undetermined": "yellow"}


def render_console(record: AuditRecord | Sequence[AuditRecord]) -> RenderableType:
    """The verdict and the ladder as something that rich prints.

    Names are plain text here: neither rich's ``[markup]`` nor terminal escape sequences in them have an effect.

    Args:
        record: One record, or several cases one after another.
    """
    records = [record] if isinstance(record, AuditRecord) else list(record)
    parts: list[RenderableType] = []
    for case in collect(records)["cases"]:
        if parts:
            parts.append(Text(""))
        parts.append(Text(case["title"], style="bold"))
        parts.extend(Text(f"doubt: {warning}", style="yellow") for warning in case["data"]["warnings"])
        parts.extend(_several(case) if case["several"] else _single(case["sections"][0]))
        if case["sharing"]:
            parts.extend(_sharing(case["sharing"]))
    return Group(*parts)


def _single(section: dict[str, Any]) -> list[RenderableType]:
    words = Text()
    words.append(section["headline"], style=f"bold {_STYLES[section['status']]}")
    words.append(f" {section['rest']}")
    measure = section["measure"]
    new = bool(section["new_rows"])
    columns = ("remedy", measure["decides"].lower(), "", measure["short"], *(["on new rows"] if new else []))
    table = make_table(*columns, "closes the gap", "takes", "how sure")
    for rung in section["ladder"]:
        table.add_row(
            Text(("> " if rung["remedy"] else "  ") + rung["words"]),
            Text(rung["decides"], justify="right"),
            Text(rung["decides_task"]),
            Text(rung["beside"], justify="right"),
            *([Text(rung["new_rows"] or "not measured")] if new else []),
            Text("yes" if rung["closes"] else "no"),
            Text(rung["takes"]),
            Text(rung["known"]),
            style="bold" if rung["remedy"] else None,
        )
    weights = [Text(f"Weights, {rung['words']}: {{{rung['paste']}}}") for rung in section["ladder"] if rung["searched"]]
    said = [Text(sentence) for sentence in (section["complete"], *section["bootstrap"]) if sentence]
    unit = Text(
        "Losses are shares of each task's variance: 0 is perfect, 1 is predicting the mean. Weights multiply these.",
        style="dim",
    )
    return [
        words,
        Text(""),
        table,
        unit,
        *weights,
        *said,
        Text(f"About: {section['about']}; {section['basis']}."),
        _unsaid(section),
    ]


def _several(case: dict[str, Any]) -> list[RenderableType]:
    new = any(section["told"] for section in case["sections"])
    columns = ("width", "verdict", "equal", "best weights", "one model", "mixture", "cheapest remedy")
    table = make_table(*columns, *(["on new rows"] if new else []))
    for section in case["sections"]:
        summary = section["summary"]
        kinds = ("equal_weights", "best_weights", "tchebycheff", "mixture")
        table.add_row(
            Text(str(section["width"])),
            Text(section["badge"], style=_STYLES[section["status"]]),
            *(Text(summary[kind], justify="right") for kind in kinds),
            Text(f"{section['remedy']}: {section['remedy_worst']}"),
            *([Text(section["told"] or "not measured")] if new else []),
        )
    return [
        Text(" ".join(case["overall"]), style="bold"),
        Text(""),
        table,
        Text(f"{case['measure']['at']}.", style="dim"),
        *(
            Text(f"Weights of the remedy of width {section['width']}: {{{rung['paste']}}}")
            for section in case["sections"]
            for rung in section["ladder"]
            if rung["remedy"] and rung["searched"]
        ),
        Text(case["summary"]),
        Text(f"About: {case['about']}."),
        _unsaid(case),
    ]


def _sharing(part: dict[str, Any]) -> list[RenderableType]:
    said: list[RenderableType] = [
        Text(""),
        Text("Which task helps which on new rows", style="bold"),
        *map(Text, part["said"]),
    ]
    if len(part["rows"]) > _MOST_COLUMNS or not part["rows"]:
        return said
    table = make_table("task", "alone")
    for name in (*(f"with {name}" for name in part["names"]), "with all"):
        table.add_column(Text(name), overflow="fold", justify="right")
    for row in part["rows"]:
        cells = (f"{cell['change']}{cell['mark']}\n{cell['margin']}" if cell else "" for cell in row["cells"])
        table.add_row(Text(row["name"]), Text(row["alone"]), *map(Text, cells))
    return [*said, table, Text(f"{part['caption']}.", style="dim")]


def _unsaid(part: dict[str, Any]) -> Text:
    return Text(part["caveat"], style="dim")
