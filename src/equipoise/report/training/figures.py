"""Pictures of a recorded training: losses, weights and gradients over its steps."""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from ...core.drawing import plot_parts as plot
from ...core.records.training import MOST_PAIRED, GradientLine, StepLine, TrainingRecord
from ...core.text import clean
from ..pictures.over_steps import Values, draw_steps

__all__ = ["ANGLE", "SHARE", "ZERO", "Series", "draw_series", "training_panels"]

_CONFLICT = "Below zero: a step along one task's gradient raises the other's loss."
ANGLE: plot.Figure = {"range": [-1.05, 1.05]}
SHARE: plot.Figure = {"range": [-2, 102]}
ZERO: plot.Figure = {"zeroline": True, "zerolinecolor": "faint", "zerolinewidth": 1}


@dataclass(frozen=True)
class Series:
    """A picture of numbers over steps."""

    name: str
    unit: str
    read: Callable[[Any], Values | None]  # one number a task of a step, or what `labels` names
    log: bool = False  # whether it may have a logarithmic axis
    axis: plot.Figure = field(default_factory=dict)
    labels: Callable[[Sequence[str]], Sequence[str]] | None = None  # names of its lines, where they are not the tasks
    note: str = ""  # a line below it


def _of(read: Callable[[GradientLine], Values | None]) -> Callable[[StepLine], Values | None]:
    return lambda line: None if line.gradients is None else read(line.gradients)


def _percent(values: Values) -> Values:
    return [None if value is None else 100 * value for value in values]


def _pictures(k: int) -> tuple[Series, ...]:
    """What is drawn of k tasks. Of their pairs: each up to four tasks, the share in conflict above."""
    if k <= 4 <= MOST_PAIRED:
        pairs = Series(
            "Cosines between the tasks", "cosine", _of(lambda g: g.cosines), axis=ANGLE | ZERO, labels=_pair_names,
            note=_CONFLICT,
        )  # fmt: skip
    else:
        pairs = Series(
            "Pairs of tasks in conflict", "percent of the pairs", _of(lambda g: _percent([g.conflicting])), axis=SHARE,
            labels=lambda tasks: ["pairs in conflict"], note=_CONFLICT,
        )  # fmt: skip
    return (
        Series("Losses, unweighted", "raw loss", lambda line: line.raw_losses, log=True),
        Series("Weights", "weight", lambda line: line.weights, log=k > plot.MOST_LINES),
        Series("Losses, weighted", "weight x loss", lambda line: line.weighted_losses, log=True),
        Series("Size of the gradients", "norm", _of(lambda g: g.norms), log=True),
        Series("Share of the update", "percent", _of(lambda g: g.shares and _percent(g.shares)), axis=SHARE),
        *([pairs] if k > 1 else []),
        Series("Cosine to the update", "cosine", _of(lambda g: g.to_update), axis=ANGLE | ZERO),
    )


def _pair_names(tasks: Sequence[str]) -> list[str]:
    return [f"{clean(a)} and {clean(b)}" for a, b in itertools.combinations(tasks, 2)]


def training_panels(record: TrainingRecord) -> list[plot.Panel]:
    """All panels that the record has numbers for."""
    panels = (draw_series(series, record.lines, record.config.tasks) for series in _pictures(len(record.config.tasks)))
    return [panel for panel in panels if panel is not None]


def draw_series(series: Series, lines: Sequence[Any], tasks: Sequence[str]) -> plot.Panel | None:
    """A series over anything that has a ``step``, one line a task; None where there are no numbers."""
    found = [(line.step, values) for line in lines if (values := series.read(line)) is not None]
    labels = series.labels(tasks) if series.labels else None
    return draw_steps(
        series.name, series.unit, found, tasks, log=series.log, axis=series.axis, labels=labels, note=series.note
    )
