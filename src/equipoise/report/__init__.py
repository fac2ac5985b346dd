"""Reports: a record in, a page out.

Three steps that never mix: :mod:`.audit.collect` turns a record into a plain dict of words and formatted numbers,
:mod:`.pictures` turns it into plotly dicts, and :mod:`.audit.html`, :mod:`.audit.markdown` and :mod:`.audit.console`
render; :mod:`.fitted` and :mod:`.training` likewise. Nothing here computes a result or imports torch; same record, same
bytes. What the pictures of an audit show is in its record too: `equipoise.audits.pictures` arranged it when the audit
was made.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .audit.collect import collect
from .audit.console import render_console
from .audit.html import render_html
from .audit.markdown import render_markdown

if TYPE_CHECKING:
    from .fitted.render import render_fit_console, render_fit_html, render_fit_markdown

__all__ = [
    "collect",
    "render_console",
    "render_fit_console",
    "render_fit_html",
    "render_fit_markdown",
    "render_html",
    "render_markdown",
]


def __getattr__(name: str) -> Any:
    """What renders a fit imports scipy's distributions, which other reports do without."""
    if not name.startswith("render_fit_") or name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(".fitted.render", __name__), name)
