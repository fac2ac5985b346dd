"""Colours and markers: one a kind of point, told apart without colour.

The palette is Okabe and Ito's (2008), made for readers with any kind of colour vision. Each kind has a marker of its
own as well, so a print in grey stays readable. ``ink`` and ``faint`` stand for colours of the page, which differ in
light and dark.
"""

from dataclasses import dataclass
from typing import Literal

from ..verdict import FrontPoint

__all__ = ["MARKS", "Mark", "mark_of"]

Symbol = Literal["circle", "circle-open", "x", "triangle-up", "diamond", "star", "cross", "square"]


@dataclass(frozen=True)
class Mark:
    """How one kind of point is drawn and named.

    Args:
        name: Identifies the mark.
        words: What the legend says.
        color: Of the page (``ink``, ``faint``) or a hexadecimal colour.
        symbol: Plotly's name of the marker; the legend draws the same shape.
        size: In pixels.
        cloud: Whether there are many such points (drawn thin, below the others).
    """

    name: str
    words: str
    color: str
    symbol: Symbol
    size: float
    cloud: bool = False


MARKS = (
    Mark("any", "any model of this width (a sample)", "faint", "circle", 3, cloud=True),
    Mark("weighted", "best model of a weighted sum", "#0072B2", "circle", 5, cloud=True),
    Mark("reachable", "balanced model that some weights reach", "#56B4E9", "circle-open", 7, cloud=True),
    Mark("hidden", "balanced model that no weights reach", "#D55E00", "x", 7, cloud=True),
    Mark("equal", "equal weights", "ink", "triangle-up", 12),
    Mark("best", "best weights found", "#0072B2", "diamond", 13),
    Mark("tchebycheff", "best balanced single model", "#D55E00", "star", 16),
    Mark("mixture", "best mixture of models", "#009E73", "cross", 12),
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
_NUMERICAL_ZERO = 1e-6
"""A gap below this share of variance is within the certificate's accuracy; such a point counts as reached."""


def mark_of(point: FrontPoint) -> Mark:
    """The mark of a point; single models split by whether weights reach them."""
    if point.kind == "one model":
        return _BY_NAME["hidden" if point.gap is not None and point.gap > _NUMERICAL_ZERO else "reachable"]
    return _BY_NAME[_BY_KIND[point.kind]]
