"""A recorded training as one self-contained HTML page, as Markdown, and for the console."""

from collections.abc import Sequence
from typing import Any

import jinja2
from markupsafe import Markup
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from ..runs.training_record import Notice, TrainingRecord
from .html import _environment, _plotly, _policy
from .markdown import _escape_markdown
from .training_collect import collect_training

__all__ = ["render_training_console", "render_training_html", "render_training_markdown"]


def render_training_html(record: TrainingRecord, found: Sequence[Notice] = (), title: str | None = None) -> str:
    """The page: it loads nothing and holds no date.

    Args:
        record: As read back.
        found: Notices from comparisons with other runs.
        title: Of the page.
    """
    page = collect_training(record, found, title)
    environment = _environment()
    loader = environment.loader
    assert loader is not None
    sources = {name: loader.get_source(environment, name)[0] for name in ("report.css", "training.css", "report.js")}
    scripts = [_plotly(), sources["report.js"]] if page["panels"] else []
    return environment.get_template("training.html").render(
        page=page,
        style=Markup(sources["report.css"] + sources["training.css"]),  # noqa: S704 - our own files
        scripts=[Markup(text) for text in scripts],  # noqa: S704 - our own file and plotly's
        policy=_policy(scripts),
    )


def render_training_markdown(record: TrainingRecord, found: Sequence[Notice] = (), title: str | None = None) -> str:
    """The same as Markdown: sentences and tables, no pictures."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("equipoise.report"),
        autoescape=True,
        finalize=_escape_markdown,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template("training.md").render(page=collect_training(record, found, title))


def render_training_console(record: TrainingRecord, found: Sequence[Notice] = ()) -> RenderableType:
    """The notices and the table of tasks as something that rich prints; names are plain text here."""
    page = collect_training(record, found)
    parts: list[RenderableType] = [Text(page["lead"], style="bold"), Text(page["headline"])]
    for notice in page["notices"]:
        parts += [Text(""), Text(notice["words"]), Text(f"What to do: {notice['remedy']}", style="dim")]
    parts += [Text(""), _tasks(page), Text(page["gradients"], style="dim")]
    parts += [Text(f"{row['status']}: {row['steps']} steps ({row['share']})") for row in page["counts"]]
    parts += [Text(sentence) for sentence in page["time"]]
    return Group(*parts)


def _tasks(page: dict[str, Any]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    for column in ("task", "first loss", "lowest", "last", "weight", "gradient", "share of update", "present"):
        table.add_column(column, overflow="fold")
    for task in page["tasks"]:
        keys = ("name", "first", "lowest", "last", "weights", "norm", "share", "present")
        table.add_row(*(Text(task[key]) for key in keys))
    return table
