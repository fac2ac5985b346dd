"""The graph of tasks that the theorem's test looks at: tasks on a circle, correlations as lines, conflict in colour."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import ArrayLike
from pydantic import BaseModel, ConfigDict, Field

from ...core.drawing.plot_parts import Figure, Panel, hover_text, make_marker, make_panel, rounded, safe_name
from ...core.text import clean, joined, plural, share, signed
from .picture import DIGITS, Picture

if TYPE_CHECKING:
    from ...core.records.audit import Condition, Verdict
    from ..widths.optima import Shares

__all__ = ["Conflict"]

_LEAST, _MOST = 0.02, 60
"""Weaker edges are left out, unless they are on the cycle; of more edges the strongest are kept."""
_TASKS = 20
"""Tasks up to which the names around a graph can be read."""
_LETTERS = 13
_MIDDLE, _ALONG = 0.25, 0.35
_FEW = 6
"""Tasks up to which the sizes of the cycle's edges are written on them; with more they would lie on each other."""
_CROWD = 8
"""Tasks from which on only a part is drawn: the tasks in conflict, or where there are none the strongest edges."""


class Edge(BaseModel):
    """Two tasks and their correlation."""

    model_config = ConfigDict(populate_by_name=True)

    start: str = Field(alias="from")
    end: str = Field(alias="to")
    correlation: float
    on_cycle: bool

    @property
    def ends(self) -> frozenset[str]:
        """Both tasks."""
        return frozenset((self.start, self.end))


class Conflict(Picture):
    """The signed graph of tasks."""

    key = "conflict"
    place = "test"

    figure: Literal["conflict graph"] = "conflict graph"
    width: int | None = None  # shared width of the test
    edges: list[Edge]  # correlations of the predictions, or of the inverse: those above `least`, and those on the cycle
    cycle: list[str]  # tasks in conflict, in order
    margin: float  # size of the conflict
    status: str | None = None  # of the condition
    matrix: str  # what the correlations are of, in words
    least: float  # weaker edges are left out

    @classmethod
    def arrange(cls, shares: Shares, verdict: Verdict) -> Conflict | str:
        found = verdict.condition
        if found.status == "open":
            return "No graph of conflicts: no test is known for this width."
        if found.status == "undetermined" and not found.cycle:
            return "No graph of conflicts: the numbers of this test cannot be trusted."
        if len(shares.tasks) == 2:
            return (
                "No graph of conflicts: two tasks cannot be in conflict in this sense. Turning one of them around "
                "makes their only correlation positive."
            )
        if len(shares.tasks) > _TASKS:
            return f"The graph of conflicts is drawn for up to {_TASKS} tasks; the table below holds all correlations."
        return cls.of(shares.gramian, verdict.about.width, shares.tasks, found)

    @classmethod
    def of(cls, gramian: ArrayLike, width: int, tasks: Sequence[str], known: Condition | None = None) -> Conflict:
        """The graph of a Gramian (k, k): its correlations at width 1, otherwise their inverse where it exists.

        `known` is the outcome of `condition`, where it is at hand.
        """
        from ...linear.problem.gramian import checked_gramian, checked_width, correlations  # noqa: PLC0415 - scipy
        from ...linear.sign_test.condition import condition  # noqa: PLC0415 - scipy

        matrix, width = checked_gramian(gramian), checked_width(width)
        names = [str(task) for task in tasks]
        found = known or condition(matrix, width, tasks=names)
        related, words = correlations(matrix), "correlations of the predictions"
        if width > 1 and "inverse" in found.test:
            present = np.flatnonzero(related.diagonal())
            inverse = np.zeros_like(related)
            inverse[np.ix_(present, present)] = np.linalg.inv(related[np.ix_(present, present)])
            related, words = correlations((inverse + inverse.T) / 2), "correlations of the inverse"
        sizes = np.sort(np.abs(related[np.triu_indices(len(names), 1)]))[::-1]
        least = max(_LEAST, float(sizes[_MOST])) if len(sizes) > _MOST else _LEAST
        around = _around(found.cycle)
        edges = [
            Edge(start=names[i], end=names[j], correlation=round(float(related[i, j]), DIGITS), on_cycle=on)
            for i in range(len(names))
            for j in range(i + 1, len(names))
            if (on := frozenset((names[i], names[j])) in around) or abs(related[i, j]) > least
        ]
        return cls(
            tasks=names,
            width=width,
            edges=edges,
            cycle=list(found.cycle),
            margin=round(found.margin, DIGITS),
            status=found.status,
            matrix=words,
            least=least,
        )

    def misfit(self) -> str:
        names = set(self.cycle).union(*(edge.ends for edge in self.edges))
        fits = names <= set(self.tasks) and _around(self.cycle) <= {edge.ends for edge in self.edges}
        return "" if fits else "edges"

    def panels(self) -> list[Panel]:
        left_out, tasks, edges = self._thinned()
        angle = {task: math.tau * number / len(tasks) - math.pi / 2 for number, task in enumerate(tasks)}
        x = {task: rounded(math.cos(angle[task])) for task in tasks}
        y = {task: rounded(-math.sin(angle[task])) for task in tasks}
        edges = sorted(edges, key=lambda edge: edge.on_cycle)
        traces = [_line(edge, x, y) for edge in edges]
        traces.append(_middles(edges, x, y))
        for side in ("middle left", "top center", "bottom center", "middle right"):
            own = [task for task in tasks if _side(x[task], y[task]) == side]
            if own:
                traces.append(
                    {
                        "type": "scatter",
                        "mode": "markers+text",
                        "x": [x[task] for task in own],
                        "y": [y[task] for task in own],
                        "text": [_padded(safe_name(task, _LETTERS), side) for task in own],
                        "textposition": side,
                        "textfont": {"size": 12},
                        "marker": make_marker("ink", "circle", 12),
                        "hoverinfo": "skip",
                        "cliponaxis": False,
                    }
                )
        cycle = " to ".join(clean(task) for task in (*self.cycle, *self.cycle[:1]))
        said = f"Tasks in conflict: {cycle}; margin {self.margin:.3f}." if cycle else "No conflict cycle."
        alt = (
            f"Graph of {len(tasks)} tasks and the {self.matrix}: solid lines positive, dashed negative, width by size. "
            f"{said}"
        )
        marked = "Coloured: the tasks in conflict. " if cycle else ""
        note = f"{marked}Solid: positive, dashed: negative, thicker: larger. {left_out}"
        layout: Figure = {
            "xaxis": {"visible": False, "range": [-2.3, 2.3]},
            "yaxis": {
                "visible": False, "range": [min(y.values()) - 0.3, max(y.values()) + 0.3], "scaleanchor": "x"
            },
            "margin": {"l": 8, "r": 8, "t": 8, "b": 8},
            "annotations": self._sizes(x, y) if len(tasks) <= _FEW else [],
        }  # fmt: skip
        return [make_panel("Conflict graph", alt, traces, layout, shape="graph", note=note)]

    def _thinned(self) -> tuple[str, list[str], list[Edge]]:
        """What was left out in words, and the tasks and edges of a graph that can be read."""
        if len(self.tasks) <= _CROWD:
            return f"Up to {self.least:.2g}: not drawn.", self.tasks, self.edges
        if self.cycle:
            rest = len(self.tasks) - len(self.cycle)
            words = f"Only the tasks in conflict are drawn; {plural(rest, 'other')} left out." if rest else ""
            return words, self.cycle, [edge for edge in self.edges if edge.on_cycle]
        edges = sorted(self.edges, key=lambda edge: -abs(edge.correlation))[: len(self.tasks)]
        return f"Only the {len(edges)} strongest are drawn.", self.tasks, edges

    def _sizes(self, x: Mapping[str, float], y: Mapping[str, float]) -> list[Figure]:
        """Sizes written on the lines of a short cycle, nearer to the end where each begins, so that they stay apart."""
        sizes = {edge.ends: edge.correlation for edge in self.edges}
        written = []
        for first, second in zip(self.cycle, (*self.cycle[1:], *self.cycle[:1]), strict=True):
            long = math.hypot(x[first] - x[second], y[first] - y[second]) > 1
            along = _ALONG if long else 0.5
            written.append(
                {
                    "x": rounded((1 - along) * x[first] + along * x[second]),
                    "y": rounded((1 - along) * y[first] + along * y[second]),
                    "text": signed(sizes[frozenset((first, second))]),
                    "showarrow": False,
                    "bgcolor": "page",
                    "borderpad": 1,
                    "font": {"color": "vermillion", "size": 12},
                }
            )
        return written

    def caption(self) -> str:
        if not self.cycle:
            return (
                "No circle of tasks has an odd number of negative correlations: the tasks can be turned around (their "
                "sign flipped) so that none is negative, and then weights reach every best trade-off."
            )
        return (
            f"The coloured circle of {joined([clean(name) for name in self.cycle])} holds an odd number of negative "
            f"correlations; if correlations up to {share(self.margin)} were noise, no such circle would be left."
        )

    def title(self) -> str:
        return "Which tasks are in conflict" if self.cycle else "Why no tasks are in conflict"

    def unit(self) -> str:
        return f"{self.matrix.capitalize()}, from −1 to 1"


