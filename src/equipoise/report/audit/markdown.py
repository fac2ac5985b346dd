"""The report as Markdown, for issues, notebooks and terminals: the tables and sentences, no pictures."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup, escape

from ...core.records.audit import AuditRecord
from ..page import template_environment
from .collect import collect

__all__ = ["markdown_text", "render_markdown"]

_SPECIAL = re.compile(r"([\\`*_\[\]|~$]|^[#+=-])")
_LISTED = re.compile(r"^(\d{1,9})([.)])(?=\s|$)")
"""A number that would begin a list; a backslash before a digit would itself be seen."""


def render_markdown(record: AuditRecord | Sequence[AuditRecord], title: str | None = None) -> str:
    """The report as Markdown text; several records are cases one after another.

    Args:
        record: One record, or several cases.
        title: Title of the page; by default the record's own.
    """
    records = [record] if isinstance(record, AuditRecord) else list(record)
    return markdown_text("report.md", collect(records, title))


def markdown_text(template: str, page: Mapping[str, Any]) -> str:
    """A template filled in, with markup of HTML and of Markdown disarmed in every value."""
    environment = template_environment(finalize=_escape_markdown)
    environment.filters["literal"] = Markup
    return environment.get_template(template).render(page=page)


def _escape_markdown(value: Any) -> Any:
    """Markup of HTML and of Markdown disarmed; numbers keep their sign and point.

    Inside an indented code block nothing is markup, so what the template marks ``literal`` is left alone.
    """
    if isinstance(value, Markup) or not isinstance(value, str):
        return value
    if re.fullmatch(r"[\d.,<>+−-]*( %)?", value):
        return escape(value)
    text = _SPECIAL.sub(r"\\\1", str(escape(value.strip())).replace("&#39;", "'").replace("&#34;", '"'))
    return Markup(_LISTED.sub(r"\1\\\2", text))  # noqa: S704 - escaped above
