"""Pictures of a front: one panel for two tasks, pairs and a triangle for three, lines across parallel axes for more."""

from collections.abc import Sequence
from itertools import combinations, pairwise
from typing import Any

from ...core.drawing import plot_parts as plot
from ...core.records.explored import ExploredPoint, ExploreRecord
from ...core.text import clean, plural
from ..logs.page_parts import number
from .words import gap_words, shown

__all__ = ["MARKS", "front_panels", "hover_of", "slider_of"]

MARKS = {
    "dominated": ("dominated", "faint", "circle", 5),
    "weights": ("some weights select it", "blue", "circle", 9),
    "close": ("none do, within 1 % of the ranges", "sky", "circle-open", 9),
    "unsure": ("the seeds cannot tell", "orange", "square", 9),
    "none": ("no weights select it", "vermillion", "diamond", 10),
    "scattered": ("its seeds lie apart: no point", "faint", "x", 6),
}
HERE = "the preference of the slider"


def front_panels(record: ExploreRecord) -> list[plot.Panel]:
    """Panels of a record of two or three tasks; none for more."""
    k = len(record.tasks)
    if k > 3:
        return []
    panels = [_pair(record, i, j) for i, j in combinations(range(k), 2)]
    return panels if k == 2 else [*panels, *_triangle(record)]


def hover_of(record: ExploreRecord, point: ExploredPoint) -> str:
    """What a point says: preference, losses, metrics, checkpoint of its first seed that is done."""
    weights = ", ".join(
        f"{plot.safe_name(task.name, 20)} {w:.3g}" for task, w in zip(record.tasks, point.weights, strict=True)
    )
    more = [f"{'weights' if point.kind == 'sum' else 'Tchebycheff weights'}: {weights}"]
    done = [run for run in point.runs if run.status == "done"]
    for task in record.tasks:
        for metric in task.metrics:
            known = [value for run in done if (value := run.metrics.get(task.name, {}).get(metric)) is not None]
            if known:
                name = f"{plot.safe_name(task.name, 20)}, {plot.safe_name(metric, 30)}"
                more.append(f"{name}: {number(sum(known) / len(known))}")
    more.append(MARKS[point.support][0] + (f", gap {gap_words(point)}" if point.gap else ""))
    if done and done[0].folder:
        more.append(f"checkpoint, seed {done[0].seed}: {done[0].folder}/checkpoint")
    values = [(task.name, shown(loss, unit)) for task, loss, unit in
              zip(record.tasks, point.losses, record.units, strict=True)]  # fmt: skip
    return plot.hover_text(f"{point.name}, mean of {plural(len(done), 'seed')}", values, *more)


