"""``equipoise reproduce``: the experiment on SARCOS, the survey over tables, fronts of growing networks."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import DataError, SettingError
from .common import Json, Out, Overwrite, Quiet, Seed, reporting_with, show
from .progress import progress_on_stderr
from .terminal import say, say_json

if TYPE_CHECKING:
    from ..audits.studies.folder import ReproduceFolder
    from ..audits.studies.tables import StudyRecord

__all__ = ["reproduce", "show_again"]

reproduce = typer.Typer(
    name="reproduce",
    help="Repeat published experiments and print their tables.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

_JOINTS = "joint0,joint4,joint6"
_WORDS = ("worst subset", "note")
_interruptible = reporting_with("interrupted; what is finished is kept: the same command goes on from there")


@reproduce.command("sarcos")
@_interruptible
def sarcos(
    data: Annotated[
        Path, typer.Option("--data", metavar="PATH", help="The file sarcos_inv_test.mat, or another table.")
    ],
    targets: Annotated[
        str | None, typer.Option("--targets", "-t", metavar="NAMES", help="Target columns, if it is another table.")
    ] = None,
    triples: Annotated[
        list[str] | None,
        typer.Option("--triple", metavar="A,B,C", help="A triple of tasks; repeat for more. Default: all."),
    ] = None,
    starts: Annotated[
        int, typer.Option("--starts", metavar="N", min=1, help="Random starts of MGDA and of MGDA-UB.")
    ] = 20,
    directions: Annotated[
        int, typer.Option("--directions", metavar="N", min=1, help="Tchebycheff points on each front.")
    ] = 36,
    seed: Seed = 0,
    out: Out = None,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Compare what MGDA and Tchebycheff reach on SARCOS.

    For triples of tasks the table says which points of the front each reaches, and which of these no weights reach.
    """
    from ..audits.studies import reproduce_triples  # noqa: PLC0415 - imports scipy
    from ..audits.studies.folder import ReproduceFolder  # noqa: PLC0415 - not for --help
    from ..audits.studies.tables import record_from_json  # noqa: PLC0415 - imports scipy
    from ..data import load  # noqa: PLC0415 - imports pandas

    chosen = [tuple(part.strip() for part in triple.split(",")) for triple in triples or ()]
    with progress_on_stderr(quiet) as progress:
        table = load(data, targets=None if targets is None else [part.strip() for part in targets.split(",")])
        asked = {
            "sha256": table.sha256, "starts": starts, "directions": directions, "seed": seed,
            "triples": chosen, "targets": table.tasks,
        }  # fmt: skip
        folder = ReproduceFolder(out or Path("equipoise-reproduce-sarcos"), asked, overwrite=overwrite)
        text = folder.found()
        record = (
            record_from_json(text, str(folder.path))
            if text is not None
            else reproduce_triples(
                table, triples=chosen or None, starts=starts, directions=directions, seed=seed, kept=folder.parts(),
                progress=progress,
            )
        )  # fmt: skip
    _finish(folder, record, as_json)


