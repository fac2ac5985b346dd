"""Pictures of a fit: the difference for each target with its interval, and the losses during training."""

import math
from collections.abc import Sequence

from ...comparison.contrast import Contrast
from ...comparison.paired import Paired
from ...core.drawing.plot_parts import Figure, Panel, legend_of, make_axis, make_panel, rounded, safe_name
from ...core.records.fitted import Entrant, FitRecord
from ...core.text import clean, shorten
from ..pictures.over_steps import Values, draw_steps
from .changes import amount

__all__ = ["curve_panels", "difference_panel"]

_MOST_TARGETS = 40
_COLORS = {"better": "green", "worse": "vermillion", "open": "faint"}
_SYMBOLS = {"better": "diamond", "worse": "triangle-up", "open": "circle"}


def difference_panel(found: Contrast | None) -> list[Panel]:
    """One model against separate ones: a row for each target, the average last; at most 40 targets."""
    if found is None or found.average is None:
        return []
    rows = [(task.task, task.logs, task.finding) for task in found.tasks if task.logs is not None]
    left_out = max(0, len(rows) - _MOST_TARGETS)
    rows = sorted(rows, key=lambda row: row[1].mean)
    if left_out:  # the ends say most
        rows = [*rows[: _MOST_TARGETS // 2], *rows[-(_MOST_TARGETS // 2) :]]
    labels = [f"{number}. {safe_name(name, 20)}" for number, (name, _, _) in enumerate(rows, start=1)]
    points = [(label, logs, finding) for label, (_, logs, finding) in zip(labels, rows, strict=True)]
    points.append(("average", found.average, found.finding))
    traces = [
        _points(words, [(label, logs) for label, logs, finding in points if finding == kind], kind)
        for kind, words in (
            ("better", "one model better"),
            ("worse", "separate better"),
            ("open", "no difference detectable"),
        )
    ]
    order = [label for label, _, _ in points]
    layout: Figure = {
        "xaxis": make_axis("one model / separate, log scale", type="log", **_ticks(points)),
        "yaxis": make_axis(
            "",
            categoryorder="array",
            categoryarray=order,
            autorange="reversed",
            tickmode="array",
            tickvals=order,
            tickfont={"size": 11},
        ),
        "shapes": [
            {"type": "line", "x0": 1, "x1": 1, "y0": 0, "y1": 1, "yref": "paper", "line": {"color": "ink", "width": 1}}
        ],
    }
    spoken = "; ".join(f"{shorten(clean(name), 30)}: {amount(logs)}" for name, logs, _ in rows[:12])
    panel = make_panel(
        "Held-out loss of one model over that of separate ones",
        f"One model against separate ones. {spoken}; average: {amount(found.average)}.",
        [trace for trace in traces if trace["x"]],
        layout,
        shape="wide",
        note="Left of the line the one model is better. Bars are 95 % intervals, each for its target alone; colours go "
        "by tests that are corrected for the number of targets."
        + (f" {left_out} targets in the middle are not drawn." if left_out else ""),
    )
    panel["height"] = 26 * len(order) + 110
    panel["legend"] = legend_of(panel)
    return [panel]


def _points(words: str, rows: Sequence[tuple[str, Paired]], kind: str) -> Figure:
    """Ratios with their intervals as error bars; a ratio without an interval is a bare mark."""
    ratios = [_exp(logs.mean) for _, logs in rows]
    upper = [0.0 if logs.high is None else _exp(logs.high) - _exp(logs.mean) for _, logs in rows]
    lower = [0.0 if logs.low is None else _exp(logs.mean) - _exp(logs.low) for _, logs in rows]
    return {
        "type": "scatter",
        "mode": "markers",
        "name": words,
        "x": [rounded(value) for value in ratios],
        "y": [label for label, _ in rows],
        "error_x": {
            "type": "data", "symmetric": False, "array": [rounded(value) for value in upper],
            "arrayminus": [rounded(value) for value in lower], "color": _COLORS[kind], "thickness": 1.5, "width": 4,
        },
        "marker": {"color": _COLORS[kind], "symbol": _SYMBOLS[kind], "size": 9},
        "text": [amount(logs) for _, logs in rows],
        "hovertemplate": "%{y}<br>%{text}<extra></extra>",
    }  # fmt: skip


def _exp(log: float) -> float:
    return math.exp(max(-15.0, min(15.0, log)))


def _ticks(points: Sequence[tuple[str, Paired, str]]) -> Figure:
    """Plain ratios at the ticks, few enough to stand side by side on a narrow page."""
    ends = [value for _, logs, _ in points for value in (logs.mean, logs.low, logs.high) if value is not None]
    low, high = min([*ends, 0.0]), max([*ends, 0.0])
    fine = (0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.25, 1.5, 2.0)
    middle = (0.2, 0.3, 0.5, 0.7, 1.0, 1.5, 2.0, 3.0, 5.0)
    coarse = (0.01, 0.03, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 100.0)
    wide = tuple(10.0**power for power in range(-6, 7, 2))
    for values in (fine, middle, coarse, wide):
        shown = [value for value in values if low - 0.1 <= math.log(value) <= high + 0.1]
        if math.log(values[0]) <= low + 0.05 and high - 0.05 <= math.log(values[-1]):
            break
    while len(shown) > 6:
        shown = [value for place, value in enumerate(shown) if (place - shown.index(1.0)) % 2 == 0]
    return {"tickvals": shown, "ticktext": [f"{value:g}" for value in shown]}


def curve_panels(record: FitRecord, single: Entrant | None, separate: Entrant | None) -> list[Panel]:
    """Losses on the validation part while training, of the first seed that has them; then the training losses."""
    tasks = [task.name for task in record.tasks]
    panels: list[Panel | None] = []
    for entrant in (single, separate):
        run = next((run for run in (entrant.runs if entrant else ()) if run.curve is not None), None)
        if entrant is None or run is None or run.curve is None:
            continue
        curve, whose = run.curve, shorten(clean(entrant.words), 40)
        for words, series in (("Validation loss", curve.val), ("Training loss", curve.train)):
            absent = (None,) * len(curve.steps)
            values = [series.get(task, absent) for task in tasks]
            found: list[tuple[int, Values]] = [(step, [row[i] for row in values]) for i, step in enumerate(curve.steps)]
            kept = f", kept at step\u00a0{run.best_step}" if run.best_step is not None else ""
            panels.append(draw_steps(f"{words}: {whose}, seed\u00a0{run.seed}{kept}", "loss", found, tasks, log=True))
    return [panel for panel in panels if panel is not None]
