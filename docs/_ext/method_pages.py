"""Writes one page for each method of the table: its docstring, its laws in words, its counter-examples, a figure."""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

import equipoise as eq
from equipoise.laws import laws
from equipoise.methods import Method

KINDS = ("loss", "gramian", "jacobian", "wrappers")
TASKS = 3  # a law may hold for two tasks and fail for three
ANGLE = np.deg2rad(130)
GRADIENTS = np.array([[2.0, 0.0], [np.cos(ANGLE), np.sin(ANGLE)]])
LOSSES = (2.0, 1.0)


def methods_of(kind: str) -> list[tuple[str, type[Method]]]:
    """Name and class of every method in that folder of `equipoise.methods`."""
    return [(name, method) for name, method in eq.methods.table.items() if f".methods.{kind}." in method.__module__]


def write_pages(folder: Path) -> None:
    """Write ``NAME.rst`` and ``NAME.svg`` for each method; a file whose content is the same stays untouched."""
    folder.mkdir(exist_ok=True)
    for kind in KINDS:
        for name, method in methods_of(kind):
            direction_figure(method()).savefig(folder / f"{name}.svg", metadata={"Date": None}, transparent=True)
            write(folder / f"{name}.rst", "\n".join(page(name, method)))


def write(path: Path, text: str) -> None:
    """Write a file, unless it says the same already: Sphinx reads only what has changed."""
    if not path.is_file() or path.read_text() != text:
        path.write_text(text)


def page(name: str, kind: type[Method]) -> list[str]:
    """The lines of one page."""
    method = kind()
    lines = [kind.__name__, "=" * len(kind.__name__), ""]
    lines += [f".. autoclass:: {kind.__module__}.{kind.__name__}", ""]
    lines += [
        *section("Its direction on two gradients"),
        f".. figure:: {name}.svg",
        f"   :alt: The direction of {kind.__name__} on two gradients that are 130 degrees apart.",
        "",
        "   Default settings, first step. The gradients are 130 degrees apart, the first is twice as long, and the "
        f"losses are {LOSSES[0]:g} and {LOSSES[1]:g}. A step against a direction in the shaded wedge raises no loss "
        "to first order.",
        "",
    ]
    lines += section("Laws that it claims")
    claims = sorted(method.claims(TASKS))
    lines += [f"With default settings and {TASKS} tasks. `eq.laws.check_method` examines every one.", ""]
    lines += [f"- ``{law}``: {laws[law].sentence}." for law in claims] or ["It claims none."]
    lines += ["", *section("Laws that it breaks")]
    refuted = method.refutes()
    if not refuted:
        lines += ["No counter-example is stored.", ""]
    for law, example in sorted(refuted.items()):
        lines += [f"- ``{law}``: {laws[law].sentence}. Counter-example: {described(example)}."]
    return [*lines, ""]


def section(title: str) -> list[str]:
    """A heading of the second level."""
    return [title, "-" * len(title), ""]


def described(example: eq.CounterExample) -> str:
    """A stored counter-example in one line."""
    losses = "" if example.losses is None else f", losses ``{list(example.losses)}``"
    return f"gradients ``{[list(row) for row in example.jacobian]}``{losses}"


def direction_figure(method: Method) -> Figure:
    """The direction of a first step beside both gradients."""
    found = eq.direction(method, GRADIENTS, losses=LOSSES).numpy()
    figure = Figure(figsize=(4.6, 2.6), layout="constrained")
    axes = figure.subplots()
    edges = np.array([[0.0, 1.0], [np.sin(ANGLE), -np.cos(ANGLE)]])  # at right angles to the gradients
    axes.fill(*np.vstack([[0.0, 0.0], 9 * edges]).T, color="#56B4E9", alpha=0.2, linewidth=0)
    for gradient, label in [*zip(GRADIENTS, ("$g_1$", "$g_2$"), strict=True), (found, "d")]:
        ours = label == "d"
        color = "#D55E00" if ours else "#808080"
        axes.annotate(
            "", gradient, (0, 0), arrowprops={"arrowstyle": "-|>", "color": color, "lw": 2.5 if ours else 1.5}
        )
        axes.annotate(label, gradient, (5, 4), textcoords="offset points", color=color, fontsize=12)
    corners = np.vstack([GRADIENTS, found, [0.0, 0.0]])
    low, high = corners.min(axis=0) - 0.3, corners.max(axis=0) + 0.4
    axes.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]), aspect="equal")
    axes.set_axis_off()
    return figure