def _pair(record: ExploreRecord, i: int, j: int) -> plot.Panel:
    flat = len(record.tasks) == 2
    traces = [*_known_front(record), *_band(record), *_chord(record)] if flat else []
    if record.conditioned is not None:
        traces.append(_line(f"one model for all (seed {record.conditioned.seed})", "purple",
                            [(row[i], row[j]) for row in record.conditioned.losses], lines=flat))  # fmt: skip
    for kind, mark in MARKS.items():
        points = [point for point in record.points if point.support == kind]
        if points:
            traces.append(_marks(record, points, mark, i, j, bars=not flat))
    alone = record.singles[i].loss, record.singles[j].loss
    if alone[0] is not None and alone[1] is not None:
        traces.append(_star("each task trained alone", "ink", "square", alone[0], alone[1], 10))
    named = {point.name: point for point in record.points}
    for number_, choice in enumerate(record.chosen):
        point = named[choice.point]
        symbol, color = (("circle-open", "green"), ("star", "green"))[min(number_, 1)]
        traces.append(_star(f"chosen: {plot.safe_name(choice.wish, 40)}", color, symbol, point.losses[i],
                            point.losses[j], 16) | {"text": hover_of(record, point)})  # fmt: skip
    if record.conditioned is not None:
        middle = record.conditioned.losses[len(record.conditioned.losses) // 2]
        traces.append(_star(HERE, "purple", "x", middle[i], middle[j], 12))
    one, other = clean(record.tasks[i].name), clean(record.tasks[j].name)
    layout: plot.Figure = {
        "xaxis": plot.make_axis(f"{plot.safe_name(one, 40)}, loss", range=_range(record, i)),
        "yaxis": plot.make_axis(f"{plot.safe_name(other, 40)}, loss", range=_range(record, j)),
    }
    counts = [f"{sum(p.support == kind for p in record.points)} {mark[0]}" for kind, mark in MARKS.items()]
    alt = f"Loss of {other} against loss of {one}, lower is better. Points: {', '.join(counts)}."
    return plot.make_panel(f"{one} and {other}", alt, traces, layout, shape="square")


def _marks(
    record: ExploreRecord, points: Sequence[ExploredPoint], mark: tuple[str, str, str, int], i: int, j: int, *,
    bars: bool,
) -> plot.Figure:  # fmt: skip
    words, color, symbol, size = mark
    trace: plot.Figure = {
        "type": "scatter",
        "mode": "markers",
        "name": words,
        "x": [plot.rounded(point.losses[i]) for point in points],
        "y": [plot.rounded(point.losses[j]) for point in points],
        "text": [hover_of(record, point) for point in points],
        "hovertemplate": "%{text}<extra></extra>",
        "marker": plot.make_marker(color, symbol, size, 0.6 if color == "faint" else 1.0),
    }
    if bars and len(record.seeds) > 1 and color != "faint":
        trace["error_x"], trace["error_y"] = (_bars(points, axis, color) for axis in (i, j))
    return trace


def _bars(points: Sequence[ExploredPoint], axis: int, color: str) -> plot.Figure:
    """The range over seeds."""
    values = [[run.losses[axis] for run in point.runs if run.losses is not None] for point in points]
    above = [plot.rounded(max(found) - point.losses[axis]) for found, point in zip(values, points, strict=True)]
    below = [plot.rounded(point.losses[axis] - min(found)) for found, point in zip(values, points, strict=True)]
    return {"type": "data", "symmetric": False, "array": above, "arrayminus": below, "color": color, "thickness": 1,
            "width": 0}  # fmt: skip


def _star(words: str, color: str, symbol: str, x: float, y: float, size: int) -> plot.Figure:
    return {
        "type": "scatter", "mode": "markers", "name": words, "x": [plot.rounded(x)], "y": [plot.rounded(y)],
        "text": words, "hovertemplate": "%{text}<extra></extra>",
        "marker": plot.make_marker(color, symbol, size) | {"line": {"color": "page", "width": 1}},
    }  # fmt: skip


def _line(
    words: str, color: str, points: Sequence[tuple[float, float]], dash: str = "solid", *, lines: bool = True
) -> plot.Figure:
    look: plot.Figure = {"line": {"color": color, "width": 1.5, "dash": dash}}
    if not lines:
        look = {"marker": plot.make_marker(color, "circle", 4, 0.7)}
    return {
        "type": "scatter", "mode": "lines" if lines else "markers", "name": words, "hoverinfo": "skip",
        "x": [plot.rounded(x) for x, _ in points], "y": [plot.rounded(y) for _, y in points], **look,
    }  # fmt: skip


def _known_front(record: ExploreRecord) -> list[plot.Figure]:
    pairs = sorted((row[0], row[1]) for row in record.true_front)
    if not pairs:
        return []
    found = _line("true front, by formula", "faint", pairs, "dot")
    # pieces that lie apart: drawn as points, since a line would join them
    gaps = [after[0] - before[0] for before, after in pairwise(pairs)]
    if max(gaps, default=0.0) > 0.05 * (pairs[-1][0] - pairs[0][0]):
        found = _line("true front, by formula", "faint", pairs, lines=False)
    return [found]


def _band(record: ExploreRecord) -> list[plot.Figure]:
    """Where the fronts of single seeds lie: from what one seed attains to what all attain, at each first loss.

    Left of the point where the last seed's front begins not all attain anything: the band is open above there.
    """
    if len(record.seeds) < 2:
        return []
    seeds = [
        sorted({(run.losses[0], run.losses[1]) for p in record.points for run in p.runs
                if run.seed == seed and run.losses is not None})
        for seed in record.seeds
    ]  # fmt: skip
    if not all(seeds):
        return []
    open_end = 2 * _range(record, 1)[1] - _range(record, 1)[0]  # above the picture
    low, high = [], []
    for x in sorted({x for points in seeds for x, _ in points}):
        reached = [min((y for there, y in points if there <= x), default=open_end) for points in seeds]
        low.append((x, min(reached)))
        high.append((x, max(reached)))
    words = f"range of the fronts of {len(seeds)} seeds"
    edge = {"line": {"color": "bar", "width": 0.5, "shape": "hv"}, "hoverinfo": "skip"}
    upper = _line(words, "bar", high) | edge
    lower = _line(words, "bar", low) | edge | {"fill": "tonexty", "fillcolor": "bar"}
    return [upper, lower]


def _chord(record: ExploreRecord) -> list[plot.Figure]:
    """What mixtures attain: the line through the points that weights select."""
    picked = sorted((p.losses[0], p.losses[1]) for p in record.points if p.support == "weights")
    return [_line("mixtures of points, in expectation", "blue", picked, "dash")] if len(picked) > 1 else []


def _range(record: ExploreRecord, task: int) -> list[float]:
    """An axis that shows the front, the models trained alone, and what of all else lies near.

    A model for all preferences is shown as far as it lies within a range of the front beyond its ends.
    """
    front = [point for point in record.points if point.support not in ("dominated", "scattered")] or record.points
    told = [point.losses[task] for point in front]
    if len(record.tasks) > 2:  # their bars are drawn
        told += [run.losses[task] for point in front for run in point.runs if run.losses is not None]
    alone = record.singles[task].loss
    told += [] if alone is None else [alone]
    low, high = min(told), max(told)
    if record.conditioned is not None:
        size = high - low
        near = [row[task] for row in record.conditioned.losses if low - size <= row[task] <= high + size]
        low, high = min([low, *near]), max([high, *near])
    margin = 0.08 * (high - low) or 0.05 * abs(high) or 0.05
    return [plot.rounded(low - margin), plot.rounded(high + margin)]


def _triangle(record: ExploreRecord) -> list[plot.Panel]:
    """How the losses of each point divide: shares of the ranges above the lowest, scaled to sum 1."""
    lowest = [min(point.losses[i] for point in record.points) for i in range(3)]
    traces = []
    for kind, (words, color, symbol, size) in MARKS.items():
        rows = [
            (point, [(loss - low) / unit for loss, low, unit in zip(point.losses, lowest, record.units, strict=True)])
            for point in record.points
            if point.support == kind and kind not in ("dominated", "scattered")
        ]
        rows = [(point, shares) for point, shares in rows if sum(shares) > 0]
        if rows:
            sides = {
                side: [plot.rounded(shares[place] / sum(shares)) for _, shares in rows]
                for place, side in enumerate("abc")
            }
            traces.append(
                {"type": "scatterternary", "mode": "markers", "name": words, **sides,
                 "text": [hover_of(record, point) for point, _ in rows], "hovertemplate": "%{text}<extra></extra>",
                 "cliponaxis": False, "marker": plot.make_marker(color, symbol, size)}
            )  # fmt: skip
    if not traces:
        return []
    alt = "Triangle of losses: a point near a corner has most of its loss, in shares of the ranges, in that task."
    note = "How the losses of a point divide, in ranges above the lowest: near a corner that task pays most."
    axes = plot.triangle_axes([task.name for task in record.tasks])
    return [plot.make_panel("How the losses divide", alt, traces, axes, shape="square", note=note)]


def slider_of(record: ExploreRecord, panels: Sequence[plot.Panel]) -> dict[str, Any]:
    """What the slider moves: the losses at each preference, and the trace that it moves in every panel of a pair."""
    assert record.conditioned is not None
    pairs = list(combinations(range(len(record.tasks)), 2))
    moved = []
    for number_, panel in enumerate(panels):
        names = [trace.get("name") for trace in panel["figure"]["data"]]
        if HERE in names:
            moved.append({"figure": f"figure-{number_ + 1}", "trace": names.index(HERE), "pair": pairs[number_]})
    return {
        "tasks": [clean(task.name) for task in record.tasks],
        "preferences": [[plot.rounded(v) for v in row] for row in record.conditioned.preferences],
        "losses": [[plot.rounded(v) for v in row] for row in record.conditioned.losses],
        "moved": moved,
    }
