"""The same pictures with matplotlib, from the same panels: for papers and slides. Needs the extra ``plots``."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ...errors import InputError
from .linear_figures import linear_panels, standalone
from .plot_parts import Figure, Panel

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Drawing

__all__ = ["draw"]

_MARKERS = {
    "circle": "o", "diamond": "D", "square": "s", "triangle-up": "^", "triangle-down": "v", "star": "*", "cross": "P",
    "x": "x", "pentagon": "p", "hexagram": "h",
}  # fmt: skip
_DASHES: dict[str, Any] = {"solid": "-", "dash": "--", "dot": ":", "dashdot": "-.", "longdash": (0, (8, 3))}
_HEIGHT = 0.8660254037844386
"""Of a triangle with sides of 1."""


def draw(record: Mapping[str, Any]) -> "Drawing":
    """A matplotlib figure of a record of `equipoise.linear.pictures`: one set of axes a panel.

    Args:
        record: As for `linear_panels`.

    Returns:
        The figure; ``figure.savefig("name.pdf")`` writes it. No window is opened.

    Raises:
        InputError: matplotlib is not installed.
        ValueError: Another kind of record.
    """
    try:
        from matplotlib.figure import Figure as New  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise InputError("drawing needs matplotlib: pip install 'equipoise[plots]'") from error
    panels = linear_panels(record)
    figure = New(figsize=(5.2 * len(panels), 4.6), layout="constrained")
    for number, panel in enumerate(panels):
        _draw_panel(figure.add_subplot(1, len(panels), number + 1), panel)
    handles, labels = figure.axes[0].get_legend_handles_labels()
    if panels[0]["figure"]["layout"]["showlegend"]:
        once = dict(zip(labels, handles, strict=True))
        figure.legend(list(once.values()), list(once), loc="outside lower center", ncols=4, fontsize=7)
    return figure


def _draw_panel(axes: "Axes", panel: Panel) -> None:
    filled = standalone(panel["figure"])
    ternary = "ternary" in filled["layout"]
    for trace in filled["data"]:
        if trace["type"] == "bar":
            look = trace["marker"]
            axes.bar(trace["x"], trace["y"], color=look["color"], alpha=look["opacity"], label=trace["name"])
        else:
            _draw_trace(axes, trace, ternary)
    for words in filled["layout"].get("annotations", []):
        look = {"facecolor": words["bgcolor"], "edgecolor": "none", "pad": 1}
        color = words["font"]["color"]
        axes.text(words["x"], words["y"], words["text"], ha="center", va="center", fontsize=8, color=color, bbox=look)
    axes.set_title(panel["name"], fontsize=10)
    for side, name in (("xaxis", axes.set_xlabel), ("yaxis", axes.set_ylabel)):
        axis = filled["layout"].get(side, {})
        name(axis.get("title", {}).get("text", ""))
    bare = filled["layout"].get("xaxis", {}).get("visible") is False
    if bare:
        axes.set_xlim(*filled["layout"]["xaxis"]["range"])
        axes.set_ylim(*filled["layout"]["yaxis"]["range"])
    if ternary or bare:
        axes.set_axis_off()
        axes.set_aspect("equal")
    if ternary:
        _draw_triangle(axes, filled["layout"]["ternary"])


def _place(trace: Figure, ternary: bool) -> tuple[list[float], list[float]]:
    if not ternary:
        return trace["x"], trace["y"]
    # corner a on top, b left, c right, as plotly has them
    return [c + a / 2 for a, c in zip(trace["a"], trace["c"], strict=True)], [a * _HEIGHT for a in trace["a"]]


def _draw_trace(axes: "Axes", trace: Figure, ternary: bool) -> None:
    x, y = _place(trace, ternary)
    label = trace.get("name")
    if "lines" in trace["mode"]:
        line = trace["line"]
        style = _DASHES[line.get("dash", "solid")]
        symbol = _MARKERS.get(trace["marker"]["symbol"], "o") if "markers" in trace["mode"] else None
        axes.plot(x, y, color=line["color"], linewidth=line["width"], linestyle=style, label=label, marker=symbol)
    elif "markers" in trace["mode"]:
        marker = trace["marker"]
        symbol = _MARKERS.get(marker.get("symbol", "circle"), "o")
        color = marker["color"]
        shown = axes.scatter(
            x, y, c=color, marker=symbol, s=marker["size"] ** 2 / 1.6, alpha=marker.get("opacity", 1.0),
            cmap="cividis" if isinstance(color, list) else None, linewidths=1.0 if symbol == "x" else 0.0,
            label=label,
        )  # fmt: skip
        if isinstance(color, list) and axes.figure is not None:
            axes.figure.colorbar(shown, ax=axes, label=marker["colorbar"]["title"]["text"], shrink=0.7)
    if "text" in trace["mode"]:
        up, side = trace["textposition"].split()
        align = {"left": "right", "right": "left", "center": "center"}[
            side
        ]  # plotly names the side, matplotlib the edge
        shift = (0, {"top": 8, "middle": -3, "bottom": -14}[up])
        for across, upwards, words in zip(x, y, trace["text"], strict=True):
            axes.annotate(words, (across, upwards), xytext=shift, textcoords="offset points", ha=align, fontsize=8)


def _draw_triangle(axes: "Axes", layout: Figure) -> None:
    axes.plot([0, 1, 0.5, 0], [0, 0, _HEIGHT, 0], color="#9a9a9a", linewidth=0.8)
    for side, place, at in (("aaxis", (0.5, _HEIGHT), 6), ("baxis", (0, 0), -12), ("caxis", (1, 0), -12)):
        words = layout[side]["title"]["text"]
        axes.annotate(words, place, xytext=(0, at), textcoords="offset points", ha="center", fontsize=8)
