"""What every picture of a report is made of: one template, names that are text, hover words. Plain plotly dicts.

A figure holds only what is its own; `TEMPLATE` holds the rest, once a page. Colours are words (``ink``, ``blue``) that
the page's script fills in, so that a figure follows light and dark; `standalone` fills them in for a figure that is
shown by itself. Everything is drawn by plotly's SVG traces: its WebGL ones compile code at run time, which the page's
content security policy forbids.
"""

from collections.abc import Iterable, Sequence
from typing import Any, NotRequired, TypedDict

from ..text import clean, shorten

__all__ = [
    "MOST_LINES",
    "PAGE_COLORS",
    "TEMPLATE",
    "Figure",
    "LegendEntry",
    "LineStyle",
    "Panel",
    "color_bar",
    "css_color",
    "hover_text",
    "legend_line",
    "legend_of",
    "line_styles",
    "make_axis",
    "make_marker",
    "make_panel",
    "pair_hover",
    "rounded",
    "safe_name",
    "standalone",
    "triangle_axes",
]

Figure = dict[str, Any]

PAGE_COLORS = {
    "ink": "#1a1a1a",
    "faint": "#9a9a9a",
    "page": "#ffffff",
    "grid": "#dddddd",
    "blue": "#0072b2",
    "sky": "#56b4e9",
    "green": "#009e73",
    "vermillion": "#d55e00",
    "purple": "#b5609a",
    "orange": "#d19000",
    "bar": "#c5dceb",
}
"""Okabe and Ito (2008), on white."""

_CLEAR = "rgba(0,0,0,0)"
_AXIS: Figure = {
    "title": {"standoff": 8},
    "gridcolor": "grid",
    "linecolor": "grid",
    "zeroline": False,
    "exponentformat": "none",
    "nticks": 6,
    "automargin": True,
}
_CORNER: Figure = {
    "gridcolor": "grid", "linecolor": "grid", "nticks": 5, "showticklabels": False, "ticks": "", "min": 0
}  # fmt: skip
TEMPLATE: Figure = {
    "layout": {
        "font": {"color": "ink", "size": 13},
        "paper_bgcolor": _CLEAR,
        "plot_bgcolor": _CLEAR,
        "margin": {"l": 56, "r": 16, "t": 12, "b": 52},
        "showlegend": False,
        "hovermode": "closest",
        "dragmode": False,
        "hoverlabel": {"align": "left", "bgcolor": "page", "bordercolor": "grid", "font": {"color": "ink"}},
        "xaxis": _AXIS,
        "yaxis": _AXIS,
        "ternary": {"sum": 1, "bgcolor": _CLEAR, "aaxis": _CORNER, "baxis": _CORNER, "caxis": _CORNER},
    }
}
"""Plotly's template of every figure: no background, no legend, no dragging; faint grids."""

MOST_LINES = 8
"""Most tasks drawn as lines."""
_COLORS = ("blue", "vermillion", "green", "purple", "orange", "sky", "ink", "faint")
_DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "solid", "dash", "dot")
_SVG_DASHES = {"solid": "", "dash": "6 3", "dot": "2 3", "dashdot": "6 3 2 3", "longdash": "10 4"}


class LineStyle(TypedDict):
    """How a task is drawn: a colour of the page, and plotly's dash."""

    name: str
    color: str
    dash: str


class LegendEntry(TypedDict):
    """One entry of a legend that stands beside several panels: its words, its mark, its colour as CSS.

    `symbol` is plotly's name of a marker, ``dot`` for one of a crowd, or ``line``; then `dash` is SVG's dash pattern.
    """

    words: str
    symbol: str
    css: str
    dash: str


class Panel(TypedDict):
    """One picture: a name, what is seen in words, a line below it, and the plotly figure.

    `height` in pixels stands where the number of rows decides it, `legend` where a panel has one of its own.
    """

    name: str
    alt: str
    note: str
    shape: str
    figure: Figure
    height: NotRequired[int]
    legend: NotRequired[list[LegendEntry]]


def safe_name(name: str, length: int = 22) -> str:
    """A name in plotly's text, which would read ``<b>`` and ``<a href>`` as markup.

    It must not stand in a hover template, which would read ``%{x}`` in it: see `pair_hover`.

    Example:
        >>> safe_name("a <b>")
        'a &lt;b&gt;'
    """
    text = shorten(clean(name), length)
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def rounded(value: float) -> float:
    """Six digits: far below a pixel, and half the page's size.

    Example:
        >>> rounded(1 / 3)
        0.333333
    """
    return float(f"{value:.6g}")


def make_axis(title: str, **more: object) -> Figure:
    """An axis with its title; its looks are the template's."""
    return {"title": {"text": title}, **more}


