"""One self-contained HTML page from records.

The page loads nothing: styles, script, figures and plotly are inline, and a content security policy forbids every
fetch. Only the two scripts written here may run, named by their hash, so a name that slipped through the escaping
still could not act.
"""

import base64
import hashlib
import json
from collections.abc import Sequence
from typing import Any

import jinja2
from markupsafe import Markup

from ..verdict import AuditRecord
from .collect import collect

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
    page = collect(records, title)
    environment = _environment()
    source = environment.loader
    assert source is not None
    style, script = (source.get_source(environment, name)[0] for name in ("report.css", "report.js"))
    drawn = any(section["panels"] for case in page["cases"] for section in case["sections"])
    scripts = [_plotly(), script] if drawn else []
    return environment.get_template("report.html").render(
        page=page,
        style=Markup(style),  # noqa: S704 - our own file
        scripts=[Markup(text) for text in scripts],  # noqa: S704 - our own file and plotly's
        policy=_policy(scripts),
    )


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("equipoise.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["inline_json"] = _inline_json
    return environment


def _inline_json(value: Any) -> Markup:
    """JSON that may stand in a script element: no ``<``, ``>`` or ``&``, ASCII only, NaN refused."""
    text = json.dumps(value, allow_nan=False, separators=(",", ":"), sort_keys=True)
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)  # noqa: S704 - escaped above


def _policy(scripts: Sequence[str]) -> str:
    digests = (base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in scripts)
    allowed = " ".join(f"'sha256-{digest}'" for digest in digests) or "'none'"
    return (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def _plotly() -> str:
    """Plotly's own script, unchanged but for what would end the element early."""
    from plotly.offline import get_plotlyjs  # noqa: PLC0415 - 5 MB, needed only where there are figures

    text: str = get_plotlyjs()
    return text.replace("</script", "<\\/script")