def _around(cycle: Sequence[str]) -> set[frozenset[str]]:
    """Pairs of neighbours of a cycle."""
    return {frozenset(pair) for pair in zip(cycle, (*cycle[1:], *cycle[:1]), strict=True)}


def _line(edge: Edge, x: Mapping[str, float], y: Mapping[str, float]) -> Figure:
    line = {
        "color": "vermillion" if edge.on_cycle else "faint",
        "width": rounded(1 + 5 * abs(edge.correlation)),
        "dash": "solid" if edge.correlation > 0 else "dash",
    }
    across, upwards = [x[edge.start], x[edge.end]], [y[edge.start], y[edge.end]]
    return {"type": "scatter", "mode": "lines", "x": across, "y": upwards, "line": line, "hoverinfo": "skip"}


def _middles(edges: Sequence[Edge], x: Mapping[str, float], y: Mapping[str, float]) -> Figure:
    """Invisible marks that hold the hover text of the lines."""
    return {
        "type": "scatter",
        "mode": "markers",
        "x": [rounded((x[edge.start] + x[edge.end]) / 2) for edge in edges],
        "y": [rounded((y[edge.start] + y[edge.end]) / 2) for edge in edges],
        "marker": make_marker("faint", "circle", 14, 0.0),
        "hoverinfo": "text",
        "hovertext": [
            hover_text("correlation", [(f"{edge.start} and {edge.end}", signed(edge.correlation, 3))]) for edge in edges
        ],
    }


def _side(x: float, y: float) -> str:
    """Where the name of a task stands: away from the circle."""
    if abs(x) < _MIDDLE:
        return "top center" if y > 0 else "bottom center"
    return "middle right" if x > 0 else "middle left"


def _padded(name: str, side: str) -> str:
    return f"\u2002{name}" if side == "middle right" else f"{name}\u2002" if side == "middle left" else name
