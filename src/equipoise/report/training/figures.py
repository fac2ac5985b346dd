"""Pictures of a recorded training: numbers over steps, one line a task; above eight tasks, one row of a map each.

Plain plotly dicts, as in :mod:`equipoise.core.drawing.plot_parts`. Colours are the page's words where it has them; a
line's dashes tell tasks apart without colour.
"""

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from ...core.drawing import plot_parts as plot
from ...core.records.training import MOST_PAIRED, GradientLine, StepLine, TrainingRecord
from ...core.text import clean

__all__ = ["training_panels"]

Value = float | None
Values = Sequence[Value]

MOST_POINTS = 400
"""Most points of a line; more would not be seen."""
_FEW_STEPS = 6
_PAIRS = ("blue", "vermillion", "green", "purple", "orange", "sky")
_PAIR_DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "solid")
_POWERS: plot.Figure = {"exponentformat": "power"}
_ANGLE: plot.Figure = {"range": [-1.05, 1.05]}
_SHARE: plot.Figure = {"range": [-2, 102]}
_ZERO: plot.Figure = {"zeroline": True, "zerolinecolor": "faint", "zerolinewidth": 1}


@dataclass(frozen=True)
class Series:
    """A picture of numbers over steps."""

    name: str
    unit: str
    read: Callable[[StepLine], Values | None]  # one number a task of a step, or what `labels` names
    log: bool = False  # whether it may have a logarithmic axis
    axis: plot.Figure = field(default_factory=dict)
    labels: Callable[[Sequence[str]], Sequence[str]] | None = None  # names of its lines, where they are not the tasks


def _of(read: Callable[[GradientLine], Values | None]) -> Callable[[StepLine], Values | None]:
    return lambda line: None if line.gradients is None else read(line.gradients)


def _percent(values: Values) -> Values:
    return [None if value is None else 100 * value for value in values]


def _pictures(k: int) -> tuple[Series, ...]:
    """What is drawn of k tasks. Of their pairs: each up to four tasks, the share in conflict above."""
    if k <= 4 <= MOST_PAIRED:
        pairs = Series(
            "Cosines between the tasks", "cosine", _of(lambda g: g.cosines), axis=_ANGLE | _ZERO, labels=_pair_names
        )
    else:
        pairs = Series(
            "Pairs of tasks in conflict", "percent of the pairs", _of(lambda g: _percent([g.conflicting])), axis=_SHARE,
            labels=lambda tasks: ["pairs in conflict"],
        )  # fmt: skip
    return (
        Series("Losses, unweighted", "raw loss", lambda line: line.raw_losses, log=True),
        Series("Weights", "weight", lambda line: line.weights, log=k > plot.MOST_LINES),
        Series("Losses, weighted", "weight x loss", lambda line: line.weighted_losses, log=True),
        Series("Size of the gradients", "norm", _of(lambda g: g.norms), log=True),
        Series("Share of the update", "percent", _of(lambda g: g.shares and _percent(g.shares)), axis=_SHARE),
        *([pairs] if k > 1 else []),
        Series("Cosine to the update", "cosine", _of(lambda g: g.to_update), axis=_ANGLE | _ZERO),
    )


def _pair_names(tasks: Sequence[str]) -> list[str]:
    return [f"{clean(a)} and {clean(b)}" for a, b in itertools.combinations(tasks, 2)]


def training_panels(record: TrainingRecord) -> list[plot.Panel]:
    """All panels that the record has numbers for."""
    drawn = (_drawn(series, record.lines, record.config.tasks) for series in _pictures(len(record.config.tasks)))
    return [panel for panel in drawn if panel is not None]


def _drawn(series: Series, lines: Sequence[StepLine], tasks: Sequence[str]) -> plot.Panel | None:
    found = [(line.step, values) for line in lines if (values := series.read(line)) is not None]
    names = series.labels(tasks) if series.labels else tasks
    rows = [_thinned([(step, values[place]) for step, values in found]) for place in range(len(names))]
    present = [value for row in rows for _, value in row if value is not None]
    if not present:
        return None
    wide = series.log and min(present) > 0 and max(present) > 20 * min(present)
    spoken = [f"{clean(name)} {_first_and_last(row)}" for name, row in zip(names, rows, strict=True)]
    unit = "" if series.labels else f", {series.unit}"
    alt = f"{series.name} over steps{unit}. {'; '.join(spoken[:12])}."
    if len(names) > plot.MOST_LINES:
        return _map(series.name, series.unit, alt, tasks, rows, wide)
    looks = [(style["name"], style["color"], style["dash"]) for style in plot.line_styles(tasks)]
    if series.labels:
        looks = list(zip(names, _PAIRS, _PAIR_DASHES, strict=False))
    traces = [_line(name, row, color, dash) for (name, color, dash), row in zip(looks, rows, strict=True)]
    scale: plot.Figure = {"type": "log", "dtick": _decades(present)} if wide else {}
    layout: plot.Figure = {
        "xaxis": _step_axis([step for step, _ in found], rangemode="tozero"),
        "yaxis": plot.make_axis(f"{series.unit}, log scale" if wide else series.unit, **_POWERS | scale | series.axis),
    }
    note = "Below zero: a step along one task's gradient raises the other's loss." if series.labels else ""
    panel = plot.make_panel(series.name, alt, traces, layout, shape="over", note=note)
    if series.labels and len(names) > 1:  # beside the plot: inside, it would take the plot's height and lie on its axis
        panel["legend"] = [plot.legend_line(*look) for look in looks]
    return panel


def _map(
    name: str, unit: str, alt: str, tasks: Sequence[str], rows: Sequence[Sequence[tuple[int, Value]]], log: bool
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


def _step_axis(steps: Sequence[int], **more: object) -> plot.Figure:
    """An axis of whole steps: a few steps are named one by one, since plotly would write fractions between them."""
    few = {"tickvals": sorted(set(steps))} if len(set(steps)) <= _FEW_STEPS else {}
    return plot.make_axis("step", **few, **more)


def _line(name: str, row: Sequence[tuple[int, Value]], color: str, dash: str) -> plot.Figure:
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


def _thinned(points: list[tuple[int, Value]]) -> list[tuple[int, Value]]:
    """Evenly chosen points, the last one kept."""
    stride = -(-len(points) // MOST_POINTS)
    kept = points[:: max(1, stride)]
    return kept if not points or kept[-1] == points[-1] else [*kept, points[-1]]


def _first_and_last(row: Sequence[tuple[int, Value]]) -> str:
    values = [value for _, value in row if value is not None]
    return f"from {values[0]:.3g} to {values[-1]:.3g}" if values else "never present"


def _decades(values: Sequence[float]) -> int:
    """Decades between two ticks; from the logarithms, since 1e300 over 1e-300 is no number."""
    return max(1, math.ceil((math.log10(max(values)) - math.log10(min(values))) / 6))
