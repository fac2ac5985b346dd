"""A page on a log as self-contained HTML, as Markdown, and for the console."""

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from ...core.records.rewards import RewardsRecord
from ...core.records.run_table import RunTableRecord
from ..audit.markdown import markdown_text
from ..page import render_page
from .page_parts import Page
from .rewards_page import rewards_page
from .runs_page import runs_page

__all__ = ["log_page", "page_console", "page_html", "render_log_console", "render_log_html", "render_log_markdown"]

_MOST_LINES = 15


def log_page(record: RewardsRecord | RunTableRecord) -> Page:
    """The page of either record as a plain dict."""
    return rewards_page(record) if isinstance(record, RewardsRecord) else runs_page(record)


def render_log_html(record: RewardsRecord | RunTableRecord) -> str:
    """The page: it loads nothing and holds no date."""
    return page_html(log_page(record))


def page_html(page: Page, styles: Sequence[str] = (), scripts: Sequence[str] = ()) -> str:
    """Any page of sections as HTML, with further style sheets and scripts of ours."""
    panels = [panel for section in page["sections"] for panel in section["panels"]]
    for place, panel in enumerate(panels, start=1):
        panel["id"] = f"figure-{place}"
    sheets = ("report.css", "training.css", *styles)
    return render_page("log.html", page, drawn=bool(panels), styles=sheets, scripts=scripts)


def render_log_markdown(record: RewardsRecord | RunTableRecord) -> str:
    """The same as Markdown: sentences and tables, no pictures."""
    return markdown_text("log.md", log_page(record))


def render_log_console(record: RewardsRecord | RunTableRecord) -> RenderableType:
    """Sentences and tables as something that rich prints; names are plain text here."""
    return page_console(log_page(record))


def page_console(page: Page) -> RenderableType:
    """Any page of sections for the console."""
    parts: list[RenderableType] = [Text(page["lead"], style="bold"), Text(page["headline"])]
    parts += [Text(note, style="dim") for note in page["notes"]]
    for section in page["sections"]:
        if not section["tables"] and not section["words"]:
            continue
        parts += [Text(""), Text(section["title"], style="bold"), *map(Text, section["words"])]
        parts += [part for table in section["tables"] for part in _table(table)]
        parts += [Text(line) for line in section["code"]]
    parts += [Text(""), Text(page["caveat"], style="dim")]
    return Group(*parts)


def _table(table: Page) -> list[RenderableType]:
    shown = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    for column in table["head"]:
        shown.add_column(Text(column), overflow="fold")
    for row in table["rows"][:_MOST_LINES]:
        shown.add_row(*map(Text, row))
    more = len(table["rows"]) - _MOST_LINES
    return [shown, *([Text(f"and {more} more: see the report", style="dim")] if more > 0 else [])]
