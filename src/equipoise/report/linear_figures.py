"""Pictures of linear problems from the plain records of `equipoise.linear`: plotly figures as dicts.

Colours are words of the page (``ink``, ``blue``), as in `figures`; `standalone` fills them in for a figure that is
shown by itself. Traces are SVG ones, so three tasks are three panels of pairs and not a cloud that turns.
"""

import copy
import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from .figures import Figure, Panel, _axis, _layout, _rounded, _safe
from .text import clean, share

__all__ = ["PAGE_COLORS", "PIECES", "linear_panels", "standalone"]

PIECES = ("blue", "vermillion", "green", "sky")
"""Colours of the sign patterns, and"""
_SYMBOLS = ("circle", "diamond", "square", "triangle-up")

PAGE_COLORS = {
    "ink": "#1a1a1a",
    "faint": "#9a9a9a",
    "page": "#ffffff",
    "grid": "#dddddd",
    "blue": "#0072b2",
    "sky": "#56b4e9",
    "green": "#009e73",
    "vermillion": "#d55e00",
}
"""Okabe and Ito (2008), on white."""

_OTHERS = ("star", "cross", "x", "triangle-down", "pentagon", "hexagram", "diamond", "square", "circle")


def linear_panels(record: Mapping[str, Any]) -> list[Panel]:
    """The panels of one record of `equipoise.linear.pictures`.

    Args:
        record: Of any of the four kinds.

    Raises:
        ValueError: Another ``figure``.
    """
    kind = record.get("figure")
    drawers: dict[object, Callable[[Mapping[str, Any]], list[Panel]]] = {
        "feasible region": _feasible,
        "gap over the front": _gap,
        "conflict graph": _conflict,
        "spectrum": _spectrum,
    }
    if kind not in drawers:
        raise ValueError(f"a record must be one of {', '.join(map(str, drawers))}; found {kind!r}")
    return drawers[kind](record)


def standalone(figure: Figure) -> Figure:
    """A copy of a figure with the page's colours filled in, for ``plotly.graph_objects.Figure(...)`` or ``to_html``.

    Example:
        >>> standalone({"data": [{"marker": {"color": "blue"}}], "layout": {"showlegend": False}})["data"]
        [{'marker': {'color': '#0072b2'}}]
    """

    def filled(value: Any, key: str = "") -> Any:
        if isinstance(value, dict):
            return {name: filled(part, name) for name, part in value.items()}
        if isinstance(value, list):
            return [filled(part, key) for part in value]
        return PAGE_COLORS.get(value, value) if isinstance(value, str) and "color" in key else value

    done: Figure = filled(copy.deepcopy(figure))
    return done


def _points(losses: Sequence[Sequence[float]], i: int, j: int, words: str, **more: Any) -> Figure:
    trace: Figure = {
        "type": "scatter",
        "mode": "markers",
        "name": words,
        "x": [_rounded(point[i]) for point in losses],
        "y": [_rounded(point[j]) for point in losses],
        "hoverinfo": "name+x+y",
    }
    return trace | more


def _marker(color: str, symbol: str, size: float, opacity: float = 1.0) -> Figure:
    return {"color": color, "symbol": symbol, "size": size, "opacity": opacity}


def _feasible(record: Mapping[str, Any]) -> list[Panel]:
    tasks, panels = record["tasks"], []
    losses, pieces = record["models"]["losses"], record["models"]["piece"]
    for i, j in itertools.combinations(range(len(tasks)), 2):
        traces = []
        for number, (piece, signs) in enumerate(record["pieces"].items()):
            own = [point for point, owner in zip(losses, pieces, strict=True) if str(owner) == piece]
            look = _marker(PIECES[number % len(PIECES)], _SYMBOLS[number % len(_SYMBOLS)], 3, 0.35)
            traces.append(_points(own, i, j, f"models with signs {signs}", marker=look))
        for crease in record["creases"]:
            hidden = [point for point, out in zip(crease["losses"], crease["unreachable"], strict=True) if out]
            line = {"color": "faint", "width": 1}
            words = f"crease of {_safe(crease['task'])}"
            traces.append(_points(crease["losses"], i, j, words, mode="lines", line=line))
            if hidden:
                words = f"crease of {_safe(crease['task'])}: Pareto-optimal, no weights reach it"
                traces.append(_points(hidden, i, j, words, marker=_marker("vermillion", "x", 7)))
        traces.append(_points(record["weighted"], i, j, "reached by weights", marker=_marker("ink", "circle", 5)))
        for number, (name, points) in enumerate(record["others"].items()):
            look = _marker("green", _OTHERS[number % len(_OTHERS)], 11) | {"line": {"color": "page", "width": 1}}
            traces.append(_points(points, i, j, _safe(name), marker=look))
        first, second = clean(tasks[i]), clean(tasks[j])
        hidden_count = sum(sum(crease["unreachable"]) for crease in record["creases"])
        alt = (
            f"Feasible region at shared width {record['width']}: loss of {first} across, loss of {second} upwards, in "
            f"shares of variance. {len(record['pieces'])} surfaces by sign pattern; {len(record['weighted'])} points "
            f"reached by weights; {hidden_count} crease points are Pareto-optimal and out of reach of all weights."
        )
        layout = _layout(
            xaxis=_axis(f"{_safe(tasks[i])}, loss"), yaxis=_axis(f"{_safe(tasks[j])}, loss"), showlegend=True
        )
        panels.append(_panel(f"{first} against {second}", alt, "square", traces, layout))
    return panels


def _panel(name: str, alt: str, shape: str, traces: list[Figure], layout: Figure, note: str = "") -> Panel:
    return {"name": name, "alt": alt, "note": note, "shape": shape, "figure": {"data": traces, "layout": layout}}


