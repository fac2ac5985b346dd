"""What `equipoise fit` found, as data: every run of every entrant, from which the report computes its sentences.

A record is plain data (pydantic, nothing extra allowed), written to ``record.json`` and rendered without torch. It
holds measurements only; differences, intervals and verdicts follow from them. Same record, same report, byte for byte.
"""

import json
from collections.abc import Mapping
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, NonNegativeFloat, NonNegativeInt, PositiveInt, model_validator

from ..names import doubled
from .audit import DataCard
from .json_text import parsed_json

__all__ = [
    "Curve",
    "Entrant",
    "FitRecord",
    "FittedTask",
    "Role",
    "SeedRun",
    "SplitCard",
    "fit_record_from_json",
    "fit_record_to_json",
]

Role = Literal["joint", "weights", "linear", "separate", "boosting"]
ByTask = dict[str, float | None]
"""Task -> number; None where it is not known (no labelled row in the part, a run that failed)."""


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class FittedTask(_Record):
    """One target column.

    Attributes:
        name: Name in the table's header.
        unit: Unit of the target, or "".
        kind: What is predicted.
        classes: Names of the classes, in the order of the network's outputs; empty for regression.
        loss: What is minimised and compared, in words ("mean squared error", "log loss").
        loss_unit: Unit of the losses in the record, as a phrase ("kWh squared", "nats", "shares of the training
            variance").
        metric: What is shown beside it, in words ("R2", "area under the ROC curve", "accuracy").
        better: Which way the metric is better. Losses are better when lower, always.
        labelled: Rows with a label in the whole table.
    """

    name: str
    unit: str = ""
    kind: Literal["regression", "binary", "classes"]
    classes: tuple[str, ...] = ()
    loss: str
    loss_unit: str
    metric: str
    better: Literal["lower", "higher"]
    labelled: NonNegativeInt


class SplitCard(_Record):
    """How rows were divided.

    Attributes:
        how: Division in words ("at random, stratified by the targets", "by group: no customer in two parts").
        kind: What decides on which side a row falls.
        train, val, test: Rows in each part, the mean over the seeds, rounded.
        redrawn: Whether each seed draws parts of its own. False: all seeds share one split (by time, or given), and
            differences between seeds come from initial values and the order of the batches only.
    """

    how: str
    kind: Literal["random", "group", "time", "given"]
    train: PositiveInt
    val: NonNegativeInt
    test: PositiveInt
    redrawn: bool


class Curve(_Record):
    """Losses during training.

    Attributes:
        steps: Optimizer steps at which they were taken, rising.
        train: Task -> mean loss over the training batches since the point before, one entry a step of `steps`.
        val: Task -> loss on the validation part.
    """

    steps: tuple[NonNegativeInt, ...]
    train: dict[str, tuple[float | None, ...]] = {}
    val: dict[str, tuple[float | None, ...]] = {}


class SeedRun(_Record):
    """One entrant, trained with one seed.

    Attributes:
        seed: Seed of the split, the initial values and the order of the batches: runs of one seed are paired.
        status: ``done``; ``failed``: it raised or ended in NaN; ``skipped``: it was never begun.
        reason: Why it failed or was skipped, as a sentence; "" for ``done``.
        val: Loss of each task on the validation part, in the task's `loss_unit`.
        test: Loss of each task on the test part.
        metric: Metric of each task on the test part.
        passes: Forward-and-backward passes over the training rows, all trials and networks together; 0 for entrants
            that are no networks.
        seconds: Wall time, all trials together.
        trials: Trainings among which the validation part chose.
        weights: Task weights that were chosen, as they multiply the losses in training; empty where there are none.
        settings: Other settings that were chosen, name -> value in words.
        best_step: Optimizer step whose parameters were kept, or None.
        curve: Losses of the training that was chosen, or None.
    """

    seed: int
    status: Literal["done", "failed", "skipped"] = "done"
    reason: str = ""
    val: ByTask = {}
    test: ByTask = {}
    metric: ByTask = {}
    passes: NonNegativeFloat = 0.0
    seconds: NonNegativeFloat = 0.0
    trials: NonNegativeInt = 1
    weights: dict[str, float] = {}
    settings: dict[str, str] = {}
    best_step: int | None = None
    curve: Curve | None = None


