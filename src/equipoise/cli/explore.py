"""``equipoise explore``: a table or a formula problem in; its front, and what weights select of it, out."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .common import Json, Out, Overwrite, Quiet, command_line, names_of, pairs_of, reporting_with, show
from .fit import PARTLY, cores, widths_of
from .progress import progress_on_stderr
from .table_options import AS_DETECTED, Drop, Group, HowRead, Inputs, Targets, Time, whole_option, with_reading
from .terminal import say, say_json

if TYPE_CHECKING:
    from ..core.records.explored import ExploreRecord
    from ..core.tasks import Preference
    from ..fronts.exploring.subject import Subject

__all__ = ["explore", "show_exploration"]

_PAIRS = "A=X,B=Y"


@reporting_with("interrupted; what is finished is kept: the same command goes on from there")
@with_reading(kinds=True)
def explore(
    problem: Annotated[
        str,
        typer.Argument(
            metavar="PROBLEM",
            help="A table, as for equipoise fit; a formula problem: quad, zdt1; or overlapped-digits, rotated-digits, "
            "with :FOLDER for MNIST's files.",
        ),
    ],
    targets: Targets = None,
    sums: Annotated[int, whole_option("--sums", "N", "Most weighted sums to train.")] = 10,
    tchebycheff: Annotated[
        int, whole_option("--tchebycheff", "N", "Most Tchebycheff points to train where gaps remain.")
    ] = 8,
    bound: Annotated[
        list[str] | None,
        typer.Option("--bound", metavar="A=X", help="Choose a point with a loss of at most X. Repeat for more."),
    ] = None,
    minimise: Annotated[
        str | None, typer.Option("--minimise", metavar="B", help="What to lower under --bound. Default: the rest.")
    ] = None,
    reference: Annotated[
        str | None, typer.Option("--reference", metavar=_PAIRS, help="Choose the point nearest to these losses.")
    ] = None,
    ray: Annotated[
        str | None, typer.Option("--ray", metavar=_PAIRS, help="Choose a point with losses in these proportions.")
    ] = None,
    conditioned: Annotated[
        int, whole_option("--conditioned", "STEPS", "Also train one model for all preferences, with a slider.")
    ] = 0,
    steps: Annotated[
        int | None, whole_option("--steps", "N", "Steps of a training, for formula problems. Default: 600.")
    ] = None,
    epochs: Annotated[
        int | None, whole_option("--epochs", "N", "Passes over a table's rows. Default: by the number of rows.")
    ] = None,
    hidden: Annotated[
        str | None, typer.Option("--hidden", metavar="N,N", help="Widths of the shared layers, as in 256,256.")
    ] = None,
    inputs: Inputs = None,
    drop: Drop = None,
    group: Group = None,
    time: Time = None,
    seeds: Annotated[int, whole_option("--seeds", "N", "Seeds; each splits a table's rows and trains anew.")] = 3,
    jobs: Annotated[
        int | None,
        whole_option("--jobs", "N", "Trainings at once, at most one a seed. Default for tables: all cores.", "-j"),
    ] = None,
    reading: HowRead = AS_DETECTED,
    seed: Annotated[int, whole_option("--seed", "N", "The first seed; the others count on from it.")] = 0,
    out: Out = None,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Map a front, and say which of its points weights select.

    Weighted sums are trained where the front has its largest gaps, then Tchebycheff points. The report says which
    points some weights select and which none does, by how much, and which point suits a wish. Front and choice are made
    on validation rows; the chosen points are shown on test rows too. The same command goes on from what is finished.
    """
    from ..audits.run_folder import RunFolder  # noqa: PLC0415 - not for --help
    from ..fronts.exploring.whole_front import explore as explored  # noqa: PLC0415 - imports torch

    wanted, given, dropped = names_of(targets), names_of(inputs), names_of(drop) or ()
    folder = out or RunFolder.default("explore", Path(problem).name, ",".join(wanted or ()))
    typed = command_line(
        "explore", problem, targets=wanted, sums=sums, tchebycheff=tchebycheff, bound=",".join(bound or ()),
        minimise=minimise, reference=reference, ray=ray, conditioned=conditioned or None, steps=steps, epochs=epochs,
        hidden=hidden, inputs=given, drop=dropped, group=group, time=time, seeds=seeds, **reading.typed,
        seed=seed or None,
    )  # fmt: skip

    def announce(subject: "Subject") -> None:
        from ..report.audit.columns import render_columns  # noqa: PLC0415 - not for --help

        if not as_json and subject.data is not None:
            show(render_columns(subject.data.columns, subject.cards))

    with progress_on_stderr(quiet) as progress:
        found = explored(
            problem, sums=sums, tchebycheff=tchebycheff, seeds=range(seed, seed + seeds),
            wish=_wish(bound, minimise, reference, ray), conditioned=conditioned, steps=steps, epochs=epochs,
            targets=wanted, inputs=given, drop=dropped, group=group, time=time, hidden=widths_of(hidden),
            jobs=_jobs(problem, wanted) if jobs is None else jobs, folder=folder, overwrite=overwrite, command=typed,
            announce=announce, progress=progress, **reading.asked,
        )  # fmt: skip
    show_exploration(folder, found.record, as_json)
    if found.record.failed:
        raise typer.Exit(PARTLY)


def _jobs(problem: str, targets: tuple[str, ...] | None) -> int:
    """One where a training takes a second: starting a process takes longer."""
    from ..problems import table  # noqa: PLC0415 - imports torch

    return 1 if problem.lower() in table and not targets else cores()


def _wish(bound: list[str] | None, minimise: str | None, reference: str | None, ray: str | None) -> "Preference | None":
    """The one wish that was given."""
    from ..core.tasks import Bounds, Ray, ReferencePoint  # noqa: PLC0415 - imports torch

    flags = {"--bound": bound, "--reference": reference, "--ray": ray}
    typed = [flag for flag, value in flags.items() if value]
    if len(typed) > 1:
        raise typer.BadParameter("one of --bound, --reference and --ray can be chosen by.", param_hint=typed)
    if minimise is not None and not bound:
        raise typer.BadParameter("says what to lower under --bound, which is missing.", param_hint="--minimise")
    kinds: dict[str, Any] = {"--reference": ReferencePoint, "--ray": Ray}
    if bound:
        return Bounds(pairs_of(",".join(bound), "--bound"), minimise=minimise)
    return kinds[typed[0]](pairs_of(str(flags[typed[0]]), typed[0])) if typed else None


def show_exploration(folder: Path, record: "ExploreRecord", as_json: bool) -> None:
    """Write the report, print the answer, and the report's path as the last line."""
    from ..audits.run_folder import replace_report  # noqa: PLC0415 - not for --help
    from ..report.explored.render import render_explored_console, render_explored_html  # noqa: PLC0415

    path = replace_report(folder, render_explored_html(record))
    if as_json:
        say_json(record.model_dump_json(indent=1) + "\n")
    else:
        show(render_explored_console(record))
    say(str(path), err=as_json)
