"""What each shared width captures: of all tasks together at best, and of each task at equal weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import Field

from ...core.drawing import plot_parts as plot
from ...core.text import clean, share
from ...errors import SettingError, listed
from .picture import Picture, Points, plain, shares_of

if TYPE_CHECKING:
    from ...core.records.audit import Verdict
    from ...linear.problem.linear_problem import LinearProblem
    from ..widths.optima import Shares

__all__ = ["Spectrum"]


class Spectrum(Picture):
    """Bars: all tasks together. Lines: each task."""

    key = "spectrum"
    place = "beside the spectrum"

    figure: Literal["spectrum"] = "spectrum"
    widths: list[int] = Field(min_length=1)  # 1 to the rank
    total: list[float]  # share of the predictable variance of all tasks that the best layer of each width captures
    captured: Points  # (widths, k) share of each task's predictable variance, at equal weights per unit of variance
    separate: list[float]  # (k,) loss of a model of its own

    @classmethod
    def arrange(cls, shares: Shares, verdict: Verdict) -> Spectrum | str:
        if shares.rank == 0:
            return "The inputs predict nothing of any task: there is nothing for a layer to capture."
        if shares.rank == 1:
            return "All predictable parts are multiples of one another: a layer of width 1 captures everything."
        return cls.of(shares)

    @classmethod
    def of(cls, problem: LinearProblem | Shares) -> Spectrum:
        """The spectrum of a problem.

        Raises:
            SettingError: Nothing can be predicted of any task.
        """
        from ...linear.optima.weighted_sum import optimum  # noqa: PLC0415 - scipy
        from ...linear.problem.gramian import factor  # noqa: PLC0415 - scipy

        shares = shares_of(problem)
        sizes = np.linalg.svd(factor(shares.gramian)[0], compute_uv=False) ** 2
        if not len(sizes):
            raise SettingError(f"nothing can be predicted of {listed(shares.tasks)}: there is no spectrum")
        energy = np.where(shares.predictable, shares.gramian.diagonal(), np.inf)
        widths = list(range(1, len(sizes) + 1))
        even = np.ones(len(shares.tasks))
        return cls(
            tasks=list(shares.tasks),
            widths=widths,
            total=plain(np.cumsum(sizes) / sizes.sum()),
            captured=[plain(optimum(shares.gramian, even, width).captured / energy) for width in widths],
            separate=plain(shares.unexplained),
        )

    def misfit(self) -> str:
        fits = len(self.total) == len(self.captured) == len(self.widths) and self.each_task(self.captured)
        known = any(separate < 1 for separate in self.separate)
        return "" if fits and self.each_task([self.separate]) and known else "captured"

    def _known(self) -> list[int]:
        """Tasks that something can be predicted of."""
        return [number for number, separate in enumerate(self.separate) if separate < 1]

    def panels(self) -> list[plot.Panel]:
        names = [self.tasks[number] for number in self._known()]
        rows = [[row[number] for number in self._known()] for row in self.captured]
        bars: plot.Figure = {
            "type": "bar",
            "name": "all tasks, at best",
            "x": self.widths,
            "y": self.total,
            "marker": {"color": "faint", "opacity": 0.4},
            "hovertemplate": plot.pair_hover("width %{x}", "%{y:.3f}"),
        }
        lines = [
            (style["name"], [row[number] for row in rows], style["color"], style["dash"])
            for number, style in enumerate(plot.line_styles(names))
        ] or [("the task that gets most", [max(row) for row in rows], "blue", "solid"),
              ("the task that gets least", [min(row) for row in rows], "vermillion", "dash")]  # fmt: skip
        traces = [bars]
        for name, values, color, dash in lines:
            traces.append(
                {
                    "type": "scatter",
                    "mode": "lines+markers",
                    "name": plot.safe_name(name, 40),
                    "x": self.widths,
                    "y": values,
                    "line": {"color": color, "width": 2, "dash": dash},
                    "marker": plot.make_marker(color, "circle", 6),
                    "hovertemplate": plot.pair_hover("width %{x}", "%{y:.3f}"),
                }
            )
        told = (f"width {width} {share(value)}" for width, value in zip(self.widths, self.total, strict=True))
        alt = (
            "What each shared width captures of the predictable variance. All tasks together: " + ", ".join(told) + "."
        )
        layout: plot.Figure = {
            "xaxis": plot.make_axis("shared width", tickvals=self.widths[:: -(-len(self.widths) // 20)]),
            "yaxis": plot.make_axis("share of what can be predicted", range=[0, 1.04]),
        }
        each = "each task" if len(names) <= plot.MOST_LINES else "the tasks that get most and least"
        note = (
            f"Bars: all tasks together, the best that any layer of this width can do. Lines: {each}, at equal weights."
        )
        return [plot.make_panel("Spectrum", alt, traces, layout, shape="low", note=note)]

    def caption(self) -> str:
        first, total = self.captured[0], self.total
        least = min(self._known(), key=first.__getitem__)
        enough = next(width for width, value in zip(self.widths, total, strict=True) if value > 1 - 1e-6)
        near = next(width for width, value in zip(self.widths, total, strict=True) if value >= 0.95)
        most = f" {share(total[near - 1])} from width {near} on," if 1 < near < enough else ""
        return (
            f"A layer of width 1 captures at best {share(total[0])} of what can be predicted of all tasks together,"
            f"{most} and everything from width {enough} on; of single tasks, {clean(self.tasks[least])} gets least "
            f"from width 1 with equal weights ({share(first[least])} of its own)."
        )

    def unit(self) -> str:
        return "Shares of the tasks' predictable variance, each task in units of its own variance"
