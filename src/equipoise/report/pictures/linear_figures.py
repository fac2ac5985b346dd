"""Pictures of linear problems from the plain records of `equipoise.linear`: plotly figures as dicts.

Colours are words of the page (``ink``, ``blue``), as in `plot_parts`; `standalone` fills them in for a figure that is
shown by itself. Traces are SVG ones, so three tasks are three panels of pairs and not a cloud that turns.
"""

import copy
import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..text import clean, share
from .conflict_figure import conflict_panels
from .palette import MARKS
from .plot_parts import (
    MOST_LINES,
    Figure,
    LegendEntry,
    Panel,
    color_bar,
    css_color,
    hover_text,
    legend_line,
    line_styles,
    make_axis,
    make_layout,
    make_marker,
    pair_hover,
    rounded,
    safe_name,
    triangle_axes,
)

__all__ = ["CREASE", "HIDDEN", "PAGE_COLORS", "PIECES", "legend_of", "linear_panels", "standalone"]

PIECES = ("blue", "purple", "green", "sky")
"""Colours of the sign patterns, and"""
_SYMBOLS = ("circle", "diamond", "square", "triangle-up")
CREASE = "where two surfaces meet"
HIDDEN = "surfaces meet on the front: no weights reach this"

PAGE_COLORS = {
    "ink": "#1a1a1a",
    "faint": "#9a9a9a",
    "page": "#ffffff",
    "grid": "#dddddd",
    "blue": "#0072b2",
    "sky": "#56b4e9",
    "green": "#009e73",
    "vermillion": "#d55e00",
    "purple": "#b5609a",
    "orange": "#d19000",
    "bar": "#c5dceb",
}
"""Okabe and Ito (2008), on white."""

_OTHERS = ("star", "cross", "x", "triangle-down", "pentagon", "hexagram", "diamond", "square", "circle")
_KNOWN = {mark.words: mark for mark in MARKS}


def linear_panels(record: Mapping[str, Any]) -> list[Panel]:
    """The panels of one record of `equipoise.audits.pictures.records`.

    Args:
        record: Of any of the four kinds.

    Raises:
        ValueError: Another ``figure``.
    """
    kind = record.get("figure")
    drawers: dict[object, Callable[[Mapping[str, Any]], list[Panel]]] = {
        "feasible region": _feasible,
        "gap over the front": _gap,
        "conflict graph": conflict_panels,
        "spectrum": _spectrum,
    }
    if kind not in drawers:
        raise ValueError(f"a record must be one of {', '.join(map(str, drawers))}; found {kind!r}")
    return drawers[kind](record)


def legend_of(panel: Panel) -> list[LegendEntry]:
    """The legend of a panel's named traces, each name once, for a page that shows it beside the panels."""
    entries: dict[str, LegendEntry] = {}
    for trace in panel["figure"]["data"]:
        if "name" not in trace or trace["name"] in entries:
            continue
        words = trace["name"].replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
        if "lines" in trace.get("mode", ""):
            entry = legend_line(words, trace["line"]["color"], trace["line"].get("dash", "solid"))
        else:
            symbol = trace["marker"].get("symbol", "square")
            entry = {"words": words, "symbol": symbol, "css": css_color(trace["marker"]["color"]), "dash": ""}
        entries[trace["name"]] = entry
    return list(entries.values())


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
    return {
        "type": "scatter",
        "mode": "markers",
        "name": words,
        "x": [rounded(point[i]) for point in losses],
        "y": [rounded(point[j]) for point in losses],
        "hovertemplate": pair_hover(),
        **more,
    }


def _feasible(record: Mapping[str, Any]) -> list[Panel]:
    return [_feasible_pair(record, i, j) for i, j in itertools.combinations(range(len(record["tasks"])), 2)]


