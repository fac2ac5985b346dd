"""Pictures of a recorded training: losses, weights and gradients over its steps."""

import itertools
from collections.abc import Callable, Sequence

from ...core.drawing.plot_parts import MOST_LINES, Figure, Panel, legend_line, make_axis, make_panel
from ...core.records.training import MOST_PAIRED, GradientLine, StepLine, TrainingRecord
from ...core.text import clean
from ..pictures.over_steps import (
    POWERS,
    ZERO_LINE,
    Value,
    Values,
    first_and_last,
    over_steps,
    step_axis,
    step_line,
    thinned,
)

__all__ = ["training_panels"]

_PAIRS = ("blue", "vermillion", "green", "purple", "orange", "sky")
_PAIR_DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "solid")


def training_panels(record: TrainingRecord) -> list[Panel]:
    """All panels that the record has numbers for."""
    lines, tasks = record.lines, record.config.tasks
    panels = [
        over_steps("Losses, unweighted", "raw loss", _read(lines, lambda line: line.raw_losses), tasks, log=True),
        over_steps("Weights", "weight", _read(lines, lambda line: line.weights), tasks, log=len(tasks) > MOST_LINES),
        over_steps(
            "Losses, weighted", "weight x loss", _read(lines, lambda line: line.weighted_losses), tasks, log=True
        ),
        over_steps("Size of the gradients", "norm", _read(lines, _of(lambda g: g.norms)), tasks, log=True),
        over_steps(
            "Share of the update", "percent",
            _read(lines, _of(lambda g: g.shares and [_percent(x) for x in g.shares])), tasks, range=[-2, 102],
        ),
        _pairs(lines, tasks),
        over_steps(
            "Cosine to the update", "cosine", _read(lines, _of(lambda g: g.to_update)), tasks, range=[-1.05, 1.05],
            zero=True,
        ),
    ]  # fmt: skip
    return [panel for panel in panels if panel is not None]


def _read(lines: Sequence[StepLine], read: Callable[[StepLine], Values | None]) -> list[tuple[int, Values]]:
    return [(line.step, values) for line in lines if (values := read(line)) is not None]


def _of(read: Callable[[GradientLine], Values | None]) -> Callable[[StepLine], Values | None]:
    return lambda line: None if line.gradients is None else read(line.gradients)


def _percent(value: Value) -> Value:
    return None if value is None else 100 * value


def _pairs(lines: Sequence[StepLine], tasks: Sequence[str]) -> Panel | None:
    """Cosines between the tasks: a line a pair up to four tasks, the share of conflicting pairs above."""
    found = [(line.step, line.gradients) for line in lines if line.gradients is not None]
    if len(tasks) < 2 or not found:
        return None
    if len(tasks) <= 4 <= MOST_PAIRED:
        names = [f"{clean(a)} and {clean(b)}" for a, b in itertools.combinations(tasks, 2)]
        rows = [
            thinned([(step, gradients.cosines[pair] if gradients.cosines else None) for step, gradients in found])
            for pair in range(len(names))
        ]
        unit, name = "cosine", "Cosines between the tasks"
        axis: dict[str, object] = {"range": [-1.05, 1.05], **ZERO_LINE}
    else:
        names = ["pairs in conflict"]
        rows = [thinned([(step, _percent(gradients.conflicting)) for step, gradients in found])]
        unit, name, axis = "percent of the pairs", "Pairs of tasks in conflict", {"range": [-2, 102]}
    if not any(value is not None for row in rows for _, value in row):
        return None
    traces = [
        step_line(label, row, color, dash)
        for label, row, color, dash in zip(names, rows, _PAIRS, _PAIR_DASHES, strict=False)
    ]
    steps = [step for step, _ in found]
    layout: Figure = {
        "xaxis": step_axis(steps, rangemode="tozero"),
        "yaxis": make_axis(unit, **POWERS, **axis),
    }
    spoken = [f"{label} {first_and_last(row)}" for label, row in zip(names, rows, strict=True)]
    note = "Below zero: a step along one task's gradient raises the other's loss."
    alt = f"{name} over steps. {'; '.join(spoken)}."
    panel = make_panel(name, alt, traces, layout, shape="over", note=note)
    if len(names) > 1:  # beside the plot: inside, it would take the plot's height and lie on its axis
        panel["legend"] = [
            legend_line(label, color, dash) for label, color, dash in zip(names, _PAIRS, _PAIR_DASHES, strict=False)
        ]
    return panel
