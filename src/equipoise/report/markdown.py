"""The report as Markdown, for issues, notebooks and terminals: the tables and sentences, no pictures."""

import re
from collections.abc import Sequence
from typing import Any

import jinja2
from markupsafe import Markup, escape

from ..verdict import AuditRecord
from .collect import collect

__all__ = ["render_markdown"]

_SPECIAL = re.compile(r"([\\`*_\[\]|~$]|^\s*[#+=-]|^\s*\d+(?=[.)]))")


def render_markdown(record: AuditRecord | Sequence[AuditRecord], title: str | None = None) -> str:
    """The report as Markdown text.

    Args:
        record: One record, or several cases one after another.
        title: Of the page; by default the record's own.
    """
    records = [record] if isinstance(record, AuditRecord) else list(record)
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("equipoise.report"),
        autoescape=True,
        finalize=_escape_markdown,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["literal"] = Markup
    return environment.get_template("report.md").render(page=collect(records, title))


def _escape_markdown(value: Any) -> Any:
    """Markup of HTML and of Markdown disarmed; numbers keep their sign and point.

    Inside an indented code block nothing is markup, so what the template marks ``literal`` is left alone.
    """
    if isinstance(value, Markup) or not isinstance(value, str):
        return value
    if re.fullmatch(r"[\d.,<>+−-]*( %)?", value):
        return escape(value)
    return Markup(_SPECIAL.sub(r"\\\1", str(escape(value)).replace("&#39;", "'").replace("&#34;", '"')))  # noqa: S704