class Entrant(_Record):
    """One way to predict all targets, run with every seed.

    Attributes:
        name: Short and unique ("joint", "separate"); other parts of the record refer to it.
        role: ``joint``: one network for all targets, trained by the method asked for; ``weights``: the same with fixed
            weights, tuned; ``linear``: one linear model with a shared layer; ``separate``: a network for each target;
            ``boosting``: gradient boosting for each target, the bar from outside.
        words: Name in the ladder ("one network, CAGrad(c=0.4)").
        method: The call that made the method, or "".
        parameters: Trained numbers, all networks of one seed together; None where that says nothing.
        runs: One a seed, in the order of `FitRecord.seeds`.
    """

    name: str
    role: Role
    words: str
    method: str = ""
    parameters: int | None = None
    runs: tuple[SeedRun, ...]


class FitRecord(_Record):
    """Everything that the report of a fit shows.

    Attributes:
        format: Version of this layout.
        title: Title of the report.
        command: What to type to get this again.
        data: The table, with a card for each column.
        sha256: SHA-256 of the data's bytes; "" where there are none.
        tasks: One a target.
        split: Division of the rows.
        seeds: All different, in the order of every entrant's runs.
        budget: What every entrant was given, as a sentence ("60 epochs for each training; 8 trials of weights").
        selection: The rule by which the validation part chose, as a sentence.
        entrants: Everything that was trained, in the order of the ladder.
        selected: Task -> name of the entrant that predicts it in `equipoise predict`, chosen on the validation part.
        predicts: What `equipoise predict` uses, as a sentence.
        device: Device and number of threads, in words.
        versions: Package -> version.
    """

    format: Literal[1] = 1
    title: str
    command: str
    data: DataCard
    sha256: str = ""
    tasks: tuple[FittedTask, ...]
    split: SplitCard
    seeds: tuple[int, ...]
    budget: str
    selection: str
    entrants: tuple[Entrant, ...]
    selected: dict[str, str]
    predicts: str
    device: str = ""
    versions: dict[str, str]

    @property
    def failed(self) -> int:
        """Runs that raised or ended in NaN."""
        return self._count("failed")

    @property
    def skipped(self) -> int:
        """Runs that were never begun."""
        return self._count("skipped")

    def _count(self, status: str) -> int:
        return sum(run.status == status for entrant in self.entrants for run in entrant.runs)

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        names = [task.name for task in self.tasks]
        entrants = [entrant.name for entrant in self.entrants]
        wrong = [] if names and entrants and self.seeds else ["tasks, entrants and seeds: at least one each"]
        for what, given in {"tasks": names, "entrants": entrants, "seeds": list(map(str, self.seeds))}.items():
            if twice := doubled(given):
                wrong.append(f"{what}: all different, found twice: {', '.join(twice)}")
        for entrant in self.entrants:
            if [run.seed for run in entrant.runs] != list(self.seeds):
                wrong.append(f"entrants.{entrant.name}.runs: one for each of the seeds {self.seeds}, in this order")
            for run in entrant.runs:
                wrong += [f"entrants.{entrant.name}, seed {run.seed}: {words}" for words in _faults(run, names)]
        if set(self.selected) != set(names) or not set(self.selected.values()) <= set(entrants):
            wrong.append("selected: the name of an entrant for every task")
        if wrong:
            raise ValueError("; ".join(wrong[:5]) + (f"; and {len(wrong) - 5} more" if len(wrong) > 5 else ""))
        return self


def _faults(run: SeedRun, names: list[str]) -> list[str]:
    """What does not fit within one run."""
    of_tasks: dict[str, Mapping[str, float | None]] = {
        "val": run.val,
        "test": run.test,
        "metric": run.metric,
        "weights": run.weights,
    }
    found = [f"{key} names tasks that are not there" for key, given in of_tasks.items() if set(given) - set(names)]
    if run.status == "done":
        found += [f"{key}: one for every task" for key in ("val", "test", "metric") if set(of_tasks[key]) != set(names)]
    elif not run.reason:
        found.append(f"a run that {'failed' if run.status == 'failed' else 'was skipped'} says why in 'reason'")
    if run.curve is not None:
        series = [*run.curve.train.items(), *run.curve.val.items()]
        if any(name not in names or len(values) != len(run.curve.steps) for name, values in series):
            found.append("curve: one value a step, of tasks that are there")
        if list(run.curve.steps) != sorted(set(run.curve.steps)):
            found.append("curve.steps must rise")
    return found


def fit_record_to_json(record: FitRecord) -> str:
    """The record as JSON text."""
    return json.dumps(record.model_dump(mode="json"), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def fit_record_from_json(text: str) -> FitRecord:
    """The inverse of `fit_record_to_json`.

    Raises:
        ValueError: Not JSON, not such a record (pydantic's `ValidationError` is one), or parts that do not fit.
    """
    return FitRecord.model_validate_json(json.dumps(parsed_json(text)))
