"""What a reproduction leaves behind, as plain data: written as JSON, read back, put into tables and figures."""

from typing import Literal

from pydantic import BaseModel, ConfigDict

__all__ = ["EndRecord", "RunsRecord", "SurveyRecord", "SurveyRow", "TripleRecord", "TriplesRecord"]


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class EndRecord(_Record):
    """One point: the end of a run, or a Tchebycheff point. Losses and leads in shares of each task's variance.

    Attributes:
        losses: Of the tasks.
        pareto: ``optimal``, ``dominated`` or ``undetermined``, among single models of the same width.
        lead: By how much a mixture of models improves every task at once (delta); above `tolerance` of the record no
            weights reach the point.
        reachable: Whether some weights reach it; None where undetermined.
        saddle_index: Of the weighted sum with the run's final weights; None for Tchebycheff points.
    """

    losses: tuple[float, ...]
    pareto: Literal["optimal", "dominated", "undetermined", "outside"]
    lead: float
    reachable: bool | None
    saddle_index: int | None = None


class RunsRecord(_Record):
    """All runs of one method on one triple at one width.

    Attributes:
        method: ``MGDA``, ``MGDA-UB`` or ``Tchebycheff``.
        points: One a start, or one a direction.
        stationary: Runs that ended Pareto-stationary.
        optimal: Points that are Pareto-optimal.
        out_of_reach: Points that are Pareto-optimal and that no weights reach.
        distinct: Different ends.
        rises: Steps after which some loss was higher, all runs together.
    """

    method: Literal["MGDA", "MGDA-UB", "Tchebycheff"]
    points: tuple[EndRecord, ...]
    stationary: int
    optimal: int
    out_of_reach: int
    distinct: int
    rises: int


class TripleRecord(_Record):
    """One triple of tasks at one width.

    Attributes:
        tasks: Names.
        width: Shared width.
        condition: Status of the theorem's test.
        margin: Of the conflict.
        cycle: Tasks in conflict.
        sweep: Losses of the refined sweep over weights.
        runs: MGDA, MGDA-UB and the Tchebycheff points.
        largest_lead: Largest delta seen on a Pareto-optimal point.
        members: Fewest models of a mixture that attains it, or 0 where it is 0.
    """

    tasks: tuple[str, ...]
    width: int
    condition: str
    margin: float
    cycle: tuple[str, ...]
    sweep: tuple[tuple[float, ...], ...]
    runs: tuple[RunsRecord, ...]
    largest_lead: float
    members: int


class TriplesRecord(_Record):
    """The published experiment on one table.

    Attributes:
        written_by: Marks the file as ours.
        format: Of this layout.
        data: Name of the table.
        sha256: Of its file.
        rows: Used.
        inputs: Columns.
        starts: Of MGDA and MGDA-UB each.
        directions: Of the Tchebycheff points.
        seed: Of the starts.
        tolerance: Leads below it count as 0.
        triples: One a triple and width.
        notes: What a reader must know.
    """

    written_by: Literal["equipoise reproduce"] = "equipoise reproduce"
    format: Literal[1] = 1
    data: str
    sha256: str
    rows: int
    inputs: int
    starts: int
    directions: int
    seed: int
    tolerance: float
    triples: tuple[TripleRecord, ...]
    notes: tuple[str, ...] = ()


class SurveyRow(_Record):
    """All subsets of one size of one table's tasks, at one width.

    Attributes:
        data: Name of the set.
        rows: Rows used.
        inputs: Input columns.
        tasks: Number of tasks in the set.
        size: Tasks in a subset.
        width: Shared width.
        subsets: Number of subsets.
        holds, fails, open, undetermined, single_point: How many have each status.
        margin: 50 % and 100 % quantile of the margin over those that fail; None where none does.
        stake: The same of the largest lead found on a subset's front, over those that fail or are open, in shares of
            variance; None where there are none.
        matter: Subsets with a lead above the threshold of matter.
        worst: Tasks of the subset with the largest lead, or ().
        note: Why there is nothing to survey, or what to doubt, or "".
    """

    data: str
    rows: int
    inputs: int
    tasks: int
    size: int
    width: int
    subsets: int
    holds: int
    fails: int
    open: int
    undetermined: int
    single_point: int
    margin: tuple[float, float] | None
    stake: tuple[float, float] | None
    matter: int
    worst: tuple[str, ...]
    note: str = ""


class SurveyRecord(_Record):
    """The survey over a folder of tables.

    Attributes:
        written_by, format: As above.
        rows: One a set, size and width; sets without any subset have one row with a note.
        directions: Points of the front judged in each subset.
        threshold: Leads above this share of variance matter.
        seed: Of the directions.
    """

    written_by: Literal["equipoise reproduce"] = "equipoise reproduce"
    format: Literal[1] = 1
    rows: tuple[SurveyRow, ...]
    directions: int
    threshold: float
    seed: int
