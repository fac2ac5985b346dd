"""``equipoise rewards``: a file of rewards in, what their weights do to each of them out."""

from typing import Annotated

import typer

from .common import Json, Out, Overwrite, Quiet, command_line, names_of, numbers_of, reporting
from .log_output import finish_log
from .progress import progress_on_stderr

__all__ = ["rewards"]


@reporting
def rewards(
    files: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE...", help="Files with one row a completion, such as completions/*.parquet of TRL."
        ),
    ],
    group: Annotated[str, typer.Option("--group", "-g", metavar="NAME", help="Column of the prompts.")],
    names: Annotated[
        list[str], typer.Option("--rewards", "-r", metavar="NAMES", help="Columns of the rewards, separated by commas.")
    ],
    weights: Annotated[
        str | None,
        typer.Option("--weights", "-w", metavar="NUMBERS", help="Weights in training, as in 1,1,0.5. Default: all 1."),
    ] = None,
    step: Annotated[
        str | None, typer.Option("--step", metavar="NAME", help="Column of the training step. Default: step, if any.")
    ] = None,
    normalize: Annotated[
        bool, typer.Option("--normalize", help="Rewards are normalised before they are added up, as in GDPO.")
    ] = False,
    out: Out = None,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Say what the weights of several rewards do to each.

    For training with several rewards (GRPO and its kin): which reward decides the update, which one falls under the
    present weights and how sure that is, how many groups teach nothing, and weights under which all rise. Any table
    with a column of prompts and a column for each reward will do; TRL writes such files with log_completions=True.
    """
    from ..audits.logs.columns import read_tables  # noqa: PLC0415 - imports pandas
    from ..audits.logs.log_folder import LogFolder  # noqa: PLC0415 - not for --help
    from ..audits.logs.reward_log import audit_rewards  # noqa: PLC0415 - imports torch
    from ..audits.run_folder import RunFolder  # noqa: PLC0415 - not for --help

    chosen = names_of(names) or ()
    given = None if weights is None else numbers_of(weights, "--weights")
    with progress_on_stderr(quiet) as progress:
        progress(0, 1, f"reading {len(files)} files" if len(files) > 1 else f"reading {files[0]}")
        raws = read_tables(files)
        when = step or ("step" if all("step" in raw.frame.columns for raw in raws) else None)
        asked = {
            "command": "rewards", "data": [raw.name for raw in raws], "sha256": [raw.sha256 for raw in raws],
            "group": group, "rewards": chosen, "weights": given, "step": when, "normalize": normalize,
        }  # fmt: skip
        folder = LogFolder(
            out or RunFolder.default("rewards", raws[0].name, ",".join(chosen)), asked, overwrite=overwrite
        )
        record = audit_rewards(
            raws, group=group, rewards=chosen, present=given, step=when,
            aggregation="normalize_then_sum" if normalize else "sum_then_normalize",
            command=command_line("rewards", *files, group=group, rewards=chosen, weights=weights, step=step,
                                 normalize=normalize),
        )  # fmt: skip
    finish_log(folder, record, as_json)
