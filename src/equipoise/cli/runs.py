"""``equipoise runs``: a table of runs in, which of them weights pick and what beats the others out."""

from typing import Annotated

import typer

from .common import Json, Out, Overwrite, Quiet, command_line, names_of, pairs_of, reporting
from .log_output import finish_log
from .progress import progress_on_stderr

__all__ = ["runs"]

Names = list[str] | None


@reporting
def runs(
    table: Annotated[
        str,
        typer.Argument(metavar="TABLE", help="A table with one row a run, or an Optuna storage (sqlite:///study.db)."),
    ],
    losses: Annotated[
        Names, typer.Option("--losses", "-l", metavar="NAMES", help="Columns to judge. Default: a study's objectives.")
    ] = None,
    maximise: Annotated[
        Names, typer.Option("--maximise", metavar="NAMES", help="Those of them that are better when higher.")
    ] = None,
    seed: Annotated[str | None, typer.Option("--seed", metavar="NAME", help="Column of the seeds.")] = None,
    config: Annotated[
        Names, typer.Option("--config", metavar="NAMES", help="Columns that make a setting. Default: each row is one.")
    ] = None,
    bound: Annotated[
        Names,
        typer.Option("--bound", metavar="NAME=X", help="Highest value wanted; lowest if maximised. Repeat for more."),
    ] = None,
    ray: Annotated[
        str | None, typer.Option("--ray", metavar="A=X,B=Y", help="Losses wanted in these proportions.")
    ] = None,
    study: Annotated[str | None, typer.Option("--study", metavar="NAME", help="Study of an Optuna storage.")] = None,
    out: Out = None,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Say which runs of a search some weights pick.

    Of the non-dominated runs: those that a weighted sum of the losses picks, with the range of such weights; those that
    none picks, and the mixture of runs that beats them; the run for a bound or a ray; the weights to try next. The
    table may come from anywhere: CSV, Parquet, JSON lines, an Optuna study.
    """
    from ..audits.logs.columns import read_tables  # noqa: PLC0415 - imports pandas
    from ..audits.logs.log_folder import LogFolder  # noqa: PLC0415 - not for --help
    from ..audits.logs.optuna_study import is_study, read_study, without_password  # noqa: PLC0415 - not for --help
    from ..audits.logs.run_table import audit_run_table  # noqa: PLC0415 - imports scipy
    from ..audits.run_folder import RunFolder  # noqa: PLC0415 - not for --help
    from ..errors import SettingError  # noqa: PLC0415 - not for --help

    chosen, up = names_of(losses), names_of(maximise)
    bounds = pairs_of(",".join(bound), "--bound") if bound else {}
    aims = pairs_of(ray, "--ray") if ray else None
    with progress_on_stderr(quiet) as progress:
        progress(0, 1, f"reading {table}")
        if is_study(table):
            raw, objectives, goals = read_study(table, study)
            chosen = chosen or objectives
            up = tuple(name for name in goals if name in chosen) if up is None else up
        else:
            if study is not None:
                raise SettingError(f"--study is for Optuna storages such as sqlite:///study.db; found {table!r}.")
            raw = read_tables([table])[0]
        groups = names_of(config) or ()
        asked = {
            "command": "runs", "data": raw.name, "sha256": raw.sha256, "losses": chosen, "maximise": up, "seed": seed,
            "config": groups, "bounds": bounds, "ray": aims, "study": study, "rows": len(raw.frame),
        }  # fmt: skip
        name = RunFolder.default("runs", raw.name, ",".join(chosen or ()))
        folder = LogFolder(out or name, asked, overwrite=overwrite)
        progress(0, 1, f"judging {len(raw.frame):,} runs")
        record = audit_run_table(
            raw, losses=chosen or (), maximise=up or (), seed_column=seed, config=groups, bounds=bounds, ray=aims,
            command=command_line("runs", without_password(table), losses=chosen, maximise=up, seed=seed, config=groups,
                                 bound=",".join(bound or ()), ray=ray or "", study=study),
        )  # fmt: skip
    finish_log(folder, record, as_json)
