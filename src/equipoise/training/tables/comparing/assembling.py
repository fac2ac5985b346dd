"""What the trainings gave, as the parts of a record: which training of an entrant counts, and who predicts what."""

import math
from collections.abc import Mapping, Sequence

import pandas as pd

from ....core.records.audit import DataCard
from ....core.records.fitted import Curve, Entrant, FittedTask, SeedRun
from ....data.raw import RawTable
from ..preparing.columns import Columns
from .entrants import Plan, Training
from .parts import METRICS
from .rules import geometric_mean
from .running import Trained

__all__ = ["Used", "data_card", "seed_run", "selected_entrants", "task_cards"]

_LOSSES = {"regression": "mean squared error", "binary": "log loss", "classes": "log loss"}
_UNITS = {"regression": "shares of the training variance", "binary": "nats", "classes": "nats"}

Used = list[tuple[Training, Trained]]
"""The trainings of an entrant that count: the best of several, or one for each group of targets."""


def data_card(raw: RawTable, columns: Columns, width: int) -> DataCard:
    """The table as the report shows it, with the number of encoded input columns."""
    return DataCard(
        name=raw.name,
        source=raw.source,
        rows=len(raw.frame),
        rows_used=int(raw.frame[[target.name for target in columns.targets]].notna().any(axis=1).sum()),
        inputs=width,
        steps=tuple(columns.steps),
        warnings=tuple(columns.warnings),
        columns=columns.cards,
    )


def task_cards(frame: pd.DataFrame, columns: Columns) -> tuple[FittedTask, ...]:
    """One card a target."""
    return tuple(
        FittedTask(
            name=target.name,
            unit=target.unit,
            kind=target.kind,
            classes=target.classes,
            loss=_LOSSES[target.kind],
            loss_unit=_UNITS[target.kind],
            metric=METRICS[target.kind],
            better="higher",
            labelled=int(frame[target.name].notna().sum()),
        )
        for target in columns.targets
    )


def seed_run(plan: Plan, seed: int, results: Sequence[Trained | str]) -> tuple[SeedRun, Used]:
    """One entrant with one seed.

    Args:
        plan: Entrant that was trained.
        seed: Seed of the run.
        results: One for each of its trainings: what it gave, or why it failed.
    """
    done = [
        (training, found) for training, found in zip(plan.trainings, results, strict=True) if not isinstance(found, str)
    ]
    reasons = [
        f"{training.name}: {found}"
        for training, found in zip(plan.trainings, results, strict=True)
        if isinstance(found, str)
    ]
    passes, seconds = sum(found.passes for _, found in done), sum(found.seconds for _, found in done)
    alternatives = plan.role == "weights"
    if not done or (reasons and not alternatives):
        failed = SeedRun(seed=seed, status="failed", reason="; ".join(reasons), passes=passes, seconds=seconds)
        return failed, []
    used = [min(done, key=lambda pair: geometric_mean(_known(pair[1].val)))] if alternatives else done
    first = used[0][1]
    settings = {"failed trainings": "; ".join(reasons)} if reasons else {}
    run = SeedRun(
        seed=seed,
        val={task: loss for _, found in used for task, loss in found.val.items()},
        test={task: loss for _, found in used for task, loss in found.test.items()},
        metric={task: value for _, found in used for task, value in found.metric.items()},
        passes=passes,
        seconds=seconds,
        trials=len(plan.trainings) if alternatives else 1,
        weights=dict(used[0][0].weights or {}) if alternatives else {},
        settings=settings,
        best_step=first.best_step,
        curve=Curve(
            steps=first.curve.steps,
            train={task: values for _, found in used for task, values in found.curve.train.items()},
            val={task: values for _, found in used for task, values in found.curve.val.items()},
        ),
    )
    return run, used


def selected_entrants(entrants: Sequence[Entrant], tasks: Sequence[str]) -> dict[str, str]:
    """For each target the network with the lowest geometric mean over seeds of its validation loss.

    Only entrants whose runs were all done take part; without a validation loss of a target, the first serves it.
    """
    ready = [entrant for entrant in entrants if all(run.status == "done" for run in entrant.runs)]
    chosen = {}
    for task in tasks:
        scores = {
            entrant.name: geometric_mean(_known({str(run.seed): run.val[task] for run in entrant.runs}))
            for entrant in ready
        }
        chosen[task] = min(scores, key=scores.__getitem__)
    return chosen


def _known(losses: Mapping[str, float | None]) -> dict[str, float]:
    return {name: loss for name, loss in losses.items() if loss is not None and math.isfinite(loss)}
