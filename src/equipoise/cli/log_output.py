"""What ``equipoise rewards`` and ``equipoise runs`` write and print."""

from pathlib import Path
from typing import TYPE_CHECKING

from .common import show
from .terminal import say, say_json

if TYPE_CHECKING:
    from ..audits.logs.log_folder import LogFolder, LogRecord

__all__ = ["finish_log", "tell_log"]


def finish_log(folder: "LogFolder", record: "LogRecord", as_json: bool) -> None:
    """Write the folder and print the result."""
    from ..report.logs.render import render_log_html  # noqa: PLC0415 - not for --help

    folder.write(record, render_log_html(record))
    tell_log(record, folder.report, as_json)


def tell_log(record: "LogRecord", report: Path, as_json: bool) -> None:
    """Print a record, and the report's path as the last line."""
    from ..report.logs.render import render_log_console  # noqa: PLC0415 - not for --help

    if as_json:
        say_json(record.model_dump_json(indent=1) + "\n")
    else:
        show(render_log_console(record))
    say(str(report), err=as_json)
