"""What `equipoise.record` writes of a user's own training loop: one configuration, one line every few steps.

A line is plain data (pydantic, nothing extra allowed). Reading tolerates what crashes and restarts leave behind: a torn
last line is dropped and counted, and where a resumed run repeats steps, the later lines replace the earlier ones.
"""

from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from ...errors import RunFolderError
from .json_text import first_fault

__all__ = [
    "Alarm",
    "GradientLine",
    "Notice",
    "StepLine",
    "TakenStep",
    "TrainingConfig",
    "TrainingRecord",
    "read_lines",
    "written",
]

Kind = Literal["loss method", "Gramian method", "Jacobian method"]
Place = Literal["shared parameters", "sketch", "features", "one layer", "shared parameters, in the optimizer's metric"]
Numbers = tuple[float | None, ...]
"""One entry a task, in the order of the configuration; None where the task was absent or the number is not finite."""


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class TrainingConfig(_Record):
    """Whose training this is."""

    written_by: Literal["equipoise"] = "equipoise"  # marks the folder as ours
    format: Literal[1] = 1  # version of the folder's layout
    command: Literal["record"] = "record"  # tells this folder from an audit's
    method: str  # the call that made the method
    # import path of its class, for a reader; nothing is ever imported by it. "" in older folders
    method_class: str = ""
    kind: Kind  # what the method looks at
    tasks: tuple[str, ...]  # in the order of every vector
    # settings of the Balancer
    heads: str
    scale: str
    nonfinite: str
    every: int  # a line is written at step 1 and every so many steps
    # where the method computes no gradients itself: they are measured at step 1 and every so many steps; None for
    # never. Methods on gradients show theirs in every line
    gradients: int | None
    versions: dict[str, str]  # package -> version of the first run
    metric: str = ""  # class of the optimizer whose metric measures the gradients; "" for the plain Gramian

    @property
    def outside_class(self) -> str:
        """The import path of a method that is not equipoise's own, else ""."""
        return "" if self.method_class.startswith("equipoise.") else self.method_class

    def differences(self, other: "TrainingConfig") -> list[str]:
        """What decides the training and differs; how often lines are written does not count."""
        keys: tuple[str, ...] = ("method", "tasks", "heads", "scale", "nonfinite", "metric")
        if self.outside_class and other.outside_class:  # our own classes may move between versions
            keys += ("method_class",)
        mine, theirs = self.model_dump(), other.model_dump()
        return [f"{key}: {mine[key]!r} there, {theirs[key]!r} now" for key in keys if mine[key] != theirs[key]]


class GradientLine(_Record):
    """The tasks' gradients at one step, before weights unless said."""

    at: Place  # where they were taken: ``shared parameters``, a ``sketch`` of these, ``features``, or ``one layer``
    # ``by the method`` (free) or ``by the record`` (one backward pass a task)
    measured: Literal["by the method", "by the record"]
    norms: Numbers  # size of each task's gradient, in loss per unit of parameter
    # size of each task's weighted gradient over the sum of these sizes; sum 1. None without weights
    shares: Numbers | None
    # cosine between each task's gradient and the update; negative: the step raises this loss to first order. None
    # without weights
    to_update: Numbers | None
    cosines: Numbers | None  # between the tasks' gradients, upper triangle row by row; None above `MOST_PAIRED` tasks
    conflicting: float | None  # share of the task pairs with a negative cosine; None where no pair has one


MOST_PAIRED = 16
"""Most tasks whose pairs are all written; k tasks have k (k - 1) / 2."""


MOST_NAMED = 5
"""Most parameters that a record names at one place."""


class TakenStep(_Record):
    """What the optimizers made of one step, measured around them."""

    step: int
    optimizers: tuple[str, ...]  # their classes, in the order in which they stepped
    # inner product of each task's gradient with the change of the shared parameters, in units of the loss; positive:
    # the step raised this loss to first order. None where the gradients were not at hand
    shared: Numbers | None
    everywhere: Numbers | None  # the same over all parameters
    looked_at: int  # number of parameters with a gradient
    still: int  # of these, how many did not change at all
    still_names: tuple[str, ...]  # names of the first `MOST_NAMED` of them
    seconds: float  # wall time of the measurement


class Alarm(_Record):
    """Something found by a sequential test, or (``not moved``) seen without exception."""

    # ``stopped``: a task's loss stands still while the others' come down. ``rose``: it went up. ``against``: the steps
    # raise a task's loss to first order more often than not. ``not moved``: parameters that the optimizer leaves
    kind: Literal["stopped", "rose", "against", "not moved"]
    task: int | None = None  # its number
    since: int  # step
    found: int  # step
    own: float | None = None  # the task's loss when found, over what it was at `since`
    others: float | None = None  # the same for the other tasks, their median
    before: float | None = None  # its loss at `since` over that of the first steps
    count: int = 0  # steps that agree
    of: int = 0  # steps that were looked at since `since`
    names: tuple[str, ...] = ()  # parameters that did not move, at most `MOST_NAMED`
    measured: Literal["", "steps taken", "directions"] = ""  # what ``against`` was counted on


