"""``equipoise audit``: a table with several targets in, a verdict on its trade-offs out."""

from typing import TYPE_CHECKING, Annotated

import typer

from .._version import __version__
from .common import Json, Out, Overwrite, Quiet, Seed, command_line, finish, names_of, reporting_with, show, whole
from .progress import progress

if TYPE_CHECKING:
    from ..data import Reading

__all__ = ["audit"]

_NAMES = "Once: separated by commas. Repeated: one name each, as written."


PATIENCE = 20.0
"""Seconds of work from which on finished widths and resamples are kept for the case of an interruption."""
_INTERRUPTED = (
    f"interrupted; nothing half-written was left. After {PATIENCE:.0f} s of work or more, the same command goes on "
    "from what is finished"
)


@reporting_with(_INTERRUPTED)
def audit(
    data: Annotated[
        str, typer.Argument(metavar="DATA", help="A file, an address, - for standard input, or a built-in name.")
    ],
    targets: Annotated[
        list[str] | None, typer.Option("--targets", "-t", metavar="NAMES", help=f"Target columns. {_NAMES}")
    ] = None,
    width: Annotated[
        int | None,
        typer.Option("--width", metavar="Q", parser=whole, help="Width of the shared layer. Default: every width."),
    ] = None,
    inputs: Annotated[
        list[str] | None, typer.Option("--inputs", metavar="NAMES", help="Input columns. Default: all others.")
    ] = None,
    drop: Annotated[list[str] | None, typer.Option("--drop", metavar="NAMES", help="Columns to leave out.")] = None,
    no_header: Annotated[bool, typer.Option("--no-header", help="The first line holds data.")] = False,
    names: Annotated[
        list[str] | None, typer.Option("--names", metavar="NAMES", help="Column names, for a file without header.")
    ] = None,
    sep: Annotated[
        str | None, typer.Option("--sep", metavar="C", help="Character between columns; \\t for a tab. Default: found.")
    ] = None,
    decimal: Annotated[
        str | None, typer.Option("--decimal", metavar="C", help="Decimal mark, a point or a comma.")
    ] = None,
    thousands: Annotated[
        str | None, typer.Option("--thousands", metavar="C", help="Mark between thousands: , . ' _ or a blank.")
    ] = None,
    na: Annotated[
        list[str] | None, typer.Option("--na", metavar="TEXTS", help="What else means missing: --na=-999,unknown.")
    ] = None,
    skip_rows: Annotated[
        int, typer.Option("--skip-rows", metavar="N", parser=whole, help="Lines to pass over at the start.")
    ] = 0,
    encoding: Annotated[
        str | None, typer.Option("--encoding", metavar="NAME", help="Such as cp1252. Default: found.")
    ] = None,
    numeric: Annotated[
        list[str] | None, typer.Option("--numeric", metavar="NAMES", help="Columns that must be numbers.")
    ] = None,
    categorical: Annotated[
        list[str] | None, typer.Option("--categorical", metavar="NAMES", help="Columns that are classes.")
    ] = None,
    date: Annotated[
        list[str] | None, typer.Option("--date", metavar="NAMES", help="Dates or times to read as days or hours.")
    ] = None,
    bootstraps: Annotated[
        int | None,
        typer.Option(
            "--bootstraps",
            metavar="N",
            parser=whole,
            help="Resamples of the rows. Default: 200 where under half of the rows are complete, else none.",
        ),
    ] = None,
    seed: Seed = 0,
    out: Out = None,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Can a weighted sum of the losses reach the balanced trade-offs of a table, and what else can?

    First says how each column was read. Exact for linear models with a shared layer of the given width. Writes
    config.json, record.json and report.html.
    """
    from ..audits import table_audit as auditing  # noqa: PLC0415 - imports numpy, pandas, scipy
    from ..audits.run_folder import RunConfig, RunFolder  # noqa: PLC0415 - not for --help
    from ..data import load  # noqa: PLC0415 - imports pandas
    from ..report.audit.columns import render_columns  # noqa: PLC0415 - not for --help

    columns = {"targets": names_of(targets), "inputs": names_of(inputs), "names": names_of(names)}
    dropped = names_of(drop) or ()
    reading: Reading = {
        "sep": sep, "decimal": decimal, "thousands": thousands, "na": names_of(na) or (), "skip_rows": skip_rows,
        "encoding": encoding, "numeric": names_of(numeric) or (), "categorical": names_of(categorical) or (),
        "date": names_of(date) or (),
    }  # fmt: skip
    said = {option: value for option, value in reading.items() if value not in (None, (), 0)}
    auditing.check_settings(width, bootstraps, seed)
    with progress(quiet) as report:
        report(0, 1, f"reading {data}")
        table = load(data, header=not no_header, drop=dropped, **columns, **reading)
        chosen = out or RunFolder.default(
            "audit", table.name, ",".join(columns["targets"] or ()), f"width {width}" if width else ""
        )
        config = RunConfig(
            command="audit", version=__version__, data=table.name, sha256=table.sha256, **columns, drop=dropped,
            width=width, header=not no_header, bootstraps=bootstraps, seed=seed, reading=said,
        )  # fmt: skip
        folder = RunFolder(chosen, config, overwrite=overwrite)
        if not as_json:
            show(render_columns(table.columns))
        records = folder.records()
        if records is None:
            typed = command_line(
                "audit", data, targets=columns["targets"], width=width, inputs=columns["inputs"], drop=dropped,
                no_header=no_header, names=columns["names"], **said, bootstraps=bootstraps, seed=seed or None,
            )  # fmt: skip
            records = (
                auditing.audit(
                    table, width=width, bootstraps=bootstraps, seed=seed, command=typed, kept=folder.parts(PATIENCE),
                    progress=report,
                ),
            )  # fmt: skip
    finish(folder, records, None, as_json)
