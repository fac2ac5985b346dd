"""The pictures: a verdict in, plotly figures as plain dicts out.

Two tasks: one panel. Three: a panel a pair, and the triangle of weights. More: see :mod:`.multiples`.
"""

import itertools
from collections.abc import Sequence

from ...core.drawing import plot_parts as plot
from ...core.drawing.palette import MARKS, Mark, legend_mark, mark_of
from ...core.records.audit import FrontPoint, Verdict
from ...core.text import clean, share
from .multiples import multiples, multiples_legend

__all__ = ["Point", "figures", "legend_entries", "marks_present"]

Point = tuple[Mark, FrontPoint]

CLOUD_LIMIT = 600
"""Most points of one crowded kind that are drawn; more would only hide each other and slow the page."""


def figures(verdict: Verdict, tasks: Sequence[str]) -> list[plot.Panel]:
    """The panels of one verdict; none where the record holds no points."""
    points = _thinned([(mark_of(point), point) for point in verdict.front])
    if not points or (verdict.status == "nothing_to_trade" and _one_place(verdict.front)):
        return []
    if len(tasks) > 3:
        return multiples(verdict, tasks)
    panels = [_pair(points, tasks, i, j) for i, j in itertools.combinations(range(len(tasks)), 2)]
    if len(tasks) == 3:
        panels.extend(_triangle(points, tasks, _aims(verdict, len(tasks))))
    return panels


def _one_place(points: Sequence[FrontPoint]) -> bool:
    """Whether all points would be drawn on each other: such a picture shows nothing."""
    return len({tuple(share(loss) for loss in point.losses) for point in points}) == 1


def marks_present(verdict: Verdict) -> list[Mark]:
    """The marks that a legend must explain, in drawing order."""
    present = {mark_of(point).name for point in verdict.front}
    return [mark for mark in MARKS if mark.name in present]


def legend_entries(verdict: Verdict, tasks: Sequence[str]) -> list[plot.LegendEntry]:
    """The legend of `figures`."""
    if len(tasks) > 3:
        return multiples_legend(verdict)
    return [legend_mark(mark) for mark in marks_present(verdict)]


