"""The report of an audit as one self-contained HTML page; see :mod:`equipoise.report.page` for what makes it so."""

from collections.abc import Sequence
from typing import Any

from ...core.records.audit import AuditRecord
from ..page import render_page
from .collect import collect
from .linear_section import NONE, add_pictures, blocks

__all__ = ["LARGEST", "render_html"]

LARGEST = 5_000_000
"""Bytes of a page. The tables alone stay far below: what could be larger are the pictures of very many widths."""


def render_html(record: AuditRecord | Sequence[AuditRecord], title: str | None = None) -> str:
    """The report as one HTML page; several records are cases shown side by side.

    Args:
        record: One record, or several cases.
        title: Title of the page; by default the record's own.

    Returns:
        The page. Same records, same text: it holds no date and no random name.
    """
    records = [record] if isinstance(record, AuditRecord) else list(record)
    page = add_pictures(collect(records, title), records)
    text = _rendered(page)
    if len(text.encode()) <= LARGEST:
        return text
    return _rendered(_without_pictures(page))


def _rendered(page: dict[str, Any]) -> str:
    sections = [section for case in page["cases"] for section in case["in_order"]]
    drawn = any(section["panels"] for section in sections) or any(block["panels"] for block in blocks(page))
    return render_page("report.html", page, drawn=drawn)


def _without_pictures(page: dict[str, Any]) -> dict[str, Any]:
    """The page with the pictures of the recommended widths only; the others say where they went."""
    words = "Not drawn here, so that the page stays below 5 MB: run the audit with this --width for the pictures."
    for case in page["cases"]:
        for section in case["in_order"][1:]:
            section |= {"panels": [], "legend": [], "undrawn": words}
            section["pictures"] = dict.fromkeys(section["pictures"], NONE)
    return page
