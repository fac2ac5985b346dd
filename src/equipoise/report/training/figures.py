"""Pictures of a recorded training: numbers over steps, one line a task; above eight tasks, one row of a map each.

Plain plotly dicts, as in :mod:`equipoise.core.drawing.plot_parts`. Colours are the page's words where it has them; a
line's dashes tell tasks apart without colour.
"""

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

from ...core.drawing.plot_parts import (
    MOST_LINES,
    Figure,
    Panel,
    legend_line,
    line_styles,
    make_axis,
    make_panel,
    pair_hover,
    rounded,
    safe_name,
)
from ...core.records.training import MOST_PAIRED, GradientLine, StepLine, TrainingRecord
from ...core.text import clean

__all__ = ["OverSteps", "over_steps", "training_panels"]

Value = float | None
Values = Sequence[Value]

MOST_POINTS = 400
"""Most points of a line; more would not be seen."""
_FEW_STEPS = 6
_PAIRS = ("blue", "vermillion", "green", "purple", "orange", "sky")
_PAIR_DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "solid")


def training_panels(record: TrainingRecord) -> list[Panel]:
    """All panels that the record has numbers for."""
    lines, tasks = record.lines, record.config.tasks
    panels = [
        over_steps("Losses, unweighted", "raw loss", lines, tasks, lambda line: line.raw_losses, log=True),
        over_steps("Weights", "weight", lines, tasks, lambda line: line.weights, log=len(tasks) > MOST_LINES),
        over_steps("Losses, weighted", "weight x loss", lines, tasks, lambda line: line.weighted_losses, log=True),
        over_steps("Size of the gradients", "norm", lines, tasks, _of(lambda g: g.norms), log=True),
        over_steps(
            "Share of the update", "percent", lines, tasks, _of(lambda g: g.shares and [_percent(x) for x in g.shares]),
            range=[-2, 102],
        ),
        _pairs(lines, tasks),
        over_steps(
            "Cosine to the update", "cosine", lines, tasks, _of(lambda g: g.to_update), range=[-1.05, 1.05], zero=True,
        ),
    ]  # fmt: skip
    return [panel for panel in panels if panel is not None]


def _of(read: Callable[[GradientLine], Values | None]) -> Callable[[StepLine], Values | None]:
    return lambda line: None if line.gradients is None else read(line.gradients)


def _percent(value: Value) -> Value:
    return None if value is None else 100 * value


class OverSteps(Protocol):
    """Anything that was recorded at a step."""

    @property
    def step(self) -> float:
        """Its number."""


_Line = TypeVar("_Line", bound=OverSteps)


def over_steps(
    name: str,
    unit: str,
    lines: Sequence[_Line],
    tasks: Sequence[str],
    read: Callable[[_Line], Values | None],
    *,
    log: bool = False,
    zero: bool = False,
    **axis: object,
) -> Panel | None:
    """Numbers over steps, one line a task; above eight tasks one row of a map each. None where there are none.

    Args:
        name: Title of the panel.
        unit: Title of the upward axis.
        lines: One a step.
        tasks: Names.
        read: The numbers of a line, one a task, or None.
        log: Whether the axis may be logarithmic, where the numbers ask for it.
        zero: Whether to draw a line at 0.
        axis: More of the upward axis.
    """
    found = [(line.step, values) for line in lines if (values := read(line)) is not None]
    if not found:
        return None
    rows = [_thinned([(step, values[task]) for step, values in found]) for task in range(len(tasks))]
    present = [value for row in rows for _, value in row if value is not None]
    if not present:
        return None
    wide = log and min(present) > 0 and max(present) > 20 * min(present)
    spoken = [f"{clean(task)} {_first_and_last(row)}" for task, row in zip(tasks, rows, strict=True)]
    alt = f"{name} over steps, {unit}. {'; '.join(spoken[:12])}."
    if len(tasks) > MOST_LINES:
        return _map(name, unit, alt, tasks, rows, wide)
    traces = [
        _line(style["name"], row, style["color"], style["dash"])
        for style, row in zip(line_styles(tasks), rows, strict=True)
    ]
    scale: dict[str, object] = {"type": "log", "dtick": _decades(present)} if wide else {}
    unit = f"{unit}, log scale" if wide else unit
    layout: Figure = {
        "xaxis": _step_axis([step for step, _ in found], rangemode="tozero"),
        "yaxis": make_axis(unit, **_POWERS, **scale, **axis, **(_ZERO if zero else {})),
    }
    return make_panel(name, alt, traces, layout, shape="over")


def _pairs(lines: Sequence[StepLine], tasks: Sequence[str]) -> Panel | None:
    """Cosines between the tasks: a line a pair up to four tasks, the share of conflicting pairs above."""
    found = [(line.step, line.gradients) for line in lines if line.gradients is not None]
    if len(tasks) < 2 or not found:
        return None
    if len(tasks) <= 4 <= MOST_PAIRED:
        names = [f"{clean(a)} and {clean(b)}" for a, b in itertools.combinations(tasks, 2)]
        rows = [
            _thinned([(step, gradients.cosines[pair] if gradients.cosines else None) for step, gradients in found])
            for pair in range(len(names))
        ]
        unit, name = "cosine", "Cosines between the tasks"
        axis: dict[str, object] = {"range": [-1.05, 1.05], **_ZERO}
    else:
        names = ["pairs in conflict"]
        rows = [_thinned([(step, _percent(gradients.conflicting)) for step, gradients in found])]
        unit, name, axis = "percent of the pairs", "Pairs of tasks in conflict", {"range": [-2, 102]}
    if not any(value is not None for row in rows for _, value in row):
        return None
    traces = [
        _line(label, row, color, dash)
        for label, row, color, dash in zip(names, rows, _PAIRS, _PAIR_DASHES, strict=False)
    ]
    steps = [step for step, _ in found]
    layout: Figure = {
        "xaxis": _step_axis(steps, rangemode="tozero"),
        "yaxis": make_axis(unit, **_POWERS, **axis),
    }
    spoken = [f"{label} {_first_and_last(row)}" for label, row in zip(names, rows, strict=True)]
    note = "Below zero: a step along one task's gradient raises the other's loss."
    alt = f"{name} over steps. {'; '.join(spoken)}."
    panel = make_panel(name, alt, traces, layout, shape="over", note=note)
    if len(names) > 1:  # beside the plot: inside, it would take the plot's height and lie on its axis
        panel["legend"] = [
            legend_line(label, color, dash) for label, color, dash in zip(names, _PAIRS, _PAIR_DASHES, strict=False)
        ]
    return panel


def _map(
    name: str, unit: str, alt: str, tasks: Sequence[str], rows: Sequence[Sequence[tuple[float, Value]]], log: bool
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


def _step_axis(steps: Sequence[float], **more: object) -> Figure:
    """An axis of whole steps: a few steps are named one by one, since plotly would write fractions between them."""
    few = {"tickvals": sorted(set(steps))} if len(set(steps)) <= _FEW_STEPS else {}
    return make_axis("step", **few, **more)


def _line(name: str, row: Sequence[tuple[float, Value]], color: str, dash: str) -> Figure:
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


_POWERS: Figure = {"exponentformat": "power"}
_ZERO: Figure = {"zeroline": True, "zerolinecolor": "faint", "zerolinewidth": 1}