class StepLine(_Record):
    """One step."""

    step: int  # counted by the Balancer from 1
    seconds: float  # wall time since the recording began in this process
    step_seconds: float | None  # mean wall time of a step since the line before; None in the first line of a process
    balancer_seconds: float | None  # wall time inside the Balancer at this step; None where the step had no outcome
    record_seconds: float  # wall time that recording has taken so far in this process
    raw_losses: Numbers
    weighted_losses: Numbers | None  # weight times loss; None for methods without weights
    weights: Numbers | None  # direction = weights @ jacobian; None for methods without weights
    groups: int = 0  # with ``granularity=``: number of groups over which `weights` are means; 0 otherwise
    gradients: GradientLine | None  # where they were known or measured
    status: str  # what became of the solve, by name; ``NO_OUTCOME`` where nothing finite was left
    certificate: float | None  # relative residual of the solve
    counts: dict[str, int]  # how often each status occurred since the training began
    lost: int = 0  # lines that were due before this one and could not be written (a full disk, for example)
    taken: tuple[TakenStep, ...] = ()  # steps of the optimizer that were measured since the line before
    untaken: str = ""  # why the last attempt since then gave no inner products, or ""
    alarms: tuple[Alarm, ...] = ()  # what was found since the line before


def written(line: StepLine) -> bytes:
    """A line as it is written. Fields that came with later versions are left out where they are empty."""
    empty = {name for name in ("lost", "taken", "untaken", "alarms") if not getattr(line, name)}
    return line.model_dump_json(exclude=empty).encode() + b"\n"


class Notice(_Record):
    """Something that a user should know about a run."""

    kind: Literal[
        "uniform weights",
        "identical runs",
        "small share",
        "failed solves",
        "restarted",
        "one task",
        "nothing shared",
        "lost lines",
        "stopped improving",
        "finished",
        "starved",
        "not moved",
    ]
    subject: str = ""  # the task or the other run that it is about, or ""
    words: str  # what was found, with its numbers
    remedy: str  # what to do


class TrainingRecord(_Record):
    """A run as it is read back."""

    config: TrainingConfig
    lines: tuple[StepLine, ...]  # in the order of their steps
    torn: bool  # whether the last line was cut off (a crash, or a run that is writing right now)
    replaced: int  # how many lines were dropped because a later line repeats an earlier step
    counted: int = 0  # steps that the recording counted, written or not; 0 where it did not count

    @property
    def steps(self) -> int:
        """Steps that were run, as far as the record knows."""
        return max(self.counted, self.lines[-1].step if self.lines else 0)


def read_lines(config: TrainingConfig, text: bytes, counted: int = 0) -> TrainingRecord:
    """The record in the bytes of a ``records.jsonl``; the last line may be torn. `counted` is the count of steps.

    Steps rise. Where a step is not above the one before, a run went on from an earlier point: the lines from there on
    are dropped in favour of the later ones.

    Raises:
        RunFolderError: A line other than the last cannot be read, or has another number of tasks.

    Example:
        >>> config = TrainingConfig(method="MGDA()", kind="Gramian method", tasks=("a",), heads="own", scale="mean",
        ...     nonfinite="raise", every=50, gradients=None, versions={})
        >>> read_lines(config, b'{"step": 1, "sec').torn
        True
    """
    *whole, rest = text.split(b"\n")
    lines: list[StepLine] = []
    replaced = 0
    for number, encoded in enumerate(whole, start=1):
        try:
            line = StepLine.model_validate_json(encoded)
        except ValidationError as error:
            raise RunFolderError(
                f"line {number} of records.jsonl must be one recorded step; {first_fault(error, 'the line')}. Remove "
                "that line, or record into a new folder."
            ) from error
        _check_lengths(number, line, len(config.tasks))
        while lines and lines[-1].step >= line.step:
            lines.pop()
            replaced += 1
        lines.append(line)
    return TrainingRecord(config=config, lines=tuple(lines), torn=bool(rest), replaced=replaced, counted=counted)


def _check_lengths(number: int, line: StepLine, k: int) -> None:
    """Refuses a line whose numbers belong to another number of tasks."""
    held: dict[str, Numbers | None] = {
        "raw_losses": line.raw_losses, "weighted_losses": line.weighted_losses, "weights": line.weights,
    }  # fmt: skip
    gradients = line.gradients
    if gradients is not None:
        held |= {f"gradients.{key}": getattr(gradients, key) for key in ("norms", "shares", "to_update")}
    for place, taken in enumerate(line.taken):
        held |= {f"taken[{place}].{key}": getattr(taken, key) for key in ("shared", "everywhere")}
    wrong = [f"{key} holds {len(values)}" for key, values in held.items() if values is not None and len(values) != k]
    pairs = k * (k - 1) // 2
    if gradients is not None and gradients.cosines is not None and len(gradients.cosines) != pairs:
        wrong.append(f"gradients.cosines holds {len(gradients.cosines)}, not one for each of {pairs} pairs")
    if wrong:
        raise RunFolderError(
            f"line {number} of records.jsonl must hold one number for each of the {k} tasks; {'; '.join(wrong)}. "
            "Remove that line, or record into a new folder."
        )
