"""``equipoise report``: render a run folder's record again."""

from pathlib import Path
from typing import Annotated

import typer

from .common import Json, reporting, show

__all__ = ["report"]


@reporting
def report(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="A folder that equipoise wrote.")],
    markdown: Annotated[bool, typer.Option("--markdown", help="Print the report as Markdown; write nothing.")] = False,
    as_json: Json = False,
) -> None:
    """Render report.html again from record.json, without computing anything."""
    from ..record_json import records_to_json  # noqa: PLC0415 - not for --help
    from ..report import render_console, render_html, render_markdown  # noqa: PLC0415 - not for --help
    from ..run_folder import read_config, read_records, replace_report  # noqa: PLC0415

    records = read_records(folder)
    if markdown:
        typer.echo(render_markdown(records, read_config(folder).title), nl=False)
        return
    path = replace_report(folder, render_html(records, read_config(folder).title))
    if as_json:
        typer.echo(records_to_json(records), nl=False)
    else:
        show(render_console(records))
    typer.echo(str(path), err=as_json)
