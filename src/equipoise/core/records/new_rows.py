"""What is known of an audit's remedies on rows that they were not fitted to, as data."""

from typing import Literal

from pydantic import BaseModel, ConfigDict

from .sharing import Sharing

__all__ = ["NewRows", "OnNewRows", "Told"]

Told = Literal["worse", "better", "worse and better", "not told apart", "the same"]


class OnNewRows(BaseModel):
    """One remedy on new rows.

    Attributes:
        losses: (k,) cross-validated losses, in shares of each task's variance.
        differences: (k,) losses minus those of separate models on the same rows.
        margins: (k,) half widths of the intervals of the differences, which hold for all tasks at once at 95 %.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    losses: tuple[float, ...]
    differences: tuple[float, ...]
    margins: tuple[float, ...]

    @property
    def largest(self) -> float:
        """The largest excess over the separate models' losses."""
        return max(self.differences)

    @property
    def interval(self) -> tuple[float, float]:
        """Ends of the interval of the largest excess: the largest lower and the largest upper end over the tasks."""
        ends = list(zip(self.differences, self.margins, strict=True))
        return max(value - margin for value, margin in ends), max(value + margin for value, margin in ends)

    @property
    def worse(self) -> tuple[int, ...]:
        """The tasks that are told to lose against separate models."""
        return tuple(i for i, value in enumerate(self.differences) if value - self.margins[i] > 0)

    @property
    def better(self) -> tuple[int, ...]:
        """The tasks that are told to gain against separate models."""
        return tuple(i for i, value in enumerate(self.differences) if value + self.margins[i] < 0)

    @property
    def told(self) -> Told:
        """What can be said of the remedy against separate models."""
        if not any(self.margins) and not any(self.differences):
            return "the same"
        if self.worse:
            return "worse and better" if self.better else "worse"
        return "better" if self.better else "not told apart"


class NewRows(BaseModel):
    """How losses on new rows were found, or why there are none.

    Attributes:
        absent: Reason why nothing was measured on new rows, a sentence; "" where it was.
        folds: Number of folds of the cross-validation.
        blocks: Number of blocks of the jackknife.
        partition: The blocks in words ("rows drawn at random", ...).
        penalties: Least and largest ridge penalty that the inner cross-validations chose.
        ends: Number of folds whose penalty is the least or the largest of those tried.
        separate: (k,) losses of separate models on new rows, in shares of each task's variance.
        searched: Whether remedies that need a search were measured too.
        sharing: Which task helps which; None where nothing was measured, and in records of earlier versions.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    absent: str = ""
    folds: int = 0
    blocks: int = 0
    partition: str = ""
    penalties: tuple[float, float] = (0.0, 0.0)
    ends: int = 0
    separate: tuple[float, ...] = ()
    searched: bool = True
    sharing: Sharing | None = None
