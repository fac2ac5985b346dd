"""Reports: a record in, a page out.

Three steps that never mix: :mod:`.collect` turns a record into a plain dict of words and formatted numbers,
:mod:`.figures` and :mod:`.linear_figures` turn it into plotly dicts, and :mod:`.html`, :mod:`.markdown` and
:mod:`.console` render. Nothing here computes a result or imports torch; same record, same bytes. What the pictures
show is in the record too: `equipoise.linear.audit_pictures` arranged it when the audit was made.
"""

from .audit.collect import collect
from .audit.console import render_console
from .audit.html import render_html
from .audit.markdown import render_markdown

__all__ = ["collect", "render_console", "render_html", "render_markdown"]