@reproduce.command("survey")
@_interruptible
def survey(
    data: Annotated[Path, typer.Option("--data", metavar="FOLDER", help="A folder of tables.")],
    targets: Annotated[
        Path | None,
        typer.Option(
            "--targets",
            "-t",
            metavar="FILE",
            help="JSON that maps each file to its target columns. Default: FOLDER/targets.json.",
        ),
    ] = None,
    most: Annotated[
        int, typer.Option("--most", metavar="N", min=1, help="Most subsets of one size to judge in one table.")
    ] = 1000,
    directions: Annotated[
        int, typer.Option("--directions", metavar="N", min=1, help="Tchebycheff points for each subset.")
    ] = 7,
    threshold: Annotated[float, typer.Option("--threshold", metavar="SHARE", help="Smallest lead that counts.")] = 0.01,
    seed: Seed = 0,
    out: Out = None,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Count how often weighted sums miss part of the front.

    The survey judges every table of a folder, every subset of 3 and 4 tasks, every width. targets.json in the folder
    names the target columns: {"wine.csv": ["pH", "alcohol", "density"]}. After an interruption the same command goes
    on from what is finished.
    """
    from ..audits.studies import survey as surveyed  # noqa: PLC0415 - imports scipy
    from ..audits.studies.folder import ReproduceFolder  # noqa: PLC0415 - not for --help
    from ..audits.studies.survey_sets import TARGETS, read_targets  # noqa: PLC0415 - imports scipy
    from ..audits.studies.tables import record_from_json  # noqa: PLC0415 - imports scipy

    if not data.is_dir():
        raise DataError(f"--data must be a folder; found {str(data)!r}")
    if not 0 < threshold < 1:
        raise SettingError(f"--threshold is a share of variance, above 0 and below 1; found {threshold}")
    named = data / TARGETS if targets is None and (data / TARGETS).is_file() else targets
    columns = {} if named is None else read_targets(named)
    asked = {
        "directions": directions, "threshold": threshold, "seed": seed, "most": most, "data": str(data.resolve()),
        "targets": columns,
    }  # fmt: skip
    folder = ReproduceFolder(out or Path("equipoise-reproduce-survey"), asked, overwrite=overwrite)
    text = folder.found()
    with progress_on_stderr(quiet) as progress:
        record = (
            record_from_json(text, str(folder.path))
            if text is not None
            else surveyed(
                data, targets=columns, directions=directions, threshold=threshold, seed=seed, most=most,
                kept=folder.parts(), progress=progress,
            )
        )  # fmt: skip
    _finish(folder, record, as_json)


@reproduce.command("capacity")
@_interruptible
def capacity(
    data: Annotated[
        Path | None,
        typer.Option("--data", metavar="PATH", help="sarcos_inv_test.mat, or arm. Default: from EQUIPOISE_DATA."),
    ] = None,
    joints: Annotated[str, typer.Option("--joints", metavar="NAMES", help="Target columns of the arm.")] = _JOINTS,
    seeds: Annotated[int, typer.Option("--seeds", metavar="N", min=1, help="Seeds of every network.")] = 5,
    quick: Annotated[
        bool, typer.Option("--quick", help="Two networks, two seeds, one learning rate: a minute instead of twenty.")
    ] = False,
    jobs: Annotated[int, typer.Option("--jobs", "-j", metavar="N", min=1, help="Networks and seeds at once.")] = 1,
    out: Out = None,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Compare the fronts of growing networks.

    On rotated digits and on an arm: weighted sums, Tchebycheff points, and where MGDA, PCGrad, CAGrad and Nash-MTL end,
    all tuned alike. The table shows hypervolumes and the share of points that no weights select, in-sample and held
    out, with intervals over seeds. After an interruption the same command goes on from what is finished.
    """
    from ..audits.studies.folder import ReproduceFolder  # noqa: PLC0415 - not for --help
    from ..audits.studies.tables import record_from_json  # noqa: PLC0415 - imports scipy
    from ..data import load  # noqa: PLC0415 - imports pandas
    from ..fronts.capacity.experiment import NETWORKS, reproduce_capacity  # noqa: PLC0415 - imports torch

    source = str(data or Path(os.environ.get("EQUIPOISE_DATA", ".")) / "sarcos" / "sarcos_inv_test.mat")
    if source != "arm" and not Path(source).is_file():
        raise DataError(
            f"the arm's data are not at {source!r}: name the file by --data, or set EQUIPOISE_DATA to the folder that "
            "holds sarcos/; --data arm takes the arm that equipoise generates."
        )
    with progress_on_stderr(quiet) as progress:
        table = load(source, targets=[part.strip() for part in joints.split(",")])
        settings: dict[str, Any] = {
            "networks": NETWORKS[1:3] if quick else NETWORKS, "seeds": min(seeds, 2) if quick else seeds,
            "preferences": 5 if quick else 9, "rates": (1e-2,) if quick else (3e-3, 1e-2),
            "steps": 100 if quick else 300,
        }  # fmt: skip
        asked = {"experiment": "capacity", "sha256": table.sha256, "targets": table.tasks, **settings}
        folder = ReproduceFolder(out or Path("equipoise-reproduce-capacity"), asked, overwrite=overwrite)
        text = folder.found()
        record = (
            record_from_json(text, str(folder.path))
            if text is not None
            else reproduce_capacity(table, **settings, jobs=jobs, kept=folder.parts(), progress=progress)
        )
    _finish(folder, record, as_json)


def _finish(folder: "ReproduceFolder", record: "StudyRecord", as_json: bool) -> None:
    from ..audits.studies.tables import as_text, table_of  # noqa: PLC0415 - imports scipy

    text = record.model_dump_json(indent=1) + "\n"
    folder.write(text, as_text(*table_of(record)) + "\n")
    if as_json:
        say_json(text)
    else:
        _print(*table_of(record))
    say(str(folder.path / "table.md"), err=as_json)


def show_again(folder: Path, markdown: bool, as_json: bool) -> None:
    """What ``equipoise report`` does with such a folder: its table written and printed again."""
    from ..audits.studies.folder import read_reproduce, replace_table  # noqa: PLC0415 - not for --help
    from ..audits.studies.tables import as_text, record_from_json, table_of  # noqa: PLC0415 - imports scipy

    record = record_from_json(read_reproduce(folder), str(folder))
    table = as_text(*table_of(record)) + "\n"
    if markdown:
        say(table, end="")
        return
    path = replace_table(folder, table)
    if as_json:
        say_json(record.model_dump_json(indent=1) + "\n")
    else:
        _print(*table_of(record))
    say(str(path), err=as_json)


def _print(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from rich.text import Text  # noqa: PLC0415 - not for --help

    from ..core.console import make_table  # noqa: PLC0415 - not for --help
    from ..core.text import clean  # noqa: PLC0415 - not for --help

    # words go below: in a column of their own they would squeeze the numbers
    numbers = [place for place, column in enumerate(header) if column not in _WORDS]
    shown = make_table(*(header[place] for place in numbers))
    for row in rows:
        if any(row[place] for place in numbers[4:]):
            shown.add_row(*(Text(clean(row[place])) for place in numbers))
    show(shown)
    if "note" in header:
        for line in dict.fromkeys(f"{row[0]}: {row[-1]}" for row in rows if row[-1]):
            say(line)
