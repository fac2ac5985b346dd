"""The report of an audit as one self-contained HTML page; see :mod:`.page` for what makes it so."""

from collections.abc import Sequence

from ...core.records.audit import AuditRecord
from ..page import render_page
from .collect import collect
from .linear_section import add_pictures, blocks

__all__ = ["render_html"]


def render_html(record: AuditRecord | Sequence[AuditRecord], title: str | None = None) -> str:
    """The report as one HTML page.

    Args:
        record: One record, or several cases shown side by side.
        title: Of the page; by default the record's own.

    Returns:
        The page. Same records, same text: it holds no date and no random name.
    """
    records = [record] if isinstance(record, AuditRecord) else list(record)
    page = add_pictures(collect(records, title), records)
    sections = [section for case in page["cases"] for section in case["sections"]]
    drawn = any(section["panels"] for section in sections) or any(block["panels"] for block in blocks(page))
    return render_page("report.html", page, drawn=drawn)
