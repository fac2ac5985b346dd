"""An exploration as one self-contained HTML page, as Markdown, and for the console."""

from rich.console import RenderableType

from ...core.records.explored import ExploreRecord
from ..audit.markdown import markdown_text
from ..logs.render import page_console, page_html
from .explored_page import explored_page

__all__ = ["render_explored_console", "render_explored_html", "render_explored_markdown"]


def render_explored_html(record: ExploreRecord) -> str:
    """The page: it loads nothing and holds no date."""
    page = explored_page(record)
    acts = any("widget" in section for section in page["sections"])
    return page_html(page, ("explored.css",), ("explored.js",) if acts else ())


def render_explored_markdown(record: ExploreRecord) -> str:
    """The same as Markdown: sentences and tables, no pictures."""
    return markdown_text("log.md", explored_page(record))


def render_explored_console(record: ExploreRecord) -> RenderableType:
    """The answer first, then sentences and tables, as something that rich prints."""
    page = explored_page(record)
    return page_console(page | {"lead": page["headline"], "headline": page["lead"]})
