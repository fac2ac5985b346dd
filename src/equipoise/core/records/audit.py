"""The answer of an audit, as data: one verdict a width, and the record that a report is drawn from.

A record is plain data (pydantic, nothing extra allowed): it is written to ``record.json``, read back, and rendered
without the library that made it. Same record, same report, byte for byte.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from .columns import ColumnCard
from .new_rows import NewRows, OnNewRows, Told

__all__ = [
    "SENSITIVE_DIGITS",
    "About",
    "AuditRecord",
    "Bootstrap",
    "ColumnCard",
    "CompleteRows",
    "Condition",
    "DataCard",
    "Drawn",
    "Effect",
    "FrontPoint",
    "Rung",
    "TaskCard",
    "Verdict",
]

SENSITIVE_DIGITS = 4
"""Weights that must be right to so many digits cannot be hit: the best ones move more with the rows that are drawn."""

Exactness = Literal["exact", "bracket", "found by search"]
VerdictStatus = Literal["enough", "not_enough", "nothing_to_trade", "undetermined"]
ConditionStatus = Literal["holds", "fails", "open", "single point", "undetermined"]


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Condition(_Record):
    """Outcome of the theorem's test: can weighted sums reach every Pareto-optimal point?

    Attributes:
        status: ``holds``; ``fails``; ``open`` for 1 < width < rank - 1, where theory has no answer; ``single point``
            when one model is best at every task; ``undetermined`` when numerics do not allow an answer.
        test: Which test was made, in words ("sign test of the correlations", ...).
        necessary: Whether a failure proves that some trade-offs are out of reach (full rank), or the condition is
            only sufficient.
        margin: Size of the conflict, 0 to 1: the conflict is gone if correlations up to this size are noise. 0 when
            it holds.
        signs: Flips (+1 or -1 a task) that show the condition; empty unless it holds.
        cycle: Tasks in conflict, in order around the cycle; empty unless it fails.
        cycle_correlations: The correlation on each edge of the cycle (last edge closes it).
        rank: Effective number of tasks.
        note: What else must be said, or "".
    """

    status: ConditionStatus
    test: str
    necessary: bool
    margin: float
    signs: tuple[int, ...]
    cycle: tuple[str, ...]
    cycle_correlations: tuple[float, ...]
    rank: int
    note: str = ""


class Rung(_Record):
    """One remedy of the ladder: what it gives and what it costs.

    Losses are mean squared errors in shares of each task's own variance: 1 is predicting the mean, 0 is perfect.

    Attributes:
        kind: The remedy by its kind.
        words: The remedy in words, as the table shows it.
        width: Shared width that it needs.
        models: Number of trained models that it needs.
        worst: Largest loss over the tasks, in shares of variance.
        worst_task: The task it belongs to.
        worst_excess: Largest excess over the task's own single-task loss, in shares of variance: what decides.
        losses: All tasks' losses, in shares of variance.
        exactness: ``exact``, ``bracket`` (then `lower` is the other end) or ``found by search``.
        lower: Proven lower end of the number that decides (see `Verdict.deciding`), equal to it where exact.
        solves: Number of problems solved by a search, or None.
        weights: Task weights (sum 1, per unit of variance) whose only optimum has `losses`, or None.
        weight_digits: Decimal digits to which weights must be right to come within 0.01 of the best found, or None.
        written_weights: `weights` where a search found them: they have few decimals and sum to 1 as written.
        closes: Whether the rung comes within the threshold of matter of the best that this audit's width allows.
        new_rows: The remedy on rows that it was not fitted to, or None where that was not measured.
    """

    kind: Literal["equal_weights", "best_weights", "tchebycheff", "mixture", "wider", "separate"]
    words: str
    width: int
    models: int
    worst: float
    worst_task: str
    worst_excess: float
    losses: tuple[float, ...]
    exactness: Exactness
    lower: float
    solves: int | None = None
    weights: tuple[float, ...] | None = None
    weight_digits: int | None = None
    written_weights: tuple[float, ...] | None = None
    closes: bool
    new_rows: OnNewRows | None = None

    @property
    def decimals(self) -> int:
        """Decimals that the weights are written with; 3 where they have too many."""
        shares = self.written_weights or self.weights or ()
        return next((n for n in range(1, 12) if all(abs(w - round(w, n)) < 1e-14 for w in shares)), 3)

    @property
    def sensitive(self) -> bool:
        """Whether it asks for weights that must be right to `SENSITIVE_DIGITS` digits or more."""
        return self.solves is not None and (self.weight_digits is None or self.weight_digits >= SENSITIVE_DIGITS)


class Effect(_Record):
    """How much is at stake, in shares of variance.

    Attributes:
        balanced_gap: Largest excess at the best weights found minus largest excess of the best single model.
        mixture_gap: Largest excess of the best single model minus largest excess of the best mixture.
        largest_gap: Largest amount by which a mixture of models improves every task at once over some single model
            on the front, over the directions tried (a lower bound of the supremum).
        directions: Number of directions of the front that were tried for `largest_gap`.
        exactness: Evidence for `balanced_gap`: how it is known.
        threshold: Below this, differences are called too small to matter.
    """

    balanced_gap: float
    mixture_gap: float
    largest_gap: float
    directions: int
    exactness: Exactness
    threshold: float


class FrontPoint(_Record):
    """One point of the picture."""

    # what it is; see the words in the report's legend
    kind: Literal[
        "any model", "weighted sum", "one model", "equal weights", "best weights", "tchebycheff", "mixture", "separate"
    ]
    losses: tuple[float, ...]  # losses in shares of each task's variance
    weights: tuple[float, ...] | None = None  # task weights that give it, where there are any
    # by how much a mixture improves every task at once here (0: some weights support this point), or None
    gap: float | None = None


class Bootstrap(_Record):
    """How the verdict varies over resamples of the rows."""

    resamples: int
    statuses: dict[str, int]  # verdict status -> number of resamples with it
    conditions: dict[str, int]  # condition status -> number of resamples with it
    balanced_gap: tuple[float, float, float]  # 5 %, 50 % and 95 % quantiles
    margin: tuple[float, float, float]  # 5 %, 50 % and 95 % quantiles


class CompleteRows(_Record):
    """What a width gives on the rows that are complete in all targets, beside a verdict from incomplete rows.

    Attributes:
        rows: Number of these rows.
        status: The verdict's status there.
        equal: Largest excess with equal weights, in shares of variance over these rows.
        best: Largest excess with the best weights found.
        single: Largest excess of the best single model found.
        mixture: Largest excess of the best mixture of models.
    """

    rows: int
    status: VerdictStatus
    equal: float
    best: float
    single: float
    mixture: float


class About(_Record):
    """The model that a verdict speaks of."""

    model: str  # in words ("linear model with a shared layer of width 1")
    width: int
    rank: int  # effective number of tasks
    rows: int
    # ``in-sample``; ``in-sample, incomplete rows`` where each task was fitted to the rows that have its target
    split: Literal["in-sample", "in-sample, incomplete rows", "held-out"]


class Verdict(_Record):
    """Can a weighted sum of the losses reach the balanced trade-off, and what else can?

    Attributes:
        status: ``enough``, ``not_enough``, ``nothing_to_trade`` or ``undetermined``.
        headline: The first sentence.
        words: The verdict in full sentences, first `headline`.
        caveat: What the verdict does not say.
        about: The model that it speaks of.
        condition: The theorem's test.
        effect: The size of what is at stake.
        ladder: Remedies, cheapest first.
        remedy: Index into `ladder` of the cheapest rung that closes the gap without sensitive weights and lowers what
            equal weights give by more than the threshold; None where nothing needs one.
        front: Points for the picture.
        bootstrap: The verdict over resamples of the rows, where that was asked or needed.
        effort: The limits of the searches behind it, in a sentence; "" where nothing was searched.
        measure: What all of it is decided on: the largest excess, or, before there was this field, the largest loss.
        on_new_rows: What is told of the remedy (equal weights where none is needed) against separate models on new
            rows, which the headline then says; None where nothing was measured.
        width_as_mixture: Width at which one model is at least as good, at every task, as any mixture of this width;
            None where nothing is traded, and in records of earlier versions.
        on_complete_rows: The same width on complete rows alone; None where all rows are, or too few.
    """

    status: VerdictStatus
    headline: str
    words: str
    caveat: str
    about: About
    condition: Condition
    effect: Effect
    ladder: tuple[Rung, ...]
    remedy: int | None
    front: tuple[FrontPoint, ...] = ()
    bootstrap: Bootstrap | None = None
    effort: str = ""
    measure: Literal["loss", "excess"] = "loss"
    on_new_rows: Told | None = None
    width_as_mixture: int | None = None
    on_complete_rows: CompleteRows | None = None

    @property
    def remedied(self) -> Rung:
        """The rung of the remedy, or of equal weights where nothing needs one."""
        return self.ladder[self.remedy or 0]

    @property
    def reached(self) -> bool:
        """Whether weights that can be hit reach the balanced trade-off, or none are needed."""
        return self.status == "nothing_to_trade" or (
            self.status == "enough" and self.remedied.kind in {"equal_weights", "best_weights"}
        )

    def deciding(self, rung: Rung) -> float:
        """The number of a rung that decides; see `measure`."""
        return rung.worst_excess if self.measure == "excess" else rung.worst


class TaskCard(_Record):
    """One task: a target column."""

    name: str  # as in the table's header
    unit: str  # unit of the target, or ""
    kind: Literal["regression", "least squares on classes"]  # ``regression`` or ``least squares on classes``
    variance: float  # of the target over the rows used, in unit squared
    separate_loss: float  # loss of the best linear model of this task alone, in shares of variance (1 - R2, in-sample)
    correlations: tuple[float, ...]  # correlation of this task's predictable part with every task's


class DataCard(_Record):
    """Where the table came from and what was done to it."""

    name: str  # name of the set or file
    source: str  # in words: where it is from, licence
    rows: int  # rows of the table
    rows_used: int  # rows with every target, or, where gaps were allowed, with any
    inputs: int  # encoded input columns
    steps: tuple[str, ...]  # what was done to inputs and targets, one sentence each
    warnings: tuple[str, ...] = ()  # what the reader should doubt, one sentence each
    columns: tuple[ColumnCard, ...] = ()  # how each column was read; empty in records of earlier versions


Drawn = dict[str, Any] | str
"""A picture to draw, or a sentence that says why there is none."""


class AuditRecord(_Record):
    """Everything that a report of an audit shows.

    Attributes:
        format: Version of this layout.
        title: Title of the report.
        command: What to type to get this again.
        data: The table as it was read.
        tasks: One card a task.
        verdicts: One a width, rising.
        smallest_width: Smallest width at which nothing is left to trade.
        summary: The widths at which things get easy, in sentences; "" where one width was asked for.
        versions: Package -> version.
        pictures: Key of a picture -> the picture, or width -> picture (see `equipoise.audits.pictures`); None where
            nothing was arranged for drawing.
        new_rows: The way in which losses on new rows were found, or why there are none; None where nobody asked.
    """

    format: Literal[1] = 1
    title: str
    command: str
    data: DataCard
    tasks: tuple[TaskCard, ...]
    verdicts: tuple[Verdict, ...]
    smallest_width: int
    summary: str = ""
    versions: dict[str, str]
    pictures: dict[str, Annotated[dict[int, Drawn] | Drawn, Field(union_mode="left_to_right")]] | None = None
    new_rows: NewRows | None = None
