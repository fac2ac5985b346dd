"""``equipoise predict``: new rows in, predictions of a fit's networks out."""

from pathlib import Path
from typing import Annotated

import typer

from ..errors import RunFolderError
from .common import Json, reporting
from .table_options import AS_DETECTED, Data, HowRead, with_reading
from .terminal import say, say_json

__all__ = ["predict"]


@reporting
@with_reading(kinds=False)
def predict(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A folder that equipoise fit wrote.")],
    data: Data,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="FILE", help="CSV file to write. Default: standard output.")
    ] = None,
    probabilities: Annotated[
        bool, typer.Option("--probabilities", help="Add a column with the probability of each class.")
    ] = False,
    reading: HowRead = AS_DETECTED,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file if it exists.")] = False,
    as_json: Json = False,
) -> None:
    """Predict the targets of new rows.

    The table needs the input columns of the fit, in any order, with the same types; it is read as the fit's was, unless
    options say otherwise. Targets are predicted in their own units, classes by their names.
    """
    from ..core.files import replace_file  # noqa: PLC0415 - not for --help
    from ..data.formats.export import as_csv  # noqa: PLC0415 - imports pandas
    from ..training.tables.predicting import predict as predicted  # noqa: PLC0415 - imports torch

    if out is not None and out.exists() and not overwrite:
        raise RunFolderError(f"--out names {str(out)!r}, which exists. Choose another name, or replace it: --overwrite")
    frame = predicted(run, data, probabilities=probabilities, **reading.asked)
    text, notes = as_csv(frame)
    for note in (*frame.attrs.get("notes", ()), *notes):
        say(note, err=True)
    if out is not None:
        replace_file(out, text)
        say(str(out), err=as_json)
    if as_json:
        say_json(frame.to_json(orient="records", indent=1) + "\n")
    elif out is None:
        say(text, end="")
