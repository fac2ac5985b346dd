"""Four tasks or more: one small panel a remedy, one row a task. The same rows and the same scale in every panel."""

from collections.abc import Sequence

from ...core.drawing import plot_parts as plot
from ...core.drawing.palette import MARKS, Mark, legend_mark, mark_of
from ...core.records.audit import FrontPoint, Verdict
from ...core.text import clean, share
from .names import short_names

__all__ = ["MOST_ROWS", "multiples", "multiples_legend"]

MOST_ROWS = 24
"""Most tasks drawn; of more, those that some remedy leaves furthest above their own best."""
_ROW, _AROUND = 17, 92
"""Pixels of a row, and around the rows."""
_LETTERS = 16
_SPOKEN = 6
_PART = 0.05
"""Left out at either end of the range of the weighted sums."""


def multiples(verdict: Verdict, tasks: Sequence[str]) -> list[plot.Panel]:
    """One panel for each remedy that is a single point of the verdict."""
    marked = [(mark_of(point), point) for point in verdict.front if not mark_of(point).cloud]
    marked.sort(key=lambda pair: MARKS.index(pair[0]))
    own = _separate(verdict)
    panels = [(mark, point) for mark, point in marked if mark.name != "separate"]
    if not panels:
        return []
    rows = _rows([point for _, point in panels], own, len(tasks))
    sums = [point.losses for point in verdict.front if point.kind == "weighted sum"]
    names = [plot.safe_name(name, _LETTERS) for name in short_names(tasks, _LETTERS)]
    band = _band(sums, rows)
    far = max(x for values in (*(point.losses for _, point in panels), own or ()) for x in values)
    return [_panel(mark, point, own, band, rows, tasks, names, far) for mark, point in panels]


def multiples_legend(verdict: Verdict) -> list[plot.LegendEntry]:
    """What the marks of all panels mean."""
    found = {mark_of(point).name for point in verdict.front}
    entries = [legend_mark(mark) for mark in MARKS if mark.name in found and not mark.cloud]
    if any(point.kind == "weighted sum" for point in verdict.front):
        words = "weighted sums drawn, all but the lowest and highest 5 %"
        entries.append({"words": words, "symbol": "line", "css": "var(--bar)", "dash": ""})
    return entries


def _separate(verdict: Verdict) -> tuple[float, ...] | None:
    return next((point.losses for point in verdict.front if point.kind == "separate"), None)


def _rows(points: Sequence[FrontPoint], own: tuple[float, ...] | None, count: int) -> list[int]:
    if count <= MOST_ROWS:
        return list(range(count))
    most = [max(p.losses[task] - (own[task] if own else 0.0) for p in points) for task in range(count)]
    return sorted(sorted(range(count), key=lambda task: -most[task])[:MOST_ROWS])


def _band(sums: Sequence[Sequence[float]], rows: Sequence[int]) -> list[tuple[float, float]]:
    """Each task's losses over the weighted sums drawn, without the ends."""
    if not sums:
        return []
    ends = []
    for task in rows:
        values = sorted(losses[task] for losses in sums)
        cut = int(_PART * len(values))
        ends.append((values[cut], values[len(values) - 1 - cut]))
    return ends


def _panel(
    mark: Mark,
    point: FrontPoint,
    own: tuple[float, ...] | None,
    band: Sequence[tuple[float, float]],
    rows: Sequence[int],
    tasks: Sequence[str],
    names: Sequence[str],
    far: float,
) -> plot.Panel:
    places = list(range(len(rows)))
    traces: list[plot.Figure] = []
    if band:
        across = [x for low, high in band for x in (plot.rounded(low), plot.rounded(high), None)]
        upwards = [y for place in places for y in (place, place, None)]
        line = {"color": "bar", "width": 7}
        traces.append(_trace(across, upwards, mode="lines", line=line, hoverinfo="skip"))
    if own is not None:
        alone = [plot.rounded(own[task]) for task in rows]
        look = plot.make_marker("ink", "square", 5)
        traces.append(_trace(alone, places, mode="markers", marker=look, hoverinfo="skip"))
    hover = []
    for task in rows:
        values = [(tasks[task], share(point.losses[task]))]
        values += [("a model of its own", share(own[task]))] if own is not None else []
        hover.append(plot.hover_text(mark.words, values))
    look = plot.make_marker(mark.color, mark.symbol, 9) | {"line": {"color": "page", "width": 1}}
    found = [plot.rounded(point.losses[task]) for task in rows]
    traces.append(_trace(found, places, mode="markers", marker=look, hoverinfo="text", hovertext=hover))
    few = len(rows) < len(tasks)
    layout: plot.Figure = {
        "xaxis": plot.make_axis("loss, share of variance", range=[0, plot.rounded(1.05 * far)], nticks=5),
        "yaxis": plot.make_axis(
            "", tickvals=places, ticktext=[names[task] for task in rows], range=[len(rows) - 0.4, -0.6],
            tickfont={"size": 11},
        ),
        "margin": {"l": 12, "r": 16, "t": 8, "b": 48},
    }  # fmt: skip
    worst = sorted(range(len(tasks)), key=lambda task: -point.losses[task])[:_SPOKEN]
    told = ", ".join(f"{clean(tasks[task])} {share(point.losses[task])}" for task in worst)
    alt = (
        f"{mark.words.capitalize()}: one row a task, loss in shares of variance across, lower is better. "
        f"Largest losses: {told}."
    )
    note = f"The {len(rows)} of {len(tasks)} tasks furthest above their own best." if few else ""
    panel = plot.make_panel(mark.words, alt, traces, layout, shape="rows", note=note)
    return {**panel, "height": _ROW * len(rows) + _AROUND}


def _trace(x: Sequence[float | None], y: Sequence[float | None], **more: object) -> plot.Figure:
    return {"type": "scatter", "x": list(x), "y": list(y), **more}
