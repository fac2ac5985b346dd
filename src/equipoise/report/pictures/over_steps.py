"""Values over the steps of a training: one line a task; above eight tasks, one row of a map each.

Plain plotly dicts, as in :mod:`equipoise.core.drawing.plot_parts`. Colours are the page's words where it has them; a
line's dashes tell tasks apart without colour.
"""

import math
from collections.abc import Sequence

from ...core.drawing import plot_parts as plot
from ...core.text import clean

__all__ = ["Value", "Values", "draw_steps"]

Value = float | None
Values = Sequence[Value]

MOST_POINTS = 400
"""Most points of a line; more would not be seen."""
_FEW_STEPS = 6
_LABELLED = ("blue", "vermillion", "green", "purple", "orange", "sky")
_LABELLED_DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "solid")
_POWERS: plot.Figure = {"exponentformat": "power"}


def draw_steps(
    name: str,
    unit: str,
    found: Sequence[tuple[float, Values]],
    tasks: Sequence[str],
    *,
    log: bool = False,
    axis: plot.Figure | None = None,
    labels: Sequence[str] | None = None,
    note: str = "",
) -> plot.Panel | None:
    """A picture of numbers over steps; None where nothing is known.

    Args:
        name: Name of the panel.
        unit: Unit of the values.
        found: Steps, rising, each with one value a line or None where it is not known.
        tasks: Names of the lines.
        log: Whether it may have a logarithmic axis, where values span more than a factor of 20.
        axis: More of plotly's settings of the upward axis.
        labels: Names of the lines where they are not the tasks; they get a legend of their own.
        note: A line below the picture.
    """
    names = labels if labels is not None else tasks
    rows = [_thinned([(step, values[place]) for step, values in found]) for place in range(len(names))]
    present = [value for row in rows for _, value in row if value is not None]
    if not present:
        return None
    wide = log and min(present) > 0 and max(present) > 20 * min(present)
    spoken = [f"{clean(name)} {_first_and_last(row)}" for name, row in zip(names, rows, strict=True)]
    in_unit = "" if labels is not None else f", {unit}"
    alt = f"{name} over steps{in_unit}. {'; '.join(spoken[:12])}."
    if len(names) > plot.MOST_LINES:
        return _map(name, unit, alt, tasks, rows, wide)
    looks = [(style["name"], style["color"], style["dash"]) for style in plot.line_styles(tasks)]
    if labels is not None:
        looks = list(zip(labels, _LABELLED, _LABELLED_DASHES, strict=False))
    traces = [_line(label, row, color, dash) for (label, color, dash), row in zip(looks, rows, strict=True)]
    scale: plot.Figure = {"type": "log", "dtick": _decades(present)} if wide else {}
    layout: plot.Figure = {
        "xaxis": _step_axis([step for step, _ in found], rangemode="tozero"),
        "yaxis": plot.make_axis(f"{unit}, log scale" if wide else unit, **_POWERS | scale | (axis or {})),
    }
    panel = plot.make_panel(name, alt, traces, layout, shape="over", note=note)
    if labels is not None and len(names) > 1:  # beside the plot: inside, it would take its height and lie on its axis
        panel["legend"] = [plot.legend_line(*look) for look in looks]
    return panel


def _map(
    name: str, unit: str, alt: str, tasks: Sequence[str], rows: Sequence[Sequence[tuple[float, Value]]], log: bool
) -> plot.Panel:
    def shown(value: Value) -> Value:
        if value is None:
            return None
        return plot.rounded(math.log10(value) if log else value)

    trace: plot.Figure = {
        "type": "heatmap",
        "x": [step for step, _ in rows[0]],
        "y": [f"{number + 1}. {plot.safe_name(task, 20)}" for number, task in enumerate(tasks)],
        "z": [[shown(value) for _, value in row] for row in rows],
        "colorscale": "Cividis",
        "hoverongaps": False,
        "colorbar": {
            "thickness": 10,
            "outlinewidth": 0,
            "nticks": 5,
            "title": {"text": f"{unit}, log10" if log else unit, "side": "right"},
        },
    }
    layout: plot.Figure = {
        "xaxis": plot.make_axis("step"),
        "yaxis": plot.make_axis("", autorange="reversed", nticks=len(tasks), tickfont={"size": 11}),
    }
    panel = plot.make_panel(name, alt, [trace], layout, shape="wide", note="One row a task; gaps are absent tasks.")
    return {**panel, "height": 15 * len(tasks) + 90}


def _step_axis(steps: Sequence[float], **more: object) -> plot.Figure:
    """An axis of whole steps: a few steps are named one by one, since plotly would write fractions between them."""
    few = {"tickvals": sorted(set(steps))} if len(set(steps)) <= _FEW_STEPS else {}
    return plot.make_axis("step", **few, **more)


def _line(name: str, row: Sequence[tuple[float, Value]], color: str, dash: str) -> plot.Figure:
    return {
        "type": "scatter",
        "mode": "lines+markers" if len(row) <= 40 else "lines",
        "name": plot.safe_name(name, 44),
        "x": [step for step, _ in row],
        "y": [None if value is None else plot.rounded(value) for _, value in row],
        "line": {"color": color, "dash": dash, "width": 2},
        "marker": {"color": color, "size": 4},
        "connectgaps": True,
        "hovertemplate": plot.pair_hover("step %{x}", "%{y:.4g}"),
    }


def _thinned(points: list[tuple[float, Value]]) -> list[tuple[float, Value]]:
    """Evenly chosen points, the last one kept."""
    stride = -(-len(points) // MOST_POINTS)
    kept = points[:: max(1, stride)]
    return kept if not points or kept[-1] == points[-1] else [*kept, points[-1]]


def _first_and_last(row: Sequence[tuple[float, Value]]) -> str:
    values = [value for _, value in row if value is not None]
    return f"from {values[0]:.3g} to {values[-1]:.3g}" if values else "never present"


def _decades(values: Sequence[float]) -> int:
    """Decades between two ticks; from the logarithms, since 1e300 over 1e-300 is no number."""
    return max(1, math.ceil((math.log10(max(values)) - math.log10(min(values))) / 6))
