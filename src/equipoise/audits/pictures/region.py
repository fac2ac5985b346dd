"""The feasible region of two or three tasks: models by sign pattern, where surfaces meet, what weights reach."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike
from pydantic import BaseModel

from ...core.drawing import plot_parts as plot
from ...core.drawing.palette import MARKS
from ...core.numbers import Array
from ...core.text import clean, joined
from ...errors import SettingError, TaskError
from .picture import Picture, Points, plain, shares_of

if TYPE_CHECKING:
    from ...core.records.audit import Verdict
    from ...linear.problem.linear_problem import LinearProblem
    from ..widths.optima import Shares

__all__ = ["CREASE", "HIDDEN", "Region"]

CREASE = "where two surfaces meet"
HIDDEN = "surfaces meet on the front: no weights reach this"

_MODELS, _CREASES = 600, 60
"""Drawn in an audit."""
_COLORS = ("blue", "purple", "green", "sky")
_SYMBOLS = ("circle", "diamond", "square", "triangle-up")
"""Of the sign patterns."""
_OTHERS = ("star", "cross", "x", "triangle-down", "pentagon", "hexagram", "diamond", "square", "circle")
_KNOWN = {mark.words: mark for mark in MARKS}


class Models(BaseModel):
    """A sample of all models: their losses, and the surface that each lies on."""

    losses: Points
    piece: list[int]


class Crease(BaseModel):
    """Where two surfaces meet, because one task changes its sign."""

    task: str | None = None
    losses: Points
    optimal: list[bool] = []
    unreachable: list[bool]
    disagreement: list[float] = []


class Region(Picture):
    """One panel a pair of tasks."""

    key = "region"
    place = "test"
    known = "surfaces and what lies on the front are exact, at a sample of points; what weights reach is a sweep"

    figure: Literal["feasible region"] = "feasible region"
    width: int  # 1, or the rank less one
    models: Models
    pieces: dict[str, str]  # number of a surface -> its signs in words
    creases: list[Crease]  # where surfaces meet, at full rank of three tasks
    weighted: Points  # losses that weights reach
    others: dict[str, Points]  # name -> losses of further models
    separate: list[float] | None = None  # (k,) losses of models of their own

    @classmethod
    def arrange(cls, shares: Shares, verdict: Verdict) -> Region | str:
        width = verdict.about.width
        if len(shares.tasks) > 3:
            return (
                "The surfaces that the set of all models is made of are drawn for two or three tasks only; here there "
                f"are {len(shares.tasks)}."
            )
        if width not in {1, shares.rank - 1}:
            return "No surfaces are drawn: they are known for width 1 and for the number of independent tasks less one."
        others = {
            words: [point.losses for point in verdict.front if point.kind == kind]
            for kind, words in (("tchebycheff", "best balanced single model"), ("best weights", "best weights found"))
        }
        drawn = cls.of(shares, width, count=_MODELS, creases=_CREASES, sweep=0, others=others)
        weighted = [list(point.losses) for point in verdict.front if point.kind == "weighted sum"]
        return drawn.model_copy(update={"weighted": weighted})

    @classmethod
    def of(
        cls,
        problem: LinearProblem | Shares,
        width: int,
        *,
        count: int = 1500,
        creases: int = 80,
        sweep: int = 200,
        others: Mapping[str, ArrayLike] | None = None,
    ) -> Region:
        """The region of two or three tasks at width 1 or rank - 1.

        It holds `count` models, `creases` points on each crease and a refined `sweep` of so many weights. `others` maps
        the names of methods to the (n, k) losses of their models, in shares of variance.

        Raises:
            TaskError: Another number of tasks.
            SettingError: A width without surfaces, or points of another shape.
        """
        from ...linear.geometry.creases import judge_creases  # noqa: PLC0415 - scipy
        from ...linear.geometry.surfaces import surface_points  # noqa: PLC0415 - scipy
        from ...linear.problem.gramian import checked_width  # noqa: PLC0415 - scipy
        from ..widths.front_sample import weight_sweep  # noqa: PLC0415 - scipy

        shares = shares_of(problem)
        tasks = list(shares.tasks)
        if len(tasks) not in {2, 3}:
            raise TaskError(f"the feasible region is drawn for two or three tasks; found {len(tasks)}")
        found = surface_points(shares.gramian, width, count)
        signs = {int(piece): _signs(pattern) for piece, pattern in zip(found.pieces, found.signs, strict=True)}
        named = {}
        for name, points in (others or {}).items():
            table = np.array(points, dtype=np.float64, ndmin=2)
            if table.shape[1] != len(tasks):
                raise SettingError(f"others[{name!r}] must have {len(tasks)} columns; found shape {table.shape}")
            named[str(name)] = plain(table)
        judged = (
            judge_creases(shares.gramian, width, creases, leads=False)
            if creases and shares.rank == len(tasks) == 3
            else ()
        )
        return cls(
            tasks=tasks,
            width=checked_width(width),
            models=Models(losses=plain(shares.ceiling - found.captured), piece=found.pieces.tolist()),
            pieces={str(piece): signs[piece] for piece in sorted(signs)},
            creases=[
                Crease(
                    task=tasks[crease.flipped[0]],
                    losses=plain(shares.ceiling - crease.captured),
                    optimal=crease.optimal.tolist() if crease.optimal is not None else [],
                    unreachable=crease.unreachable.tolist(),
                    disagreement=plain(crease.disagreement),
                )
                for crease in judged
            ],
            weighted=[plain(losses) for _, losses in weight_sweep(shares, width, sweep)] if sweep else [],
            others=named,
            separate=plain(shares.unexplained),
        )

    def misfit(self) -> str:
        flagged: list[tuple[Points, Sequence[object]]] = [(self.models.losses, self.models.piece)]
        flagged += [(crease.losses, crease.unreachable) for crease in self.creases]
        if any(len(rows) != len(flags) for rows, flags in flagged):
            return "models"
        points = {"models": self.models.losses, "weighted": self.weighted}
        points |= {f"others.{name}": rows for name, rows in self.others.items()}
        points["creases"] = [point for crease in self.creases for point in crease.losses]
        return next((key for key, rows in points.items() if not self.each_task(rows)), "")

    def panels(self) -> list[plot.Panel]:
        return [self._pair(i, j) for i, j in itertools.combinations(range(len(self.tasks)), 2)]

    def _pair(self, i: int, j: int) -> plot.Panel:
        traces = []
        for number, (piece, signs) in enumerate(self.pieces.items()):
            own = [
                point for point, owner in zip(self.models.losses, self.models.piece, strict=True) if str(owner) == piece
            ]
            look = plot.make_marker(_COLORS[number % len(_COLORS)], _SYMBOLS[number % len(_SYMBOLS)], 4, 0.6)
            traces.append(_points(own, i, j, f"models with signs {signs}", marker=look))
        for crease in self.creases:
            traces.append(_points(crease.losses, i, j, CREASE, mode="lines", line={"color": "faint", "width": 1.5}))
        if self.weighted:
            look = plot.make_marker("ink", "circle", 4)
            traces.append(_points(self.weighted, i, j, "reached by weights", marker=look))
        for crease in self.creases:
            hidden = [point for point, out in zip(crease.losses, crease.unreachable, strict=True) if out]
            if hidden:
                traces.append(_points(hidden, i, j, HIDDEN, marker=plot.make_marker("vermillion", "x", 7)))
        for number, (name, points) in enumerate(self.others.items()):
            mark = _KNOWN.get(name)
            look = (
                plot.make_marker("green", _OTHERS[number % len(_OTHERS)], 11)
                if mark is None
                else plot.make_marker(mark.color, mark.symbol, mark.size)
            ) | {"line": {"color": "page", "width": 1}}
            traces.append(_points(points, i, j, plot.safe_name(name, 40), marker=look))
        first, second = clean(self.tasks[i]), clean(self.tasks[j])
        alt = (
            f"Feasible region at shared width {self.width}: loss of {first} across, loss of {second} upwards, in "
            f"shares of variance. {len(self.pieces)} surfaces by sign pattern; {len(self.weighted)} points reached by "
            f"weights; {self._hidden()} crease points are Pareto-optimal and out of reach of all weights."
        )
        layout: plot.Figure = {
            "xaxis": plot.make_axis(f"{plot.safe_name(self.tasks[i])}, loss"),
            "yaxis": plot.make_axis(f"{plot.safe_name(self.tasks[j])}, loss"),
        }
        return plot.make_panel(f"{first} against {second}", alt, traces, layout, shape="square")

    def _hidden(self) -> int:
        return sum(sum(crease.unreachable) for crease in self.creases)

    def caption(self) -> str:
        drawn = sum(len(crease.losses) for crease in self.creases)
        order = joined([clean(name) for name in self.tasks])
        first = (
            "Every dot is a model, coloured by the signs with which its one number enters the tasks"
            if self.width == 1
            else "Every dot is a model, coloured by the signs with which what its layer leaves out enters the tasks"
        )
        if not self.creases:
            return f"{first} ({order}); black dots are what weights reach."
        if self._hidden():
            return (
                f"{first} ({order}); {self._hidden()} of {drawn} points drawn where two surfaces meet are on the "
                "front, and there the front has a fold that no weights reach (crosses), nor the models around it."
            )
        return (
            f"{first} ({order}); none of {drawn} points drawn where two surfaces meet is on the front, so no fold "
            "there hides a model from weights."
        )

    def title(self) -> str:
        return "All models, and what weights reach of them"

    def unit(self) -> str:
        return "Losses in shares of each task's variance"


def _signs(pattern: Array) -> str:
    return " ".join("+" if sign > 0 else "−" if sign < 0 else "0" for sign in pattern)


def _points(losses: Points, i: int, j: int, words: str, **more: Any) -> plot.Figure:
    return {
        "type": "scatter",
        "mode": "markers",
        "name": words,
        "x": [plot.rounded(point[i]) for point in losses],
        "y": [plot.rounded(point[j]) for point in losses],
        "hovertemplate": plot.pair_hover(),
        **more,
    }
