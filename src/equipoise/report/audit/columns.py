"""How the columns of a table were read, as a small table: neighbours that were read alike share a line."""

from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

from ...core.records.audit import ColumnCard
from ...core.records.fitted import FittedTask
from ...core.text import clean, count, plural, shorten

if TYPE_CHECKING:
    from rich.console import RenderableType

__all__ = ["column_rows", "render_columns"]

_MOST_LINES = 60
_LONGEST = 40


def column_rows(columns: Sequence[ColumnCard], tasks: Sequence[FittedTask] = ()) -> list[dict[str, Any]]:
    """One row for each run of columns that were read alike, at most 60 and one that counts the rest.

    Args:
        columns: Cards of the table's columns.
        tasks: What a fit does with the targets: their rows then say the loss and the metric.

    Example:
        >>> cards = [ColumnCard(name=f"x{i}", role="input", holds="numbers", missing=0) for i in range(9)]
        >>> column_rows(cards)[0]["name"]
        'x0 ... x8 (9 columns)'
    """
    rows: list[dict[str, Any]] = []
    shown = 0
    measures = {task.name: (clean(task.loss), clean(task.metric)) for task in tasks}
    for alike, run in groupby(
        columns, key=lambda card: (card.role, card.holds, card.missing, card.done, measures.get(card.name, ("", "")))
    ):
        cards = list(run)
        if len(rows) == _MOST_LINES:
            break
        shown += len(cards)
        first = cards[0]
        name = shorten(clean(first.name), _LONGEST)
        if len(cards) == 2:
            name = f"{name}, {shorten(clean(cards[1].name), _LONGEST)}"
        elif len(cards) > 2:
            name = f"{name} ... {shorten(clean(cards[-1].name), _LONGEST)} ({count(len(cards))} columns)"
        rows.append(
            {
                "name": name,
                "role": first.role,
                "holds": first.holds,
                "missing": first.missing,
                "done": clean(first.done),
                "loss": alike[-1][0],
                "metric": alike[-1][1],
            }
        )
    if shown < len(columns):
        left = columns[shown:]
        counts = {role: sum(card.role == role for card in left) for role in ("input", "target")}
        words = ", ".join(plural(number, role) for role, number in counts.items() if number)
        rows.append({"name": f"{count(len(left))} more", "role": words, "holds": "", "missing": "", "done": ""})
        rows[-1] |= {"loss": "", "metric": ""}
    return rows


def render_columns(columns: Sequence[ColumnCard], tasks: Sequence[FittedTask] = ()) -> "RenderableType":
    """The same as something that rich prints; loss and metric have columns of their own where there are `tasks`."""
    from rich.console import Group  # noqa: PLC0415 - pages do without
    from rich.text import Text  # noqa: PLC0415

    from ...core.console import make_table  # noqa: PLC0415

    keys = ("name", "role", "holds", "missing", *(("loss", "metric") if tasks else ()), "done")
    table = make_table(*({"name": "column", "done": "what was done"}.get(key, key) for key in keys))
    for row in column_rows(columns, tasks):
        row["missing"] = str(row["missing"] or "-") if row["holds"] else ""
        table.add_row(*(Text(str(row[key])) for key in keys))
    return Group(Text("How I read your columns", style="bold"), table, Text(""))