def make_panel(name: str, alt: str, traces: list[Figure], layout: Figure, *, shape: str, note: str = "") -> Panel:
    """A panel of these traces."""
    return {"name": name, "alt": alt, "note": note, "shape": shape, "figure": {"data": traces, "layout": layout}}


def standalone(figure: Figure) -> Figure:
    """A figure with template, colours and legend filled in, for ``plotly.graph_objects.Figure(...)``.

    Example:
        >>> found = standalone({"data": [{"marker": {"color": "blue"}}], "layout": {}})
        >>> found["data"], found["layout"]["template"]["layout"]["font"]["color"]
        ([{'marker': {'color': '#0072b2'}}], '#1a1a1a')
    """
    named = sum("name" in trace for trace in figure["data"]) > 1
    layout = {"template": TEMPLATE, "showlegend": named} | figure["layout"]
    done: Figure = _colored({"data": figure["data"], "layout": layout})
    return done


def _colored(value: Any, key: str = "") -> Any:
    if isinstance(value, dict):
        return {name: _colored(part, name) for name, part in value.items()}
    if isinstance(value, list):
        return [_colored(part, key) for part in value]
    return PAGE_COLORS.get(value, value) if isinstance(value, str) and key.endswith("color") else value


def make_marker(color: str, symbol: str, size: float, opacity: float = 1.0) -> Figure:
    """A marker in a colour of the page."""
    return {"color": color, "symbol": symbol, "size": size, "opacity": opacity}


def hover_text(title: str, values: Iterable[tuple[str, str]], *more: str) -> str:
    """What one point says: a bold title, a line a task, and whatever else; names are made safe here.

    Example:
        >>> hover_text("a model", [("t<1>", "0.500")], "weights: 1")
        '<b>a model</b><br>t&lt;1&gt;: 0.500<br>weights: 1'
    """
    return "<br>".join([f"<b>{title}</b>", *(f"{safe_name(name, 40)}: {value}" for name, value in values), *more])


def pair_hover(across: str = "%{xaxis.title.text}: %{x:.3f}", upwards: str = "%{yaxis.title.text}: %{y:.3f}") -> str:
    """A template that names a trace and its two values. No name stands in it: plotly reads them from the figure."""
    return f"%{{fullData.name}}<br>{across}<br>{upwards}<extra></extra>"


def css_color(color: str) -> str:
    """A colour of the page as CSS; codes are left as they are."""
    return color if color.startswith("#") else f"var(--{color})"


def line_styles(tasks: Sequence[str]) -> list[LineStyle]:
    """One style a task, told apart without colour; none above `MOST_LINES`, where something else is drawn instead."""
    if len(tasks) > MOST_LINES:
        return []
    return [
        {"name": clean(name), "color": color, "dash": dash}
        for name, color, dash in zip(tasks, _COLORS, _DASHES, strict=False)
    ]


def legend_line(words: str, color: str, dash: str = "solid") -> LegendEntry:
    """The entry of a line in a legend."""
    return {"words": words, "symbol": "line", "css": css_color(color), "dash": _SVG_DASHES[dash]}


def color_bar(title: str) -> Figure:
    """A horizontal scale below the picture, which leaves a narrow page its width."""
    return {
        "title": {"text": title, "side": "top", "font": {"size": 12}},
        "orientation": "h",
        "thickness": 10,
        "len": 0.7,
        "y": -0.22,
        "yanchor": "top",
        "outlinewidth": 0,
        "nticks": 5,
    }


def triangle_axes(tasks: Sequence[str]) -> Figure:
    """The layout of a triangle with a task at each corner and room for `color_bar` below."""
    corners = zip(("aaxis", "baxis", "caxis"), tasks, strict=True)
    axes = {side: {"title": {"text": safe_name(name, 16)}} for side, name in corners}
    return {"ternary": axes, "margin": {"l": 48, "r": 48, "t": 40, "b": 84}}


def legend_of(panel: Panel) -> list[LegendEntry]:
    """The legend of a panel's named traces, each name once, for a page that shows it beside the panels."""
    entries: dict[str, LegendEntry] = {}
    for trace in panel["figure"]["data"]:
        if "name" not in trace or trace["name"] in entries:
            continue
        words = trace["name"].replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
        if "lines" in trace.get("mode", ""):
            entry = legend_line(words, trace["line"]["color"], trace["line"].get("dash", "solid"))
        else:
            symbol = trace["marker"].get("symbol", "square")
            entry = {"words": words, "symbol": symbol, "css": css_color(trace["marker"]["color"]), "dash": ""}
        entries[trace["name"]] = entry
    return list(entries.values())