def _gap(record: Mapping[str, Any]) -> list[Panel]:
    tasks, gaps = record["tasks"], record["gap"]
    largest = max(gaps, default=0.0)
    place = gaps.index(largest) if gaps else 0
    where = ", ".join(f"{clean(t)} {share(x)}" for t, x in zip(tasks, record["losses"][place], strict=True))
    alt = (
        "By how much a mixture of models improves every task at once over the single models of the front, shared "
        f"width {record['width']}, {len(gaps)} of them. Largest: {share(largest)} of variance, at {where}."
    )
    look: Figure = {
        "color": [_rounded(gap) for gap in gaps],
        "colorscale": "Cividis",
        "size": 9,
        "line": {"color": "faint", "width": 0.5},
        "colorbar": {"title": {"text": "gap"}, "thickness": 10, "outlinewidth": 0},
    }
    hover = [
        "<br>".join([f"gap {share(gap)}", *(f"{_safe(t)}: {share(x)}" for t, x in zip(tasks, point, strict=True))])
        for gap, point in zip(gaps, record["losses"], strict=True)
    ]
    if len(tasks) == 2:
        trace = _points(record["losses"], 0, 1, "one model", marker=look, hoverinfo="text", hovertext=hover)
        layout = _layout(xaxis=_axis(f"{_safe(tasks[0])}, loss"), yaxis=_axis(f"{_safe(tasks[1])}, loss"))
        return [_panel("Gap over the front", alt, "square", [trace], layout)]
    sides = {side: [weight[i] for weight in record["weights"]] for i, side in enumerate("abc")}
    trace = {"type": "scatterternary", "mode": "markers", "marker": look, "hoverinfo": "text", "hovertext": hover}
    corner = {"gridcolor": "grid", "linecolor": "grid", "showticklabels": False, "ticks": "", "min": 0}
    axes = {
        side: corner | {"title": {"text": _safe(name, 16)}}
        for side, name in zip(("aaxis", "baxis", "caxis"), tasks, strict=True)
    }
    layout = _layout(ternary={"sum": 1, "bgcolor": "rgba(0,0,0,0)", **axes})
    note = "Each corner asks most of one task; colour is the gap of the best single model for these demands."
    return [_panel("Gap over the front", alt, "square", [trace | sides], layout, note)]


def _conflict(record: Mapping[str, Any]) -> list[Panel]:
    tasks = record["tasks"]
    angle = {task: math.tau * number / len(tasks) - math.pi / 2 for number, task in enumerate(tasks)}
    x = {task: _rounded(math.cos(angle[task])) for task in tasks}
    y = {task: _rounded(-math.sin(angle[task])) for task in tasks}
    traces: list[Figure] = []
    for edge in sorted(record["edges"], key=lambda edge: edge["on_cycle"]):
        positive = edge["correlation"] > 0
        line = {
            "color": "vermillion" if edge["on_cycle"] else "faint",
            "width": _rounded(1 + 5 * abs(edge["correlation"])),
            "dash": "solid" if positive else "dash",
        }
        ends = (edge["from"], edge["to"])
        traces.append(
            {
                "type": "scatter", "mode": "lines", "x": [x[end] for end in ends], "y": [y[end] for end in ends],
                "line": line, "hoverinfo": "text",
                "hovertext": [f"{_safe(ends[0])}, {_safe(ends[1])}: {edge['correlation']:+.3f}"] * 2,
            }
        )  # fmt: skip
    traces.append(
        {
            "type": "scatter", "mode": "markers+text", "x": [x[task] for task in tasks],
            "y": [y[task] for task in tasks], "text": [_safe(task, 14) for task in tasks],
            "textposition": "top center", "marker": _marker("ink", "circle", 12), "hoverinfo": "skip",
        }
    )  # fmt: skip
    cycle = " to ".join(clean(task) for task in (*record["cycle"], *record["cycle"][:1]))
    said = f"Tasks in conflict: {cycle}; margin {record['margin']:.3f}." if cycle else "No conflict cycle."
    alt = (
        f"Graph of {len(tasks)} tasks and the {record['matrix']}: solid lines positive, dashed negative, width by "
        f"size. {said}"
    )
    bare = {"visible": False, "range": [-1.35, 1.35]}
    note = f"Solid: positive, dashed: negative; sizes below {record['least']:g} are left out. {said}"
    return [_panel("Conflict graph", alt, "square", traces, _layout(xaxis=bare, yaxis=bare), note)]


def _spectrum(record: Mapping[str, Any]) -> list[Panel]:
    widths = record["widths"]
    traces: list[Figure] = [
        {
            "type": "bar", "name": "all tasks", "x": widths, "y": record["total"], "marker": {"color": "sky"},
            "hoverinfo": "name+x+y",
        }
    ]  # fmt: skip
    for number, task in enumerate(record["tasks"]):
        traces.append(
            {
                "type": "scatter", "mode": "lines+markers", "name": _safe(task), "x": widths,
                "y": [row[number] for row in record["captured"]], "line": {"color": "ink", "width": 1},
                "marker": _marker("ink", _OTHERS[number % len(_OTHERS)], 7), "hoverinfo": "name+x+y",
            }
        )  # fmt: skip
    alt = (
        "What each shared width captures of the predictable variance. All tasks together: "
        + ", ".join(f"width {width} {share(value)}" for width, value in zip(widths, record["total"], strict=True))
        + "."
    )
    layout = _layout(
        xaxis=_axis("shared width", tickvals=widths),
        yaxis=_axis("share of what can be predicted", rangemode="tozero"),
        showlegend=True,
    )
    note = "Bars: all tasks together, the best any layer of this width can do. Lines: each task, at equal weights."
    return [_panel("Spectrum", alt, "wide", traces, layout, note)]
