"""``equipoise audit``: a table with several targets in, a verdict on its trade-offs out."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from .._version import __version__
from .common import Json, Out, Overwrite, Quiet, Seed, command_line, finish, names_of, reporting_with, show, whole
from .progress import progress_on_stderr

if TYPE_CHECKING:
    from ..data import Reading

__all__ = ["audit"]

Names = list[str] | None

_NAMES = "Separate names with commas, or repeat the option with one name each."

PATIENCE = 20.0
"""Seconds of work from which on finished widths and resamples are kept for the case of an interruption."""
_INTERRUPTED = (
    f"interrupted; nothing half-written was left. After {PATIENCE:.0f} s of work or more, the same command goes on "
    "from what is finished"
)


def _columns(flag: str, text: str, *short: str) -> Any:
    return typer.Option(flag, *short, metavar="NAMES", help=text)


def _mark(flag: str, text: str, metavar: str = "C") -> Any:
    return typer.Option(flag, metavar=metavar, help=f"{text} Default: detected.")


def _whole(flag: str, metavar: str, text: str) -> Any:
    return typer.Option(flag, metavar=metavar, parser=whole, help=text)


@reporting_with(_INTERRUPTED)
def audit(
    data: Annotated[
        str, typer.Argument(metavar="DATA", help="A file, a web address, - for standard input, or a built-in name.")
    ],
    targets: Annotated[Names, _columns("--targets", f"Target columns. {_NAMES}", "-t")] = None,
    width: Annotated[int | None, _whole("--width", "Q", "Width of the shared layer. Default: all widths.")] = None,
    inputs: Annotated[Names, _columns("--inputs", "Input columns. Default: all other columns.")] = None,
    drop: Annotated[Names, _columns("--drop", "Columns to ignore.")] = None,
    no_header: Annotated[bool, typer.Option("--no-header", help="The first line holds data, not names.")] = False,
    names: Annotated[Names, _columns("--names", "Names for all columns, in place of the file's.")] = None,
    sep: Annotated[str | None, _mark("--sep", "Character between columns, such as ; or \\t.")] = None,
    decimal: Annotated[str | None, _mark("--decimal", "Decimal mark: . or a comma.")] = None,
    thousands: Annotated[str | None, _mark("--thousands", "Mark between thousands: , . ' _ or a blank.")] = None,
    na: Annotated[
        Names, typer.Option("--na", metavar="TEXTS", help="Texts that also mean missing, as in --na=-999,unknown.")
    ] = None,
    skip_rows: Annotated[int, _whole("--skip-rows", "N", "Lines to skip at the start of the file.")] = 0,
    encoding: Annotated[str | None, _mark("--encoding", "Text encoding, such as cp1252.", "NAME")] = None,
    numeric: Annotated[Names, _columns("--numeric", "Columns to read as numbers.")] = None,
    categorical: Annotated[Names, _columns("--categorical", "Columns to read as classes.")] = None,
    date: Annotated[Names, _columns("--date", "Columns of dates or times to read as days or hours.")] = None,
    bootstraps: Annotated[
        int | None,
        _whole("--bootstraps", "N", "Resamples of the rows. Default: 200 if fewer than half are complete, else 0."),
    ] = None,
    new_rows: Annotated[
        bool | None,
        typer.Option("--new-rows/--no-new-rows", help="Cross-validate every remedy. Default: where rows suffice."),
    ] = None,
    group: Annotated[
        str | None, typer.Option("--group", metavar="NAME", help="Column of groups to keep whole.")
    ] = None,
    time: Annotated[str | None, typer.Option("--time", metavar="NAME", help="Column that orders the rows.")] = None,
    seed: Seed = 0,
    out: Out = None,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Say which trade-offs of a table a weighted sum can reach.

    The command first shows how it read each column. Its verdict is exact for linear models with a shared layer of the
    given width; it also names what reaches the trade-offs that no weights reach. It writes config.json, record.json
    and report.html.
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
        "date": names_of(date) or (), "group": group, "time": time,
    }  # fmt: skip
    said = {option: value for option, value in reading.items() if value not in (None, (), 0)}
    auditing.check_settings(width, bootstraps, seed)
    with progress_on_stderr(quiet) as progress:
        progress(0, 1, f"reading {data}")
        table = load(data, header=not no_header, drop=dropped, **columns, **reading)
        chosen = out or RunFolder.default(
            "audit", table.name, ",".join(columns["targets"] or ()), f"width {width}" if width else ""
        )
        config = RunConfig(
            command="audit", version=__version__, data=table.name, sha256=table.sha256, **columns, drop=dropped,
            width=width, header=not no_header, bootstraps=bootstraps, new_rows=new_rows, seed=seed, reading=said,
        )  # fmt: skip
        folder = RunFolder(chosen, config, overwrite=overwrite)
        if not as_json:
            show(render_columns(table.columns))
        records = folder.records()
        if records is None:
            typed = command_line(
                "audit", data, targets=columns["targets"], width=width, inputs=columns["inputs"], drop=dropped,
                no_header=no_header, names=columns["names"], **said, bootstraps=bootstraps,
                new_rows=bool(new_rows), no_new_rows=new_rows is False, seed=seed or None,
            )  # fmt: skip
            records = (
                auditing.audit(
                    table, width=width, bootstraps=bootstraps, new_rows=new_rows, seed=seed, command=typed,
                    kept=folder.parts(PATIENCE), progress=progress,
                ),
            )  # fmt: skip
    finish(folder, records, None, as_json)
