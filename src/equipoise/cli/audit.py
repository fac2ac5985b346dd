"""``equipoise audit``: a table with several targets in, a verdict on its trade-offs out."""

from typing import Annotated

import typer

from .._version import __version__
from .common import Json, Out, Overwrite, Quiet, Seed, command_line, finish, names_of, reporting, whole
from .progress import progress

__all__ = ["audit"]

_NAMES = "Once: separated by commas. Repeated: one name each, as written."


@reporting
def audit(
    data: Annotated[str, typer.Argument(metavar="DATA", help="A file (.csv, .tsv, .arff, .mat) or a built-in name.")],
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

    Exact for linear models with a shared layer of the given width. Writes config.json, record.json and report.html.
    """
    from ..audits.run_folder import RunConfig, RunFolder  # noqa: PLC0415 - not for --help
    from ..audits.table_audit import audit as audited  # noqa: PLC0415 - imports numpy, pandas, scipy
    from ..data import load  # noqa: PLC0415 - imports pandas

    columns = {"targets": names_of(targets), "inputs": names_of(inputs), "names": names_of(names)}
    dropped = names_of(drop) or ()
    with progress(quiet) as report:
        report(0, 1, f"reading {data}")
        table = load(data, header=not no_header, drop=dropped, **columns)
        chosen = out or RunFolder.default(
            "audit", table.name, ",".join(columns["targets"] or ()), f"width {width}" if width else ""
        )
        config = RunConfig(
            command="audit", version=__version__, data=table.name, sha256=table.sha256, **columns, drop=dropped,
            width=width, header=not no_header, bootstraps=bootstraps, seed=seed,
        )  # fmt: skip
        folder = RunFolder(chosen, config, overwrite=overwrite)
        records = folder.records()
        if records is None:
            typed = command_line(
                "audit", data, targets=columns["targets"], width=width, inputs=columns["inputs"], drop=dropped,
                no_header=no_header, names=columns["names"], bootstraps=bootstraps, seed=seed or None,
            )  # fmt: skip
            records = (audited(table, width=width, bootstraps=bootstraps, seed=seed, command=typed, progress=report),)
    finish(folder, records, None, as_json)
