"""What a page on a log is made of: sections of sentences, tables, lines to paste, and pictures."""

from collections.abc import Sequence
from typing import Any, TypedDict

from ...core.drawing.plot_parts import LegendEntry, Panel

__all__ = ["LogPage", "Section", "TableOf", "make_section", "make_table", "number", "spanned"]


class TableOf(TypedDict):
    """A table: its caption, the heads of its columns, and rows of text; the first cell of a row names it."""

    caption: str
    head: list[str]
    rows: list[list[str]]


class Section(TypedDict):
    """A part of the page under a title."""

    title: str
    words: list[str]
    tables: list[TableOf]
    code: list[str]
    panels: list[Panel]
    legend: list[LegendEntry]
    caption: str


class LogPage(TypedDict):
    """Everything that a page on a log shows; `status` is one of the badges of an audit."""

    title: str
    kicker: str
    status: str
    badge: str
    headline: str
    lead: str
    notes: list[str]
    sections: list[Section]
    caveat: str
    settings: list[tuple[str, str]]
    command: str
    versions: list[tuple[str, str]]


def make_section(title: str, *words: str, **parts: Any) -> Section:
    """A section; what is not given is empty."""
    empty: Section = {
        "title": title, "words": [word for word in words if word], "tables": [], "code": [], "panels": [],
        "legend": [], "caption": "",
    }  # fmt: skip
    return {**empty, **parts}  # type: ignore[typeddict-item]


def make_table(caption: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> TableOf:
    """A table."""
    return {"caption": caption, "head": list(head), "rows": [list(row) for row in rows]}


def number(value: float | None, digits: int = 4) -> str:
    """A number in its own unit, with a true minus.

    Example:
        >>> number(-0.012345), number(None), number(123456.0)
        ('−0.01234', '', '1.235e+05')
    """
    return "" if value is None else f"{value:.{digits}g}".replace("-", "−", 1 if value < 0 else 0)


def spanned(low: float, high: float, digits: int = 2) -> str:
    """An interval of numbers near 1.

    Example:
        >>> spanned(-0.1, 0.25), spanned(0.5, 0.5)
        ('−0.10 to 0.25', '0.50')
    """
    ends = [f"{value + 0.0:.{digits}f}".replace("-", "−") for value in (low, high)]
    return ends[0] if ends[0] == ends[1] else " to ".join(ends)
