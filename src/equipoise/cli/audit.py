"""``equipoise audit``: a table with several targets in, a verdict on its trade-offs out."""

from typing import Annotated

import typer

from .._version import __version__
from .common import Json, Out, Overwrite, Quiet, Seed, command_line, finish, names_of, reporting_with, show
from .progress import progress_on_stderr
from .table_options import AS_DETECTED, Data, Drop, HowRead, Inputs, Targets, whole_option, with_reading

__all__ = ["audit"]

PATIENCE = 20.0
"""Seconds of work from which on finished widths and resamples are kept for the case of an interruption."""
_INTERRUPTED = (
    f"interrupted; nothing half-written was left. After {PATIENCE:.0f} s of work or more, the same command goes on "
    "from what is finished"
)


@reporting_with(_INTERRUPTED)
@with_reading(kinds=True)
def audit(
    data: Data,
    targets: Targets = None,
    width: Annotated[
        int | None, whole_option("--width", "Q", "Width of the shared layer. Default: all widths.")
    ] = None,
    inputs: Inputs = None,
    drop: Drop = None,
    reading: HowRead = AS_DETECTED,
    bootstraps: Annotated[
        int | None,
        whole_option(
            "--bootstraps", "N", "Resamples of the rows. Default: 200 if fewer than half are complete, else 0."
        ),
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

    wanted, given, dropped = names_of(targets), names_of(inputs), names_of(drop) or ()
    auditing.check_settings(width, bootstraps, seed)
    with progress_on_stderr(quiet) as progress:
        progress(0, 1, f"reading {data}")
        table = load(
            data, targets=wanted, inputs=given, drop=dropped, group=group, time=time, incomplete=True, **reading.asked
        )
        chosen = out or RunFolder.default(
            "audit", table.name, ",".join(wanted or ()), f"width {width}" if width else ""
        )
        config = RunConfig(
            command="audit", version=__version__, data=table.name, sha256=table.sha256, targets=wanted, inputs=given,
            names=reading.names, drop=dropped, width=width, header=not reading.no_header, bootstraps=bootstraps,
            group=group, time=time, new_rows=new_rows, seed=seed, reading=reading.said,
        )  # fmt: skip
        folder = RunFolder(chosen, config, overwrite=overwrite)
        if not as_json:
            show(render_columns(table.columns))
        records = folder.records()
        if records is None:
            typed = command_line(
                "audit", data, targets=wanted, width=width, inputs=given, drop=dropped, **reading.typed, group=group,
                time=time, bootstraps=bootstraps, new_rows=bool(new_rows), no_new_rows=new_rows is False,
                seed=seed or None,
            )  # fmt: skip
            records = (
                auditing.audit(
                    table, width=width, bootstraps=bootstraps, new_rows=new_rows, seed=seed, command=typed,
                    kept=folder.parts(PATIENCE), progress=progress,
                ),
            )  # fmt: skip
    finish(folder, records, None, as_json)
