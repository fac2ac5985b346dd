"""What `equipoise explore` found, as data: every run, the points of the front, what weights select, what was chosen.

A record is plain data (pydantic, nothing extra allowed), written to ``record.json`` and rendered without torch. Same
record, same report, byte for byte.
"""

from typing import Literal

from pydantic import BaseModel, ConfigDict, NonNegativeFloat, NonNegativeInt

from .audit import DataCard
from .fitted import SplitCard

__all__ = [
    "ChosenPoint",
    "ConditionedCurve",
    "ExploreRecord",
    "ExploredPoint",
    "ExploredTask",
    "PointRun",
    "SingleTask",
    "Support",
]

Numbers = tuple[float, ...]
"""One number a task, in the order of the record."""

Support = Literal["weights", "close", "unsure", "none", "dominated", "scattered"]
"""Whether weights select a point among all points: some do; none, but a mixture is better by less than matters; the
seeds cannot tell; none; it is dominated; its seeds ended at different places, so that their mean is no point."""


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class ExploredTask(_Record):
    """One task.

    Attributes:
        name: Name of the task.
        loss: What is minimised, in words, with its unit ("mean squared error, shares of the training variance"), or "".
        metrics: Names of the metrics shown beside the loss.
    """

    name: str
    loss: str = ""
    metrics: tuple[str, ...] = ()


class PointRun(_Record):
    """One training.

    Attributes:
        seed: Seed of the training, and of the split where each seed draws its own.
        status: ``done``; ``failed``: it raised; ``died``: its process ended.
        words: The way it ended, or why it failed.
        losses: Losses on the part that judges, in the order of the tasks; None unless done.
        metrics: Task -> metric -> value on that part.
        folder: Folder of the run below the record's, with its checkpoint; "" where nothing was kept.
        steps: Number of optimizer steps.
        passes: Number of backward passes.
        seconds: Wall time in seconds.
    """

    seed: int
    status: Literal["done", "failed", "died"]
    words: str = ""
    losses: Numbers | None = None
    metrics: dict[str, dict[str, float | None]] = {}
    folder: str = ""
    steps: NonNegativeInt = 0
    passes: NonNegativeInt = 0
    seconds: NonNegativeFloat = 0.0


class ExploredPoint(_Record):
    """One preference, trained with every seed.

    Attributes:
        name: Short name: ``S3`` is the third weighted sum, ``T2`` the second Tchebycheff point.
        kind: Kind of the preference.
        preference: The call that makes it.
        weights: Its weights, sum 1.
        reason: Why it was trained: a corner, or the gap that it was to split.
        losses: Means over the seeds that are done.
        runs: One training a seed.
        support: Whether weights select it among all points.
        gap: Distance, in ranges of the front, by which a mixture of other points is lower in every loss; 0 where
            weights select it.
        interval: 5 % and 95 % quantile of the gap over resampled seeds; None with one seed.
        low, high: Smallest and largest weight of each loss, of weights that select it; None where none does.
        mixture: Points and probabilities of that mixture; empty where the gap is 0.
    """

    name: str
    kind: Literal["sum", "tchebycheff"]
    preference: str
    weights: Numbers
    reason: str
    losses: Numbers
    runs: tuple[PointRun, ...]
    support: Support
    gap: float
    interval: tuple[float, float] | None
    low: Numbers | None
    high: Numbers | None
    mixture: tuple[tuple[str, float], ...]


class SingleTask(_Record):
    """The model trained for one task alone.

    Attributes:
        task: Name of the task.
        loss: Mean of its loss over the seeds that are done; None where none is.
        runs: One training a seed.
    """

    task: str
    loss: float | None
    runs: tuple[PointRun, ...]


