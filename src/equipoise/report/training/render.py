"""A recorded training as one self-contained HTML page, as Markdown, and for the console."""

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from ...core.console import make_table
from ...core.records.training import Notice, TrainingRecord
from ..audit.markdown import markdown_text
from ..page import render_page
from .collect import collect_training

__all__ = ["render_training_console", "render_training_html", "render_training_markdown"]


def render_training_html(record: TrainingRecord, found: Sequence[Notice] = ()) -> str:
    """The page, with notices from comparisons with other runs: it loads nothing and holds no date."""
    page = collect_training(record, found)
    return render_page("training.html", page, drawn=bool(page["panels"]), styles=("report.css", "training.css"))


def render_training_markdown(record: TrainingRecord, found: Sequence[Notice] = ()) -> str:
    """The report as Markdown: sentences and tables, no pictures."""
    return markdown_text("training.md", collect_training(record, found))


def render_training_console(record: TrainingRecord, found: Sequence[Notice] = ()) -> RenderableType:
    """The notices and the table of tasks as something that rich prints; names are plain text here."""
    page = collect_training(record, found)
    parts: list[RenderableType] = [Text(page["lead"], style="bold"), Text(page["headline"])]
    for notice in page["notices"]:
        parts += [Text(""), Text(notice["words"]), Text(f"What to do: {notice['remedy']}", style="dim")]
    table = make_table(
        "task", "first loss", "lowest", "last", "weight", "gradient", "share of update", "raised by step", "present"
    )
    for task in page["tasks"]:
        keys = ("name", "first", "lowest", "last", "weights", "norm", "share", "raised", "present")
        table.add_row(*(Text(task[key]) for key in keys))
    parts += [Text(""), table, Text(page["gradients"], style="dim")]
    parts += [Text(sentence, style="dim") for sentence in page["taken"]]
    parts += [Text(f"{row['status']}: {row['steps']} steps ({row['share']})") for row in page["counts"]]
    parts += [Text(sentence) for sentence in page["time"]]
    return Group(*parts)
