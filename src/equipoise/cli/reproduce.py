"""``equipoise reproduce``: the published experiment on SARCOS, and the survey over a folder of tables."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import DataError, RunFolderError, SettingError
from .common import Json, Out, Overwrite, Quiet, Seed, reporting, show
from .progress import progress

if TYPE_CHECKING:
    from pydantic import BaseModel

__all__ = ["reproduce"]

reproduce = typer.Typer(
    name="reproduce",
    help="Repeat published experiments: a table on stdout, a record as JSON.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

_RECORD, _TABLE = "record.json", "table.md"
_WORDS = ("worst subset", "note")


@reproduce.command("sarcos")
@reporting
def sarcos(
    data: Annotated[Path, typer.Option("--data", metavar="PATH", help="sarcos_inv_test.mat, or another table.")],
    targets: Annotated[
        str | None, typer.Option("--targets", "-t", metavar="NAMES", help="Target columns, for another table.")
    ] = None,
    triples: Annotated[
        list[str] | None,
        typer.Option("--triple", metavar="A,B,C", help="Only this triple of tasks; may be repeated. Default: all."),
    ] = None,
    starts: Annotated[int, typer.Option("--starts", metavar="N", min=1, help="Of MGDA and MGDA-UB each.")] = 20,
    directions: Annotated[int, typer.Option("--directions", metavar="N", min=1, help="Tchebycheff points.")] = 36,
    seed: Seed = 0,
    out: Out = None,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Which points of the front MGDA and Tchebycheff reach on triples of tasks, and which of them no weights reach."""
    from ..audits.studies import TriplesRecord, reproduce_triples, triples_table  # noqa: PLC0415 - imports scipy
    from ..data import load  # noqa: PLC0415 - imports pandas

    chosen = [tuple(part.strip() for part in triple.split(",")) for triple in triples or ()]
    with progress(quiet) as report:
        table = load(data, targets=None if targets is None else [part.strip() for part in targets.split(",")])
        asked = {
            "sha256": table.sha256, "starts": starts, "directions": directions, "seed": seed,
            "triples": chosen, "targets": table.tasks,
        }  # fmt: skip
        folder = _Folder(out or Path("equipoise-reproduce-sarcos"), asked, overwrite)
        text = folder.found()
        record = (
            TriplesRecord.model_validate_json(text)
            if text is not None
            else reproduce_triples(
                table, triples=chosen or None, starts=starts, directions=directions, seed=seed, progress=report
            )
        )
    _finish(folder, record, *triples_table(record), as_json)


@reproduce.command("survey")
@reporting
def survey(
    data: Annotated[Path, typer.Option("--data", metavar="FOLDER", help="The folder of data sets.")],
    directions: Annotated[int, typer.Option("--directions", metavar="N", min=1, help="Points a subset.")] = 7,
    threshold: Annotated[float, typer.Option("--threshold", metavar="SHARE", help="Leads above this matter.")] = 0.01,
    seed: Seed = 0,
    out: Out = None,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """How often weighted sums miss part of the front: every set, every subset of 3 and 4 tasks, every width."""
    from ..audits.studies import SurveyRecord, survey_table  # noqa: PLC0415 - imports scipy
    from ..audits.studies import survey as surveyed  # noqa: PLC0415 - imports scipy

    if not data.is_dir():
        raise DataError(f"--data must be a folder; found {str(data)!r}")
    if not 0 < threshold < 1:
        raise SettingError(f"--threshold is a share of variance, above 0 and below 1; found {threshold}")
    asked = {"directions": directions, "threshold": threshold, "seed": seed, "data": str(data.resolve())}
    folder = _Folder(out or Path("equipoise-reproduce-survey"), asked, overwrite)
    text = folder.found()
    with progress(quiet) as report:
        record = (
            SurveyRecord.model_validate_json(text)
            if text is not None
            else surveyed(data, directions=directions, threshold=threshold, seed=seed, progress=report)
        )
    _finish(folder, record, *survey_table(record), as_json)


class _Folder:
    """The output folder: ours with the same question (then its record is used), empty, or refused."""

    def __init__(self, path: Path, asked: dict[str, Any], overwrite: bool) -> None:
        self.path = path
        self.question = hashlib.sha256(json.dumps(asked, sort_keys=True, default=list).encode()).hexdigest()
        self._text: str | None = None
        if path.exists() and not path.is_dir():
            raise RunFolderError(f"--out must be a folder; {path} is a file.")
        if not path.is_dir() or not any(path.iterdir()):
            return
        try:
            card = json.loads((path / "config.json").read_text(encoding="utf-8"))
            written_by = card["written_by"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise RunFolderError(f"{path} holds files that we did not write: choose another --out.") from error
        if written_by != "equipoise reproduce":
            raise RunFolderError(f"{path} holds files that this command did not write: choose another --out.")
        if card.get("question") == self.question and (path / _RECORD).is_file():
            self._text = (path / _RECORD).read_text(encoding="utf-8")
        elif not overwrite:
            raise RunFolderError(f"{path} answers another question: choose another --out, or pass --overwrite.")

    def found(self) -> str | None:
        """The record of the same question, or None."""
        return self._text

    def write(self, record: str, table: str) -> None:
        """Config, record and table, each whole or not at all."""
        from ..core.files import replace_file  # noqa: PLC0415 - not for --help

        self.path.mkdir(exist_ok=True)
        card = {"written_by": "equipoise reproduce", "format": 1, "question": self.question}
        replace_file(self.path / "config.json", json.dumps(card, indent=1) + "\n")
        replace_file(self.path / _RECORD, record)
        replace_file(self.path / _TABLE, table)


def _finish(
    folder: _Folder, record: "BaseModel", header: Sequence[str], rows: Sequence[Sequence[str]], as_json: bool
) -> None:
    from rich.table import Table  # noqa: PLC0415 - not for --help

    from ..audits.studies.tables import as_text  # noqa: PLC0415 - imports scipy

    text = record.model_dump_json(indent=1) + "\n"
    folder.write(text, as_text(header, rows) + "\n")
    if as_json:
        typer.echo(text, nl=False)
    else:
        # words go below: in a column of their own they would squeeze the numbers
        numbers = [place for place, column in enumerate(header) if column not in _WORDS]
        shown = Table(box=None, pad_edge=False, header_style="dim")
        for place in numbers:
            shown.add_column(header[place], overflow="fold")
        for row in rows:
            if any(row[place] for place in numbers[4:]):
                shown.add_row(*(row[place] for place in numbers))
        show(shown)
        if "note" in header:
            for line in dict.fromkeys(f"{row[0]}: {row[-1]}" for row in rows if row[-1]):
                typer.echo(line)
    typer.echo(str(folder.path / _TABLE), err=as_json)