class ChosenPoint(_Record):
    """The point for one wish, looked at on the test part.

    Attributes:
        wish: Words for what was wanted.
        status: ``ok``, or a sentence that says what could not be met.
        point: Name of the point.
        losses: Its mean losses on the part that judges.
        test: Seed -> its losses on the test part; empty without one.
        members: Points of the best mixture for the same wish and their probabilities; empty for the knee.
        mixture_losses: Expected losses of that mixture; empty for the knee.
    """

    wish: str
    status: str
    point: str
    losses: Numbers
    test: dict[int, Numbers] = {}
    members: tuple[tuple[str, float], ...] = ()
    mixture_losses: Numbers = ()


class ConditionedCurve(_Record):
    """One model for all preferences.

    Attributes:
        words: What was trained, and for how long.
        seed: Seed of its training.
        preferences: Shares of the tasks at which it was measured.
        losses: Losses there, on the part that judges.
        dominated: Share of these that another one dominates.
        controllability: Rank correlation of each task's share with its loss, times -1: 1 where more share always
            gives less loss.
        volume: Its hypervolume as a share of that of the runs with the same seed, the reference a tenth of their ranges
            above their front; None where they have no range.
        parameters: Number of parameters with and without the conditioning; None for a formula problem.
        seconds: Wall time in seconds.
    """

    words: str
    seed: int
    preferences: tuple[Numbers, ...]
    losses: tuple[Numbers, ...]
    dominated: float
    controllability: tuple[float | None, ...]
    volume: float | None
    parameters: tuple[int, int] | None
    seconds: NonNegativeFloat


class ExploreRecord(_Record):
    """Everything that a report of an exploration shows.

    Attributes:
        written_by, format, kind: Mark the file as ours, and its layout.
        title: Title of the report.
        command: What to type to get this again.
        problem: What was trained, in words.
        tasks: One card a task.
        judged_on: The part on which the front, the choice and the refinement were judged, in words.
        rows: Mean number of rows of that part and of the test part over the seeds; None where there is none.
        data: The table as it was read; None for other problems.
        split: The division of its rows.
        sha256: Checksum of the data; "" for a formula.
        seeds: Seeds of the trainings.
        budget: What every training got, in words.
        points: All points, weighted sums first.
        singles: The model of each task alone.
        units: Range of each loss over the front: what gaps are measured in.
        reference: Reference point of the hypervolumes; empty where none was computed.
        volumes: Hypervolume of the trained weighted sums, and of the points that weights select (closely), as shares of
            that of all points; None where none was computed.
        ended: Why each of the two sweeps ended.
        emptiest: Pairs of points between which a weighted sum was aimed and found nothing new.
        chosen: One for each wish; the knee is the first.
        conditioned: The model for all preferences, where asked for.
        true_front: Points of the front that is known by formula.
        resamples: Number of resamples of the seeds; 0 with one seed.
        paired: Whether the same seeds were resampled at every point.
        device: The device that trained, in words.
        versions: Package -> version.
    """

    written_by: Literal["equipoise"] = "equipoise"
    format: Literal[1] = 1
    kind: Literal["explore"] = "explore"
    title: str
    command: str
    problem: str
    tasks: tuple[ExploredTask, ...]
    judged_on: str
    rows: tuple[int | None, int | None]
    data: DataCard | None = None
    split: SplitCard | None = None
    sha256: str = ""
    seeds: tuple[int, ...]
    budget: str
    points: tuple[ExploredPoint, ...]
    singles: tuple[SingleTask, ...]
    units: Numbers
    reference: Numbers
    volumes: tuple[float, float] | None
    ended: tuple[str, str]
    emptiest: tuple[tuple[str, str], ...]
    chosen: tuple[ChosenPoint, ...]
    conditioned: ConditionedCurve | None = None
    true_front: tuple[Numbers, ...] = ()
    resamples: NonNegativeInt
    paired: bool
    device: str
    versions: dict[str, str]

    @property
    def trained(self) -> tuple[PointRun, ...]:
        """All trainings, of points and of single tasks."""
        return tuple(run for runs in (*(p.runs for p in self.points), *(s.runs for s in self.singles)) for run in runs)

    @property
    def failed(self) -> int:
        """Number of trainings that did not end well."""
        return sum(run.status != "done" for run in self.trained)
