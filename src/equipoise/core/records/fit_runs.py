"""What `equipoise.fit` writes: its configuration, one line an evaluation. The same run, the same bytes."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ...errors import RunFolderError
from .json_text import first_fault

__all__ = ["FitConfig", "FitLine", "read_fit_lines"]

Number = float | None
PerTaskNumbers = dict[str, Number]


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class FitConfig(_Record):
    """Whatever decides the result of a training, and nothing else but the versions.

    Attributes:
        written_by: Marks the folder as ours.
        format: Version of the folder's layout.
        command: Tells this folder from an audit's and a recording's.
        problem: Name of the problem, or "".
        tasks: Names, in order.
        model: SHA-256 of the names, types and shapes of the untrained model's parameters and buffers.
        parameters: Number of trained numbers, the method's own among them.
        data: Part -> SHA-256 of tensors in memory, or how many rows or batches a dataset or loader has.
        method: The call that made the method.
        method_class: Import path of its class, for a reader; nothing is ever imported by it.
        preference: The call that made it, or "".
        balancer: Further settings of the Balancer, as text.
        steps: Number of steps of the whole training.
        batch_size: Rows a step; None for all, or where a loader decides.
        optimizer: Its class and the settings of each of its groups.
        schedule: Factors of the learning rate at eleven points of the run, or the scheduler's class and settings.
        select: The call that made the selection rule, or "".
        every: Steps between evaluations.
        patience: Evaluations without improvement after which training stops.
        clip: Largest gradient norm, for all parameters or by prefix of their names.
        amp: Type of autocast, or "".
        seed: Seed of initialisation, order of the data and dropout.
        device: Type of the device.
        versions: Package -> version of the first run.
        threads: Number of threads of the first process; sums on another number may differ in the last bits.
    """

    written_by: Literal["equipoise"] = "equipoise"
    format: Literal[1] = 1
    command: Literal["train"] = "train"
    problem: str = ""
    tasks: tuple[str, ...] = Field(min_length=1)
    model: str
    parameters: int = Field(ge=0)
    data: dict[str, str]
    method: str
    method_class: str
    preference: str = ""
    balancer: dict[str, str] = {}
    steps: int = Field(ge=1)
    batch_size: int | None = Field(default=None, ge=1)
    optimizer: dict[str, Any]
    schedule: dict[str, Any] = {}
    select: str = ""
    every: int = Field(ge=1)
    patience: int | None = Field(default=None, ge=1)
    clip: float | dict[str, float] | None = None
    amp: str = ""
    seed: int = Field(ge=0)
    device: str
    versions: dict[str, str] = {}
    threads: int = Field(default=1, ge=1)

    def differences(self, now: "FitConfig") -> list[str]:
        """The keys in which this configuration and that of a new call differ, each with both values."""
        mine, theirs = (
            _flat(config.model_dump(mode="json", exclude={"versions", "threads"})) for config in (self, now)
        )
        keys = [key for key in {**mine, **theirs} if mine.get(key, _ABSENT) != theirs.get(key, _ABSENT)]
        return [
            f"{key}: {_shown(mine.get(key, _ABSENT))} there, {_shown(theirs.get(key, _ABSENT))} now" for key in keys
        ]


_ABSENT = "absent"


def _flat(tree: dict[str, Any], before: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in tree.items():
        found |= _flat(value, f"{before}{key}.") if isinstance(value, dict) and value else {f"{before}{key}": value}
    return found


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:40]}...{text[-1]}"


class FitLine(_Record):
    """One evaluation.

    Attributes:
        step: Steps so far.
        epoch: Epochs that were complete, as a fraction; None where a loader has no length.
        train_raw: Unweighted training losses, mean over the steps since the line before in which the task was present.
        train_weighted: Weight times loss, likewise; None for methods without weights.
        weights: Mean weights over those steps; None for methods without weights.
        validation: Losses on the validation part; empty without one.
        metrics: Task -> name -> value on the validation part.
        scores: Scores of the selection rule, lower is better; key "" for the rule as a whole. None where not finite.
        improved: Whether any score is the lowest so far.
        learning_rates: Learning rate of each group of the optimizer when the line is written.
        passes: Backward passes so far, the tasks' own among them.
        counts: Number of times that each status of a solve occurred, and of steps that had no labelled task.
    """

    step: int
    epoch: Number
    train_raw: PerTaskNumbers
    train_weighted: PerTaskNumbers | None
    weights: PerTaskNumbers | None
    validation: PerTaskNumbers
    metrics: dict[str, PerTaskNumbers]
    scores: PerTaskNumbers
    improved: bool
    learning_rates: tuple[float, ...]
    passes: int
    counts: dict[str, int]


def read_fit_lines(text: bytes) -> tuple[FitLine, ...]:
    """The lines in the bytes of a ``records.jsonl``; a torn last line is left out.

    Raises:
        RunFolderError: A whole line cannot be read.
    """
    lines = []
    for number, encoded in enumerate(text.split(b"\n")[:-1], start=1):
        try:
            lines.append(FitLine.model_validate_json(encoded))
        except ValidationError as error:
            raise RunFolderError(
                f"line {number} of records.jsonl must be one evaluation; {first_fault(error, 'the line')}. Train into "
                "a new folder, or overwrite this one."
            ) from error
    return tuple(lines)
