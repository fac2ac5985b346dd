"""The base of all pictures of an audit: a record of plain numbers that draws and describes itself."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import ArrayLike
from pydantic import BaseModel, ConfigDict

from ...core.drawing.plot_parts import LegendEntry, Panel, legend_of

if TYPE_CHECKING:
    from ...core.records.audit import Verdict
    from ...linear.problem.linear_problem import LinearProblem
    from ..widths.optima import Shares

__all__ = ["Picture", "Points", "plain", "shares_of"]

Points = list[list[float]]
DIGITS = 6


class Picture(BaseModel, ABC):
    """A picture of the linear problem. Its fields are what ``record.json`` holds of it.

    Losses are in shares of each task's variance. A report is drawn without the libraries that computed it, so a file of
    pictures imports `equipoise.linear` inside `arrange` only.
    """

    model_config = ConfigDict(frozen=True, populate_by_name=True)

    key: ClassVar[str]  # its name in ``record.json``, on the page and in this folder
    # where it stands: one for all widths beside the spectrum, or one a width with what is at stake or with the test
    place: ClassVar[Literal["beside the spectrum", "stakes", "test"]]
    known: ClassVar[str] = "exact, for linear models"  # how sure its numbers are

    figure: str  # what ``record.json`` calls it
    tasks: list[str]  # k names

    @classmethod
    @abstractmethod
    def arrange(cls, shares: Shares, verdict: Verdict) -> Self | str:
        """The picture of a width at which something is left to trade, or a sentence that says why there is none.

        A picture beside the spectrum is given the verdict of any of them.
        """

    @abstractmethod
    def panels(self) -> list[Panel]:
        """How it is drawn."""

    @abstractmethod
    def caption(self) -> str:
        """What to see, in one sentence."""

    @abstractmethod
    def unit(self) -> str:
        """What its numbers are, at the start of a sentence."""

    def title(self) -> str:
        """What stands above it, or ""."""
        return ""

    def legend(self) -> list[LegendEntry]:
        """The legend that stands beside all panels."""
        return legend_of(self.panels()[0])

    def misfit(self) -> str:
        """The first field whose length disagrees with another one's, or ""."""
        return ""

    def record(self) -> dict[str, Any]:
        """The picture as ``record.json`` holds it."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)

    def each_task(self, rows: Points) -> bool:
        """Whether every row holds one number a task."""
        return all(len(row) == len(self.tasks) for row in rows)


def plain(values: ArrayLike) -> Any:
    """Numbers as lists, rounded to 6 decimals: less than a pixel."""
    return np.round(np.asarray(values, dtype=np.float64), DIGITS).tolist()


def shares_of(problem: LinearProblem | Shares) -> Shares:
    """The problem in shares of each task's variance."""
    from ..widths.optima import Shares, in_shares  # noqa: PLC0415 - scipy

    return problem if isinstance(problem, Shares) else in_shares(problem)
