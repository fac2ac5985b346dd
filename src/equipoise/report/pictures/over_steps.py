"""Values over the steps of a training: one line a task; above eight tasks, one row of a map each.

Plain plotly dicts, as in :mod:`equipoise.core.drawing.plot_parts`. Colours are the page's words where it has them; a
line's dashes tell tasks apart without colour.
"""

import math
from collections.abc import Sequence

from ...core.drawing.plot_parts import (
    MOST_LINES,
    Figure,
    Panel,
    line_styles,
    make_axis,
    make_panel,
    pair_hover,
    rounded,
    safe_name,
)
from ...core.text import clean

__all__ = [
    "POWERS",
    "ZERO_LINE",
    "Value",
    "Values",
    "first_and_last",
    "over_steps",
    "step_axis",
    "step_line",
    "thinned",
]

Value = float | None
Values = Sequence[Value]

MOST_POINTS = 400
"""Most points of a line; more would not be seen."""
_FEW_STEPS = 6
POWERS: Figure = {"exponentformat": "power"}
ZERO_LINE: Figure = {"zeroline": True, "zerolinecolor": "faint", "zerolinewidth": 1}


def over_steps(
    name: str,
    unit: str,
    found: Sequence[tuple[int, Values]],
    tasks: Sequence[str],
    *,
    log: bool = False,
    zero: bool = False,
    **axis: object,
) -> Panel | None:
    """One line a task; above `MOST_LINES` tasks a map with one row a task; None where nothing is known.

    Args:
        name: Of the panel.
        unit: Of the values.
        found: Steps, rising, each with one value a task or None where it is not known.
        tasks: Names.
        log: Whether the scale may be logarithmic, where values span more than a factor of 20.
        zero: Whether zero has a line of its own.
        **axis: More of plotly's settings of the upward axis.
    """
    rows = [thinned([(step, values[task]) for step, values in found]) for task in range(len(tasks))]
    present = [value for row in rows for _, value in row if value is not None]
    if not present:
        return None
    wide = log and min(present) > 0 and max(present) > 20 * min(present)
    spoken = [f"{clean(task)} {first_and_last(row)}" for task, row in zip(tasks, rows, strict=True)]
    alt = f"{name} over steps, {unit}. {'; '.join(spoken[:12])}."
    if len(tasks) > MOST_LINES:
        return _map(name, unit, alt, tasks, rows, wide)
    traces = [
        step_line(style["name"], row, style["color"], style["dash"])
        for style, row in zip(line_styles(tasks), rows, strict=True)
    ]
    scale: dict[str, object] = {"type": "log", "dtick": _decades(present)} if wide else {}
    unit = f"{unit}, log scale" if wide else unit
    layout: Figure = {
        "xaxis": step_axis([step for step, _ in found], rangemode="tozero"),
        "yaxis": make_axis(unit, **POWERS, **scale, **axis, **(ZERO_LINE if zero else {})),
    }
    return make_panel(name, alt, traces, layout, shape="over")


def _map(
    name: str, unit: str, alt: str, tasks: Sequence[str], rows: Sequence[Sequence[tuple[int, Value]]], log: bool
) -> Panel:
    def shown(value: Value) -> Value:
        if value is None:
            return None
        return rounded(math.log10(value) if log else value)

    trace: Figure = {
        "type": "heatmap",
        "x": [step for step, _ in rows[0]],
        "y": [f"{number + 1}. {safe_name(task, 20)}" for number, task in enumerate(tasks)],
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
    layout: Figure = {
        "xaxis": make_axis("step"),
        "yaxis": make_axis("", autorange="reversed", nticks=len(tasks), tickfont={"size": 11}),
    }
    panel = make_panel(name, alt, [trace], layout, shape="wide", note="One row a task; gaps are absent tasks.")
    return {**panel, "height": 15 * len(tasks) + 90}


def step_axis(steps: Sequence[int], **more: object) -> Figure:
    """An axis of whole steps: a few steps are named one by one, since plotly would write fractions between them."""
    few = {"tickvals": sorted(set(steps))} if len(set(steps)) <= _FEW_STEPS else {}
    return make_axis("step", **few, **more)


def step_line(name: str, row: Sequence[tuple[int, Value]], color: str, dash: str) -> Figure:
    """A line of points; its markers are seen where they are few."""
    return {
        "type": "scatter",
        "mode": "lines+markers" if len(row) <= 40 else "lines",
        "name": safe_name(name, 44),
        "x": [step for step, _ in row],
        "y": [None if value is None else rounded(value) for _, value in row],
        "line": {"color": color, "dash": dash, "width": 2},
        "marker": {"color": color, "size": 4},
        "connectgaps": True,
        "hovertemplate": pair_hover("step %{x}", "%{y:.4g}"),
    }


def thinned(points: list[tuple[int, Value]]) -> list[tuple[int, Value]]:
    """Evenly chosen points, the last one kept."""
    stride = -(-len(points) // MOST_POINTS)
    kept = points[:: max(1, stride)]
    return kept if not points or kept[-1] == points[-1] else [*kept, points[-1]]


def first_and_last(row: Sequence[tuple[int, Value]]) -> str:
    """A line in words, for those who do not see it."""
    values = [value for _, value in row if value is not None]
    return f"from {values[0]:.3g} to {values[-1]:.3g}" if values else "never present"


def _decades(values: Sequence[float]) -> int:
    """Decades between two ticks; from the logarithms, since 1e300 over 1e-300 is no number."""
    return max(1, math.ceil((math.log10(max(values)) - math.log10(min(values))) / 6))
