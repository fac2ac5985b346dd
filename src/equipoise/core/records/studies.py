"""What a reproduction leaves behind, as plain data: written as JSON, read back, put into tables and figures."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

__all__ = [
    "CapacityEnd",
    "CapacityRecord",
    "CapacityRow",
    "EndRecord",
    "RunsRecord",
    "Spread",
    "SurveyRecord",
    "SurveyRow",
    "TripleRecord",
    "TriplesRecord",
]


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class EndRecord(_Record):
    """One point: the end of a run, or a Tchebycheff point. Losses and leads in shares of each task's variance."""

    losses: tuple[float, ...]
    # ``optimal``, ``dominated`` or ``undetermined``, among single models of the same width
    pareto: Literal["optimal", "dominated", "undetermined", "outside"]
    # by how much a mixture of models improves every task at once (delta); above `tolerance` of the record no weights
    # reach the point
    lead: float
    reachable: bool | None  # whether some weights reach it; None where undetermined
    saddle_index: int | None = (
        None  # saddle index of the weighted sum with the run's final weights; None for Tchebycheff points
    )


class RunsRecord(_Record):
    """All runs of one method on one triple at one width."""

    method: Literal["MGDA", "MGDA-UB", "Tchebycheff"]
    points: tuple[EndRecord, ...]  # one a start, or one a direction
    stationary: int  # runs that ended Pareto-stationary
    optimal: int  # points that are Pareto-optimal
    out_of_reach: int  # points that are Pareto-optimal and that no weights reach
    distinct: int  # number of different ends
    rises: int  # steps after which some loss was higher, all runs together


class TripleRecord(_Record):
    """One triple of tasks at one width."""

    tasks: tuple[str, ...]
    width: int
    condition: str  # status of the theorem's test
    margin: float
    cycle: tuple[str, ...]  # tasks in conflict
    sweep: tuple[tuple[float, ...], ...]  # losses of the refined sweep over weights
    runs: tuple[RunsRecord, ...]  # MGDA, MGDA-UB and the Tchebycheff points
    largest_lead: float  # largest delta seen on a Pareto-optimal point
    members: int  # fewest models of a mixture that attains it, or 0 where it is 0


class TriplesRecord(_Record):
    """The published experiment on one table."""

    written_by: Literal["equipoise reproduce"] = "equipoise reproduce"  # marks the file as ours
    format: Literal[1] = 1
    data: str
    sha256: str  # checksum of its file
    rows: int
    inputs: int
    starts: int  # starts of MGDA and of MGDA-UB
    directions: int  # Tchebycheff points of each triple and width
    seed: int  # first seed of the starts
    tolerance: float  # leads below it count as 0
    triples: tuple[TripleRecord, ...]  # one a triple and width
    notes: tuple[str, ...] = ()  # what a reader must know


class SurveyRow(_Record):
    """All subsets of one size of one table's tasks, at one width."""

    data: str  # name of the set
    rows: int
    inputs: int
    tasks: int  # number of tasks in the set
    size: int  # tasks in a subset
    width: int
    subsets: int
    # how many have each status
    holds: int
    fails: int
    open: int
    undetermined: int
    single_point: int
    # 50 % and 100 % quantile of the margin over those that fail; None where none does
    margin: tuple[float, float] | None
    # the same of the largest lead found on a subset's front, over those that fail or are open, in shares of variance;
    # None where there are none
    stake: tuple[float, float] | None
    matter: int  # subsets with a lead above the threshold of matter
    worst: tuple[str, ...]  # tasks of the subset with the largest lead, or ()
    note: str = ""  # why there is nothing to survey, or what to doubt, or ""


class SurveyRecord(_Record):
    """The survey over a folder of tables."""

    written_by: Literal["equipoise reproduce"] = "equipoise reproduce"
    format: Literal[1] = 1
    rows: tuple[SurveyRow, ...]  # one a set, size and width; sets without any subset have one row with a note
    directions: int  # points of the front judged in each subset
    threshold: float  # leads above this share of variance matter
    seed: int


class Spread(_Record):
    """A mean over seeds with its 95 % interval; None where one seed gives none."""

    mean: float
    low: float | None
    high: float | None


class CapacityEnd(_Record):
    """Where one gradient method ends, over the seeds."""

    method: str
    losses: tuple[float, ...]  # means
    # by how many ranges of the weighted sums' front a mixture of weighted sums is lower in every loss; below 0 the
    # method is ahead of all of them
    lead: Spread


class CapacityRow(_Record):
    """One network on one problem, judged on one part. Losses are divided by those of the best constant."""

    problem: str
    tasks: tuple[str, ...]
    network: str  # widths of its shared layers
    parameters: int
    part: Literal["in-sample", "held-out"]
    sums: Spread  # hypervolume of the weighted sums, reference 1
    tchebycheff: Spread  # hypervolume of the Tchebycheff points
    hidden: Spread  # share of the non-dominated points of both that no weights select by more than .01 of the ranges
    gap: Spread  # largest such gap
    lowest: tuple[float, ...]  # lowest loss of each task over all points, means
    ends: tuple[CapacityEnd, ...]


class CapacityRecord(_Record):
    """Fronts of growing networks."""

    written_by: Literal["equipoise reproduce"] = "equipoise reproduce"
    format: Literal[1] = 1
    experiment: Literal["capacity"] = "capacity"
    data: str  # name of the arm's table; "" without
    sha256: str
    seeds: int
    preferences: int  # weighted sums, and Tchebycheff points, of each network
    rates: tuple[float, ...]  # learning rates tried by everything
    steps: int
    rows: Annotated[tuple[CapacityRow, ...], Field(min_length=1)]