def _feasible_pair(record: Mapping[str, Any], i: int, j: int) -> Panel:
    tasks, losses, pieces = record["tasks"], record["models"]["losses"], record["models"]["piece"]
    traces = []
    for number, (piece, signs) in enumerate(record["pieces"].items()):
        own = [point for point, owner in zip(losses, pieces, strict=True) if str(owner) == piece]
        look = make_marker(PIECES[number % len(PIECES)], _SYMBOLS[number % len(_SYMBOLS)], 4, 0.6)
        traces.append(_points(own, i, j, f"models with signs {signs}", marker=look))
    for crease in record["creases"]:
        traces.append(_points(crease["losses"], i, j, CREASE, mode="lines", line={"color": "faint", "width": 1.5}))
    if record["weighted"]:
        traces.append(_points(record["weighted"], i, j, "reached by weights", marker=make_marker("ink", "circle", 4)))
    for crease in record["creases"]:
        hidden = [point for point, out in zip(crease["losses"], crease["unreachable"], strict=True) if out]
        if hidden:
            traces.append(_points(hidden, i, j, HIDDEN, marker=make_marker("vermillion", "x", 7)))
    for number, (name, points) in enumerate(record["others"].items()):
        mark = _KNOWN.get(name)
        look = (
            make_marker("green", _OTHERS[number % len(_OTHERS)], 11)
            if mark is None
            else make_marker(mark.color, mark.symbol, mark.size)
        ) | {"line": {"color": "page", "width": 1}}
        traces.append(_points(points, i, j, safe_name(name, 40), marker=look))
    first, second = clean(tasks[i]), clean(tasks[j])
    hidden_count = sum(sum(crease["unreachable"]) for crease in record["creases"])
    alt = (
        f"Feasible region at shared width {record['width']}: loss of {first} across, loss of {second} upwards, in "
        f"shares of variance. {len(record['pieces'])} surfaces by sign pattern; {len(record['weighted'])} points "
        f"reached by weights; {hidden_count} crease points are Pareto-optimal and out of reach of all weights."
    )
    layout = make_layout(
        xaxis=make_axis(f"{safe_name(tasks[i])}, loss"),
        yaxis=make_axis(f"{safe_name(tasks[j])}, loss"),
        showlegend=True,
    )
    return _panel(f"{first} against {second}", alt, "square", traces, layout)


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
        "color": [rounded(gap) for gap in gaps],
        "colorscale": "Cividis",
        "size": 9,
        "line": {"color": "faint", "width": 0.8},
        "colorbar": color_bar("gap, share of variance"),
    }
    hover = [
        hover_text(f"gap {share(gap)}", zip(tasks, map(share, point), strict=True))
        for gap, point in zip(gaps, record["losses"], strict=True)
    ]
    if len(tasks) == 2:
        trace = _points(record["losses"], 0, 1, "one model", marker=look, hovertemplate=None)
        trace |= {"hoverinfo": "text", "hovertext": hover}
        layout = make_layout(
            xaxis=make_axis(f"{safe_name(tasks[0])}, loss"), yaxis=make_axis(f"{safe_name(tasks[1])}, loss")
        )
        return [_panel("Gap over the front", alt, "square", [trace], layout)]
    places = record["division"] if "division" in record else record["weights"]
    sides = {side: [place[i] for place in places] for i, side in enumerate("abc")}
    trace = {"type": "scatterternary", "mode": "markers", "marker": look, "hoverinfo": "text", "hovertext": hover}
    note = (
        "One mark a model. Position: how the loss above separate models is divided; at a corner, that task bears all."
        if "division" in record
        else "Each corner asks most of one task; colour is the gap of the best single model for these demands."
    )
    return [_panel("Gap over the front", alt, "square", [trace | sides], triangle_axes(tasks), note)]


def _spectrum(record: Mapping[str, Any]) -> list[Panel]:
    widths = record["widths"]
    known = [number for number, separate in enumerate(record["separate"]) if separate < 1]
    names = [record["tasks"][number] for number in known]
    rows = [[row[number] for number in known] for row in record["captured"]]
    bars: Figure = {
        "type": "bar",
        "name": "all tasks, at best",
        "x": widths,
        "y": record["total"],
        "marker": {"color": "faint", "opacity": 0.4},
        "hovertemplate": pair_hover("width %{x}", "%{y:.3f}"),
    }
    lines = [
        (style["name"], [row[number] for row in rows], style["color"], style["dash"])
        for number, style in enumerate(line_styles(names))
    ] or [("the task that gets most", [max(row) for row in rows], "blue", "solid"),
          ("the task that gets least", [min(row) for row in rows], "vermillion", "dash")]  # fmt: skip
    traces = [bars]
    for name, values, color, dash in lines:
        traces.append(
            {
                "type": "scatter",
                "mode": "lines+markers",
                "name": safe_name(name, 40),
                "x": widths,
                "y": values,
                "line": {"color": color, "width": 2, "dash": dash},
                "marker": make_marker(color, "circle", 6),
                "hovertemplate": pair_hover("width %{x}", "%{y:.3f}"),
            }
        )
    alt = (
        "What each shared width captures of the predictable variance. All tasks together: "
        + ", ".join(f"width {width} {share(value)}" for width, value in zip(widths, record["total"], strict=True))
        + "."
    )
    step = -(-len(widths) // 20)
    layout = make_layout(
        xaxis=make_axis("shared width", tickvals=widths[::step]),
        yaxis=make_axis("share of what can be predicted", range=[0, 1.04]),
        showlegend=True,
    )
    each = "each task" if len(names) <= MOST_LINES else "the tasks that get most and least"
    note = f"Bars: all tasks together, the best that any layer of this width can do. Lines: {each}, at equal weights."
    return [_panel("Spectrum", alt, "low", traces, layout, note)]
