"""By how much a mixture of models improves every task at once, over the front of single models."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import Field

from ...core.drawing import plot_parts as plot
from ...core.drawing.palette import VISIBLE
from ...core.text import clean, share
from ...errors import TaskError
from .picture import Picture, Points, plain, shares_of

if TYPE_CHECKING:
    from ...core.records.audit import FrontPoint, Verdict
    from ...linear.problem.linear_problem import LinearProblem
    from ..widths.optima import Shares

__all__ = ["Gap"]


class Gap(Picture):
    """One mark a model, coloured by its gap; of three tasks in a triangle."""

    key = "gap"
    place = "stakes"
    known = "each gap is attained by a mixture; models not tried may have larger ones (found by search)"

    figure: Literal["gap over the front"] = "gap over the front"
    width: int
    division: Points | None = None  # (n, 3) how each model's excess over separate models is divided
    weights: Points | None = None  # (n, k) instead: the Tchebycheff weights that were asked for
    losses: Points = Field(min_length=1)  # (n, k) of the models
    # (n,) by how much a mixture beats each on every task; 0 where some weights reach it
    gap: list[float] = Field(min_length=1)
    models: list[int] | None = None  # (n,) members of the smallest mixture, where that was computed

    @classmethod
    def arrange(cls, shares: Shares, verdict: Verdict) -> Gap | str:
        models = [p for p in verdict.front if p.kind in {"one model", "tchebycheff"} and p.gap is not None]
        if len(shares.tasks) == 2:
            return "No gap is drawn: with two tasks some weights reach every best trade-off, at any width."
        if max(map(_lead, models), default=0.0) <= VISIBLE:
            return (
                f"No gap is drawn: some weights reach each of the {len(models)} balanced models tried, to within "
                "0.000001 of variance."
            )
        if len(shares.tasks) > 3:
            return f"The gap over the front is drawn for three tasks only; here there are {len(shares.tasks)}."
        excess = np.maximum(np.array([point.losses for point in models]) - shares.unexplained, 0.0)
        size = np.maximum(excess.sum(axis=1, keepdims=True), np.finfo(np.float64).tiny)
        return cls(
            tasks=list(shares.tasks),
            width=verdict.about.width,
            division=plain(excess / size),
            losses=[list(point.losses) for point in models],
            gap=[_lead(point) for point in models],
        )

    @classmethod
    def of(cls, problem: LinearProblem | Shares, width: int, *, directions: int = 91) -> Gap:
        """The gap of a problem of two or three tasks, over at least `directions` Tchebycheff weights on a lattice.

        Raises:
            TaskError: Another number of tasks.
        """
        from ...linear.optima.minimal_mixture import minimal_mixture  # noqa: PLC0415 - scipy
        from ...linear.optima.tchebycheff import tchebycheff  # noqa: PLC0415 - scipy
        from ...linear.problem.gramian import checked_width  # noqa: PLC0415 - scipy
        from ..widths.front_sample import lattice  # noqa: PLC0415 - scipy

        shares = shares_of(problem)
        tasks = len(shares.tasks)
        if tasks not in {2, 3}:
            raise TaskError(f"the gap over the front is drawn for two or three tasks; found {tasks}")
        cells = lattice(tasks, directions)
        losses, gaps, models = [], [], []
        for cell in cells:
            point = tchebycheff(shares.gramian, cell, width)
            gap, members = 0.0, 1
            if point.value - point.mixture_value > 1e-9:
                mixed = minimal_mixture(shares.gramian, width, point.captured, np.ones(tasks))
                gap, members = max(mixed.lead, 0.0), len(mixed.probabilities)
            losses.append(plain(shares.losses(point.captured)))
            gaps.append(round(gap, 9))
            models.append(members)
        return cls(
            tasks=list(shares.tasks),
            width=checked_width(width),
            weights=[plain(cell) for cell in cells],
            losses=losses,
            gap=gaps,
            models=models,
        )

    def misfit(self) -> str:
        if not self.each_task(self.losses):
            return "losses"
        places = self._places()
        fits = len(places) == len(self.losses) == len(self.gap) and self.each_task(places)
        return "" if fits else "division"

    def _places(self) -> Points:
        return self.division if self.division is not None else self.weights or []

    def panels(self) -> list[plot.Panel]:
        largest = max(self.gap)
        alt = (
            "By how much a mixture of models improves every task at once over the single models of the front, shared "
            f"width {self.width}, {len(self.gap)} of them. Largest: {share(largest)} of variance, at {self._where()}."
        )
        look: plot.Figure = {
            "color": [plot.rounded(gap) for gap in self.gap],
            "colorscale": "Cividis",
            "size": 9,
            "line": {"color": "faint", "width": 0.8},
            "colorbar": plot.color_bar("gap, share of variance"),
        }
        hover = [
            plot.hover_text(f"gap {share(gap)}", zip(self.tasks, map(share, point), strict=True))
            for gap, point in zip(self.gap, self.losses, strict=True)
        ]
        trace: plot.Figure = {"mode": "markers", "marker": look, "hoverinfo": "text", "hovertext": hover}
        if len(self.tasks) == 2:
            x, y = ([plot.rounded(point[i]) for point in self.losses] for i in range(2))
            trace |= {"type": "scatter", "x": x, "y": y}
            titles = [plot.make_axis(f"{plot.safe_name(task)}, loss") for task in self.tasks]
            layout: plot.Figure = {"xaxis": titles[0], "yaxis": titles[1]}
            return [plot.make_panel("Gap over the front", alt, [trace], layout, shape="square")]
        sides = {side: [place[i] for place in self._places()] for i, side in enumerate("abc")}
        trace |= {"type": "scatterternary", **sides}
        note = (
            "One mark a model. Position: how the loss above separate models is divided; at a corner, that task bears "
            "all."
            if self.division is not None
            else "Each corner asks most of one task; colour is the gap of the best single model for these demands."
        )
        layout = plot.triangle_axes(self.tasks)
        return [plot.make_panel("Gap over the front", alt, [trace], layout, shape="square", note=note)]

    def _where(self) -> str:
        place = self.gap.index(max(self.gap))
        return ", ".join(f"{clean(task)} {share(x)}" for task, x in zip(self.tasks, self.losses[place], strict=True))

    def caption(self) -> str:
        reached = sum(gap == 0 for gap in self.gap)
        return (
            f"A mixture improves every task at once by up to {share(max(self.gap))} of variance, over the model at "
            f"{self._where()}; {reached} of the {len(self.gap)} balanced models drawn are reached by some weights and "
            "cannot be improved so."
        )

    def title(self) -> str:
        return "Where a mixture of models helps every task"

    def unit(self) -> str:
        return "Gaps and losses in shares of variance"

    def legend(self) -> list[plot.LegendEntry]:
        return []


def _lead(point: FrontPoint) -> float:
    """The gap of a model, 0 where it is rounding."""
    return point.gap if point.gap is not None and point.gap > VISIBLE else 0.0
