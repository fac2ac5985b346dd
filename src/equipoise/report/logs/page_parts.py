"""What a page on a log is made of: sections of sentences, tables, lines to paste, and pictures."""

from collections.abc import Sequence
from typing import Any

__all__ = ["Page", "make_section", "make_table", "number", "spanned"]

Page = dict[str, Any]
"""What the template ``log.html`` names, every value formatted; its sections are made by `make_section`."""


def make_section(title: str, *words: str, **parts: Any) -> Page:
    """A section: its title and sentences; ``tables``, ``code``, ``panels``, ``legend``, ``caption`` where given."""
    empty: Page = {"tables": [], "code": [], "panels": [], "legend": [], "caption": ""}
    return {"title": title, "words": [word for word in words if word], **empty, **parts}


def make_table(caption: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> Page:
    """A table of text; the first cell of a row names it."""
    return {"caption": caption, "head": list(head), "rows": [list(row) for row in rows]}


def number(value: float) -> str:
    """A number in its own unit, with a true minus.

    Example:
        >>> number(-0.012345), number(123456.0)
        ('−0.01234', '1.235e+05')
    """
    return f"{value:.4g}".replace("-", "−", 1 if value < 0 else 0)


def spanned(low: float, high: float, digits: int = 2) -> str:
    """An interval of numbers near 1.

    Example:
        >>> spanned(-0.1, 0.25), spanned(0.5, 0.5)
        ('−0.10 to 0.25', '0.50')
    """
    ends = [f"{value + 0.0:.{digits}f}".replace("-", "−") for value in (low, high)]
    return ends[0] if ends[0] == ends[1] else " to ".join(ends)
