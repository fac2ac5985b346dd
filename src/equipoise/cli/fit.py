"""``equipoise fit``: a table with several targets in; networks, baselines, and an answer out."""

import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .common import (
    Import,
    Json,
    Out,
    Overwrite,
    Quiet,
    command_line,
    import_modules,
    names_of,
    reporting_with,
    show,
    whole,
)
from .progress import progress_on_stderr
from .table_options import AS_DETECTED, Data, Drop, Group, HowRead, Inputs, Targets, Time, whole_option, with_reading
from .terminal import say, say_json

if TYPE_CHECKING:
    from ..core.records.audit import DataCard
    from ..core.records.fitted import FitRecord, FittedTask

__all__ = ["PARTLY", "cores", "fit", "show_fit", "widths_of"]

PARTLY = 3
"""Exit code of a command that finished although some of its runs failed."""


def widths_of(text: str | None) -> tuple[int, ...] | None:
    """Read ``256,256``; the library checks the range."""
    return None if text is None else tuple(whole(part.strip()) for part in text.split(","))


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@reporting_with("interrupted; what is finished is kept: the same command goes on from there")
@with_reading(kinds=True)
def fit(
    data: Data,
    targets: Targets = None,
    method: Annotated[
        str | None,
        typer.Option("--method", "-m", metavar="NAME", help="Balancing method. Default: the mean of the losses."),
    ] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="A setting of the method. Repeat for more.")
    ] = None,
    inputs: Inputs = None,
    drop: Drop = None,
    group: Group = None,
    time: Time = None,
    seeds: Annotated[int, whole_option("--seeds", "N", "Seeds; each splits the rows and trains anew.")] = 3,
    epochs: Annotated[
        int | None, whole_option("--epochs", "N", "Passes over the rows of a training. Default: by the number of rows.")
    ] = None,
    hidden: Annotated[
        str | None, typer.Option("--hidden", metavar="N,N", help="Widths of the shared layers, as in 256,256.")
    ] = None,
    width: Annotated[
        int | None, whole_option("--width", "Q", "Fit a linear model with a shared layer of width Q, no network.")
    ] = None,
    trials: Annotated[int, whole_option("--trials", "N", "Weights to try for the tuned fixed weights.")] = 4,
    jobs: Annotated[
        int | None, whole_option("--jobs", "N", "Trainings at the same time. Default: the number of cores.", "-j")
    ] = None,
    reading: HowRead = AS_DETECTED,
    modules: Import = None,
    seed: Annotated[int, whole_option("--seed", "N", "The first seed; the others count on from it.")] = 0,
    out: Out = None,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Train one model for all targets, and separate ones beside it.

    The command first shows how it read each column. Beside the one network it trains a network for each target, tuned
    fixed weights, and gradient boosting, with every seed, and says which is better on held-out rows and how sure that
    is. It writes config.json, record.json, report.html and the networks, for equipoise predict. The same command on the
    same folder goes on from what is finished.
    """
    from ..audits.run_folder import RunFolder  # noqa: PLC0415 - not for --help
    from ..methods.by_name import method_by_name  # noqa: PLC0415 - imports torch
    from ..training.tables.fit_table import fit_table  # noqa: PLC0415 - imports torch

    import_modules(modules)
    wanted, given, dropped = names_of(targets), names_of(inputs), names_of(drop) or ()
    if settings and method is None:
        raise typer.BadParameter("is a setting of the method that --method names.", param_hint="--set")
    built = method_by_name(method, settings or ()) if method is not None else None
    folder = out or RunFolder.default("fit", Path(data).name, ",".join(wanted or ()), method or "")
    typed = command_line(
        "fit", data, targets=wanted, method=method, inputs=given, drop=dropped, group=group, time=time, seeds=seeds,
        epochs=epochs, hidden=hidden, width=width, trials=trials, **reading.typed,
        seed=seed or None,
    )  # fmt: skip
    typed += "".join(f" --set {shlex.quote(setting)}" for setting in settings or ())

    def announce(card: "DataCard", tasks: "tuple[FittedTask, ...]") -> None:
        from ..report.audit.columns import render_columns  # noqa: PLC0415 - not for --help

        if not as_json:
            show(render_columns(card.columns, tasks))

    with progress_on_stderr(quiet) as progress:
        fitted = fit_table(
            data, targets=wanted, inputs=given, drop=dropped, group=group, time=time, method=built,
            seeds=range(seed, seed + seeds), epochs=epochs, hidden=widths_of(hidden), width=width, trials=trials,
            jobs=cores() if jobs is None else jobs, folder=folder, overwrite=overwrite,
            command=typed, announce=announce, progress=progress, **reading.asked,
        )  # fmt: skip
    show_fit(folder, fitted.record, as_json)
    if fitted.record.failed or fitted.record.skipped:
        raise typer.Exit(PARTLY)


def show_fit(folder: Path, record: "FitRecord", as_json: bool) -> None:
    """Write the report, print the answer, and the report's path as the last line."""
    from ..audits.run_folder import replace_report  # noqa: PLC0415 - not for --help
    from ..core.records.fitted import fit_record_to_json  # noqa: PLC0415 - not for --help
    from ..report import render_fit_console, render_fit_html  # noqa: PLC0415 - not for --help

    path = replace_report(folder, render_fit_html(record))
    if as_json:
        say_json(fit_record_to_json(record))
    else:
        show(render_fit_console(record))
        say(f"To predict: {command_line('predict', str(folder), 'new.csv', out='predictions.csv')}")
    say(str(path), err=as_json)
