"""Points of four and more tasks as lines across parallel axes, which the page's script draws."""

import html
import re
from typing import Any

from ...core.drawing import plot_parts as plot
from ...core.records.explored import ExploreRecord
from ...core.text import clean
from ..logs.page_parts import number
from .figures import HERE, MARKS, hover_of

__all__ = ["parallel_legend", "parallel_of"]

_ALONE = "each task trained alone"


def parallel_of(record: ExploreRecord) -> dict[str, Any]:
    """Points, and lines that are no points: the models of one task each, and where the slider stands."""
    chosen = {choice.point: f"chosen: {clean(choice.wish)}" for choice in reversed(record.chosen)}
    alone = [single.loss for single in record.singles]
    others = []
    if None not in alone:
        names = [clean(task.name) for task in record.tasks]
        said = ", ".join(f"{name} {number(loss)}" for name, loss in zip(names, alone, strict=True) if loss is not None)
        others.append({"kind": "alone", "losses": _rounded(alone), "said": f"{_ALONE}: {said}"})
    if record.conditioned is not None:
        middle = record.conditioned.losses[len(record.conditioned.losses) // 2]
        others.append({"kind": "slider", "losses": _rounded(middle), "said": f"one model for all, at {HERE}"})
    return {
        "tasks": [clean(task.name) for task in record.tasks],
        "points": [
            {
                "name": point.name,
                "kind": point.support,
                "chosen": point.name in chosen,
                "losses": _rounded(point.losses),
                "said": "\n".join([_plain(hover_of(record, point)), *filter(None, [chosen.get(point.name)])]),
            }
            for point in record.points
        ],
        "others": others,
    }


def parallel_legend(record: ExploreRecord) -> list[plot.LegendEntry]:
    """Words for every kind of line on the page."""
    kinds = {point.support for point in record.points}
    found = [
        plot.legend_line(words, color, "dot" if kind == "scattered" else "solid")
        for kind, (words, color, _, _) in MARKS.items()
        if kind in kinds
    ]
    found.append(plot.legend_line("chosen", "green"))
    if all(single.loss is not None for single in record.singles):
        found.append(plot.legend_line(_ALONE, "ink", "dash"))
    return found if record.conditioned is None else [*found, plot.legend_line(HERE, "purple", "dash")]


def _rounded(values: Any) -> list[float]:
    return [plot.rounded(value) for value in values]


def _plain(words: str) -> str:
    """Hover words without marks: a title of a line is text."""
    return html.unescape(re.sub("<[^<>]*>", "", words.replace("<br>", "\n")))