def _thinned(points: list[Point]) -> list[Point]:
    kept: list[Point] = []
    for mark in MARKS:
        group = [pair for pair in points if pair[0].name == mark.name]
        stride = -(-len(group) // CLOUD_LIMIT) if mark.cloud else 1
        kept.extend(group[:: max(1, stride)])
    return kept


def _hover(mark: Mark, point: FrontPoint, tasks: Sequence[str]) -> str:
    more = []
    if point.weights is not None:
        more.append("weights: " + " : ".join(f"{weight:.{6 if mark.cloud else 10}g}" for weight in point.weights))
    if mark.name == "hidden":
        more.append(f"a mixture is better on every task by {share(point.gap)}")
    return plot.hover_text(mark.words, zip(tasks, map(share, point.losses), strict=True), *more)


def _marker(mark: Mark) -> plot.Figure:
    marker: plot.Figure = {"color": mark.color, "symbol": mark.symbol, "size": mark.size}
    if mark.cloud:
        return marker | {"opacity": 0.55 if mark.name == "any" else 0.85}
    return marker | {"line": {"color": "page", "width": 1.5}}


def _pair(points: Sequence[Point], tasks: Sequence[str], i: int, j: int) -> plot.Panel:
    traces: list[plot.Figure] = []
    for mark, group in _grouped(points):
        order = sorted(group, key=lambda p: (p.losses[i], p.losses[j])) if mark.cloud else list(group)
        traces.append(
            {
                "type": "scatter",
                "mode": "markers",
                "x": [plot.rounded(p.losses[i]) for p in order],
                "y": [plot.rounded(p.losses[j]) for p in order],
                "marker": _marker(mark),
                "hoverinfo": "text",
                "hovertext": [_hover(mark, p, tasks) for p in order],
            }
        )
    first, second = clean(tasks[i]), clean(tasks[j])
    layout: plot.Figure = {
        "xaxis": plot.make_axis(f"{plot.safe_name(tasks[i])}, loss", range=_range(points, i)),
        "yaxis": plot.make_axis(f"{plot.safe_name(tasks[j])}, loss", range=_range(points, j)),
    }
    alt = (
        f"Scatter plot. Across: loss of {first}; upwards: loss of {second}; both in shares of variance, lower is "
        f"better. {_seen(points, tasks, (i, j))}"
    )
    return plot.make_panel(f"{first} against {second}", alt, traces, layout, shape="square")


def _range(points: Sequence[Point], task: int) -> list[float]:
    """An axis that shows every point but the poorest of the sample of any models."""
    told = [point.losses[task] for mark, point in points if mark.name != "any"]
    values = told or [point.losses[task] for _, point in points]
    low, high = min(values), max(values)
    margin = 0.08 * (high - low) or 0.05
    return [plot.rounded(low - margin), plot.rounded(high + margin)]


def _aims(verdict: Verdict, tasks: int) -> Sequence[float]:
    """What losses are measured from: each task's own best, or 0 where the verdict is on raw losses."""
    own = next((point.losses for point in verdict.front if point.kind == "separate"), None)
    return own if own is not None and verdict.measure == "excess" else (0.0,) * tasks


def _triangle(points: Sequence[Point], tasks: Sequence[str], aims: Sequence[float]) -> list[plot.Panel]:
    """The triangle of weights, coloured by what the verdict is decided on; not drawn without weights."""

    def decides(point: FrontPoint) -> float:
        return max(loss - aim for loss, aim in zip(point.losses, aims, strict=True))

    sums = [p for mark, p in points if mark.name == "weighted" and p.weights is not None]
    if not sums:
        return []
    traces = [_ternary(sums, [_hover(mark_of(p), p, tasks) for p in sums])]
    traces[0]["marker"] = {
        "color": [plot.rounded(decides(p)) for p in sums],
        "colorscale": "Cividis",
        "reversescale": True,
        "size": 6,
        "line": {"color": "faint", "width": 0.6},
        "colorbar": plot.color_bar("largest excess" if any(aims) else "worst task"),
    }
    for mark, group in _grouped(points):
        weighted = [p for p in group if p.weights is not None]
        if mark.cloud or not weighted:
            continue
        traces.append(_ternary(weighted, [_hover(mark, p, tasks) for p in weighted]) | {"marker": _marker(mark)})
    above = " above its own best" if any(aims) else ""
    alt = (
        "Triangle of weights: each corner gives all weight to one task; colour shows the loss of the worst task"
        f"{above}. Of the weights drawn, the best leave the worst task at {share(min(map(decides, sums)))}{above}, the "
        f"worst at {share(max(map(decides, sums)))}."
    )
    note = "The weights tried: each corner gives all weight to one task, the middle is equal weights."
    return [plot.make_panel("Weights", alt, traces, plot.triangle_axes(tasks), shape="square", note=note)]


def _ternary(points: Sequence[FrontPoint], hover: list[str]) -> plot.Figure:
    weights = [p.weights or () for p in points]
    sides = {side: [plot.rounded(w[index]) for w in weights] for index, side in enumerate("abc")}
    return {"type": "scatterternary", "mode": "markers", **sides, "hoverinfo": "text", "hovertext": hover}


def _grouped(points: Sequence[Point]) -> list[tuple[Mark, list[FrontPoint]]]:
    groups = [(mark, [point for owner, point in points if owner.name == mark.name]) for mark in MARKS]
    return [(mark, group) for mark, group in groups if group]


def _seen(points: Sequence[Point], tasks: Sequence[str], shown: tuple[int, ...]) -> str:
    """The marked points of a picture as a sentence, for readers who do not see it."""
    told = []
    for mark, point in points:
        if not mark.cloud:
            values = ", ".join(f"{clean(tasks[i])} {share(point.losses[i])}" for i in shown)
            told.append(f"{mark.words}: {values}")
    return f"Marked: {'; '.join(told)}." if told else "No single point is marked."
