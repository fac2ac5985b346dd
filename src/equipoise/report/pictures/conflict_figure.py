"""The graph of tasks that the theorem's test looks at: tasks on a circle, correlations as lines, conflict in colour."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from ..text import clean, plural, signed
from .plot_parts import Figure, Panel, hover_text, make_layout, make_marker, rounded, safe_name

__all__ = ["conflict_panels"]

_LETTERS = 13
_MIDDLE, _ALONG = 0.25, 0.35
_FEW = 6
"""Tasks up to which the sizes of the cycle's edges are written on them; with more they would lie on each other."""
_CROWD = 8
"""Tasks from which on only a part is drawn: the tasks in conflict, or where there are none the strongest edges."""


def conflict_panels(record: Mapping[str, Any]) -> list[Panel]:
    """The one panel of a conflict graph.

    Args:
        record: As `equipoise.audits.pictures.records.conflict_record` makes it.
    """
    left_out, record = _thinned(record)
    tasks = record["tasks"]
    angle = {task: math.tau * number / len(tasks) - math.pi / 2 for number, task in enumerate(tasks)}
    x = {task: rounded(math.cos(angle[task])) for task in tasks}
    y = {task: rounded(-math.sin(angle[task])) for task in tasks}
    edges = sorted(record["edges"], key=lambda edge: edge["on_cycle"])
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
    cycle = " to ".join(clean(task) for task in (*record["cycle"], *record["cycle"][:1]))
    said = f"Tasks in conflict: {cycle}; margin {record['margin']:.3f}." if cycle else "No conflict cycle."
    alt = (
        f"Graph of {len(tasks)} tasks and the {record['matrix']}: solid lines positive, dashed negative, width by "
        f"size. {said}"
    )
    marked = "Coloured: the tasks in conflict. " if cycle else ""
    note = f"{marked}Solid: positive, dashed: negative, thicker: larger. {left_out}"
    layout = make_layout(
        xaxis={"visible": False, "range": [-2.3, 2.3]},
        yaxis={"visible": False, "range": [min(y.values()) - 0.3, max(y.values()) + 0.3], "scaleanchor": "x"},
        margin={"l": 8, "r": 8, "t": 8, "b": 8},
        annotations=_sizes(record, x, y),
    )
    return [
        {
            "name": "Conflict graph",
            "alt": alt,
            "note": note,
            "shape": "graph",
            "figure": {"data": traces, "layout": layout},
        }
    ]


def _thinned(record: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    """What can be read of a large graph, and what was left out in words."""
    tasks, cycle = record["tasks"], record["cycle"]
    if len(tasks) <= _CROWD:
        return f"Up to {record['least']:.2g}: not drawn.", record
    if cycle:
        edges = [edge for edge in record["edges"] if edge["on_cycle"]]
        rest = len(tasks) - len(cycle)
        words = f"Only the tasks in conflict are drawn; {plural(rest, 'other')} left out." if rest else ""
        return words, {**record, "tasks": cycle, "edges": edges}
    edges = sorted(record["edges"], key=lambda edge: -abs(edge["correlation"]))[: len(tasks)]
    return f"Only the {len(edges)} strongest are drawn.", {**record, "edges": edges}


def _line(edge: Mapping[str, Any], x: Mapping[str, float], y: Mapping[str, float]) -> Figure:
    ends = (edge["from"], edge["to"])
    line = {
        "color": "vermillion" if edge["on_cycle"] else "faint",
        "width": rounded(1 + 5 * abs(edge["correlation"])),
        "dash": "solid" if edge["correlation"] > 0 else "dash",
    }
    across, upwards = [x[end] for end in ends], [y[end] for end in ends]
    return {"type": "scatter", "mode": "lines", "x": across, "y": upwards, "line": line, "hoverinfo": "skip"}


def _middle(edge: Mapping[str, Any], at: Mapping[str, float]) -> float:
    return rounded((at[edge["from"]] + at[edge["to"]]) / 2)


def _middles(edges: Sequence[Mapping[str, Any]], x: Mapping[str, float], y: Mapping[str, float]) -> Figure:
    """What a line says when touched."""
    return {
        "type": "scatter",
        "mode": "markers",
        "x": [_middle(edge, x) for edge in edges],
        "y": [_middle(edge, y) for edge in edges],
        "marker": make_marker("faint", "circle", 14, 0.0),
        "hoverinfo": "text",
        "hovertext": [
            hover_text("correlation", [(f"{edge['from']} and {edge['to']}", signed(edge["correlation"], 3))])
            for edge in edges
        ],
    }


def _sizes(record: Mapping[str, Any], x: Mapping[str, float], y: Mapping[str, float]) -> list[Figure]:
    """The sizes written on the lines of a short cycle, nearer to the end where each begins, so that they stay apart."""
    cycle = record["cycle"]
    if len(record["tasks"]) > _FEW:
        return []
    sizes = {frozenset((edge["from"], edge["to"])): edge["correlation"] for edge in record["edges"]}
    written = []
    for first, second in zip(cycle, (*cycle[1:], *cycle[:1]), strict=True):
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


def _side(x: float, y: float) -> str:
    """Where the name of a task stands: away from the circle."""
    if abs(x) < _MIDDLE:
        return "top center" if y > 0 else "bottom center"
    return "middle right" if x > 0 else "middle left"


def _padded(name: str, side: str) -> str:
    return f"\u2002{name}" if side == "middle right" else f"{name}\u2002" if side == "middle left" else name
