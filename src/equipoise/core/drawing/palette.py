"""Colours and markers: one a kind of point, told apart without colour.

The palette is Okabe and Ito's (2008), made for readers with any kind of colour vision. Each kind has a marker of its
own as well, so a print in grey stays readable. Colours are names here; the page's style sheet says what they are: in
light the palette's own, in dark the same lightened.
"""

from dataclasses import dataclass
from typing import Literal

from ..records.audit import FrontPoint
from .plot_parts import LegendEntry, css_color

__all__ = ["MARKS", "VISIBLE", "Mark", "legend_mark", "mark_of"]

Symbol = Literal["circle", "circle-open", "x", "triangle-up", "diamond", "star", "cross", "square"]


@dataclass(frozen=True)
class Mark:
    """How one kind of point is drawn and named."""

    name: str  # identifies the mark
    words: str  # what the legend says
    color: str  # name of a colour of the page: ``var(--blue)`` in its styles
    symbol: Symbol  # plotly's name of the marker; the legend draws the same shape
    size: float  # pixels
    cloud: bool = False  # whether there are many such points (drawn thin, below the others)


MARKS = (
    Mark("any", "any model of this width (a sample)", "faint", "circle", 3, cloud=True),
    Mark("weighted", "best model of a weighted sum", "blue", "circle", 5, cloud=True),
    Mark("reachable", "balanced model that some weights reach", "sky", "circle-open", 7, cloud=True),
    Mark("hidden", "balanced model that no weights reach", "vermillion", "x", 7, cloud=True),
    Mark("equal", "equal weights", "ink", "triangle-up", 12),
    Mark("best", "best weights found", "blue", "diamond", 13),
    Mark("tchebycheff", "best balanced single model", "vermillion", "star", 16),
    Mark("mixture", "best mixture of models", "green", "cross", 12),
    Mark("separate", "separate models, one a task", "ink", "square", 10),
)
"""In drawing order: later ones lie on top."""

_BY_NAME = {mark.name: mark for mark in MARKS}
_BY_KIND = {
    "any model": "any",
    "weighted sum": "weighted",
    "equal weights": "equal",
    "best weights": "best",
    "tchebycheff": "tchebycheff",
    "mixture": "mixture",
    "separate": "separate",
}
VISIBLE = 1e-6
"""A gap up to this share of variance is within the certificate's accuracy; such a point counts as reached."""


def mark_of(point: FrontPoint) -> Mark:
    """The mark of a point; single models split by whether weights reach them."""
    if point.kind == "one model":
        return _BY_NAME["hidden" if point.gap is not None and point.gap > VISIBLE else "reachable"]
    return _BY_NAME[_BY_KIND[point.kind]]


def legend_mark(mark: Mark) -> LegendEntry:
    """The entry of a mark in a legend."""
    symbol = "dot" if mark.cloud and mark.symbol == "circle" else mark.symbol
    return {"words": mark.words, "symbol": symbol, "css": css_color(mark.color), "dash": ""}
