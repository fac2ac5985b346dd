"""Reports: a record in, a page out.

Three steps that never mix: :mod:`.audit.collect` turns a record into a plain dict of words and formatted numbers,
:mod:`.pictures` turns it into plotly dicts, and :mod:`.audit.html`, :mod:`.audit.markdown` and :mod:`.audit.console`
render; :mod:`.fitted` and :mod:`.training` likewise. Nothing here computes a result or imports torch; same record, same
bytes. What the pictures of an audit show is in its record too: `equipoise.audits.pictures` arranged it when the audit
was made.
"""

from .audit.collect import collect
from .audit.console import render_console
from .audit.html import render_html
from .audit.markdown import render_markdown
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
