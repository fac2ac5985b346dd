"""``equipoise report``: render a folder's record again: an audit, a fit, an exploration, a recorded training."""

from pathlib import Path
from typing import Annotated

import typer

from .common import Json, reporting, show
from .explore import show_exploration
from .fit import show_fit
from .log_output import tell_log
from .reproduce import show_again
from .terminal import say, say_json

__all__ = ["report"]


@reporting
def report(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="A folder that equipoise wrote.")],
    markdown: Annotated[
        bool, typer.Option("--markdown", help="Print the report as Markdown and write nothing.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Render the report of a run folder again.

    Nothing is computed. The folder may come from equipoise audit, fit, explore, rewards, runs, demo or reproduce, or
    from
    eq.record in your own training loop, even while that training runs.
    """
    from ..core.our_folder import what_is_in  # noqa: PLC0415 - not for --help

    kind = what_is_in(folder).kind
    if kind == "reproduction":
        show_again(folder, markdown, as_json)
    elif kind == "training":
        _training(folder, markdown, as_json)
    elif kind == "log":
        _log(folder, markdown, as_json)
    elif kind == "fit":
        _fit(folder, markdown, as_json)
    elif kind == "explore":
        _explore(folder, markdown, as_json)
    else:
        _audit(folder, markdown, as_json)


def _audit(folder: Path, markdown: bool, as_json: bool) -> None:
    from ..audits.run_folder import read_config, read_records, replace_report  # noqa: PLC0415
    from ..core.records.as_json import records_to_json  # noqa: PLC0415 - not for --help
    from ..report import render_console, render_html, render_markdown  # noqa: PLC0415 - not for --help

    records = read_records(folder)
    if markdown:
        say(render_markdown(records, read_config(folder).title), end="")
        return
    path = replace_report(folder, render_html(records, read_config(folder).title))
    if as_json:
        say_json(records_to_json(records))
    else:
        show(render_console(records))
    say(str(path), err=as_json)


def _log(folder: Path, markdown: bool, as_json: bool) -> None:
    from ..audits.logs.log_folder import read_log_record, replace_log_report  # noqa: PLC0415 - not for --help
    from ..report.logs.render import render_log_html, render_log_markdown  # noqa: PLC0415 - not for --help

    record = read_log_record(folder)
    if markdown:
        say(render_log_markdown(record), end="")
        return
    tell_log(record, replace_log_report(folder, render_log_html(record)), as_json)


def _training(folder: Path, markdown: bool, as_json: bool) -> None:
    from ..report.training.render import render_training_console, render_training_html, render_training_markdown  # noqa: PLC0415
    from ..training.recording.folder import read_neighbours, read_training, write_report  # noqa: PLC0415
    from ..training.recording.run_checks import identical_runs  # noqa: PLC0415 - not for --help

    record = read_training(folder)
    same = identical_runs(folder.resolve().name, record, read_neighbours(folder, record))
    if markdown:
        say(render_training_markdown(record, same), end="")
        return
    path = write_report(folder, render_training_html(record, same))
    if as_json:
        say_json(record.model_dump_json(indent=1) + "\n")
    else:
        show(render_training_console(record, same))
    say(str(path), err=as_json)


def _fit(folder: Path, markdown: bool, as_json: bool) -> None:
    from ..report import render_fit_markdown  # noqa: PLC0415 - not for --help
    from ..training.tables.saved import read_fit  # noqa: PLC0415 - imports torch

    record = read_fit(folder)
    if markdown:
        say(render_fit_markdown(record), end="")
        return
    show_fit(folder, record, as_json)


def _explore(folder: Path, markdown: bool, as_json: bool) -> None:
    from ..fronts.exploring.folder import read_exploration  # noqa: PLC0415 - imports torch
    from ..report.explored.render import render_explored_markdown  # noqa: PLC0415 - not for --help

    record = read_exploration(folder)
    if markdown:
        say(render_explored_markdown(record), end="")
        return
    show_exploration(folder, record, as_json)
