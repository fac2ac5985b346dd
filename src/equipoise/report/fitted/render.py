"""A fit as one self-contained HTML page, as Markdown, and for the console."""

from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from ...core.console import make_table
from ...core.drawing.plot_parts import legend_line, line_styles
from ...core.records.fitted import FitRecord
from ..audit.markdown import markdown_text
from ..page import render_page
from .collect import collect_fit

__all__ = ["render_fit_console", "render_fit_html", "render_fit_markdown"]

_STYLES = {"enough": "green", "nothing_to_trade": "blue", "undetermined": "yellow"}


def render_fit_html(record: FitRecord, title: str | None = None) -> str:
    """The page: it loads nothing and holds no date.

    Args:
        record: Record of a fit.
        title: Title of the page; by default the record's own.
    """
    page = collect_fit(record, title)
    styles = line_styles([task.name for task in record.tasks])
    page["legend"] = [legend_line(style["name"], style["color"], style["dash"]) for style in styles]
    return render_page("fitted.html", page, drawn=bool(page["panels"]), styles=("report.css", "fitted.css"))


def render_fit_markdown(record: FitRecord, title: str | None = None) -> str:
    """The same as Markdown: sentences and tables, no pictures."""
    return markdown_text("fitted.md", collect_fit(record, title))


def render_fit_console(record: FitRecord) -> RenderableType:
    """The answer, the ladder and the targets as something that rich prints; names are plain text here."""
    page = collect_fit(record)
    parts: list[RenderableType] = [Text(page["title"], style="bold")]
    parts += [Text(f"doubt: {doubt}", style="yellow") for doubt in page["doubts"]]
    parts += [Text(page["headline"], style=f"bold {_STYLES[page['status']]}"), *map(Text, page["sentences"]), Text("")]
    parts += [_ladder(page), Text("")]
    parts += [_targets(page), Text("")] if page["compared"] else []
    parts += [
        Text(f"not finished: {row['entrant']}, seed {row['seed']}: {row['reason']}") for row in page["unfinished"]
    ]
    parts += [Text(f"{name}: {words}", style="dim") for name, words in page["facts"]]
    return Group(*parts)


def _ladder(page: dict[str, Any]) -> Table:
    table = make_table("held out", *page["references"], "parameters", "trials", "passes", "time a seed", "finished")
    for row in page["ladder"]:
        words = f"{row['words']} ({row['tag']})" if row["tag"] else row["words"]
        cells = (words, *row["ratios"], *(row[key] for key in ("parameters", "trials", "passes", "seconds", "runs")))
        table.add_row(*map(Text, cells), style="bold" if row["selected"] else None)
    return table


def _targets(page: dict[str, Any]) -> Table:
    table = make_table("target", "loss", "one model against separate ones", "95 % interval", "finding")
    for row in page["rows"]:
        table.add_row(*(Text(row[key]) for key in ("name", "loss", "change", "interval", "finding")))
    return table
