"""Target columns -> tasks, one each: numbers as they are, classes as scores; rows complete in all of them."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ...core.names import doubled
from ...errors import listed
from ..columns import option, some
from ..raw import RawTable, refuse
from ..table import CLASSES, REGRESSION
from .scores import FEW_ROWS, best_scores, order_of
from .values import as_numbers, as_texts, beyond_double, constant, extreme, holds, stand_in

__all__ = ["MAX_CLASSES", "EncodedTargets", "encode_targets", "identical", "score_classes"]

MAX_CLASSES = 20  # levels of one target; more is free text


@dataclass
class EncodedTargets:
    """Tasks as they are collected.

    Attributes:
        columns: One (rows used,) array a task.
        tasks: Names.
        units: One a task.
        kinds: One a task.
        kept: (rows,) the rows complete in all targets.
        steps: What was done.
        warnings: What the reader should doubt.
        unscored: Task -> its classes, and the class of each row; its column waits for the inputs (`score_classes`).
        done: Target column -> what was done to it, in a few words.
    """

    kept: NDArray[np.bool_]
    columns: list[NDArray[np.float64]] = field(default_factory=list)
    tasks: list[str] = field(default_factory=list)
    units: list[str] = field(default_factory=list)
    kinds: list[str] = field(default_factory=list)
    steps: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    unscored: dict[int, tuple[list[str], NDArray[np.intp]]] = field(default_factory=dict)
    done: dict[str, str] = field(default_factory=dict)

    def add(self, task: str, values: NDArray[np.float64], unit: str, kind: str) -> None:
        """Append one task."""
        self.tasks.append(task)
        self.columns.append(values)
        self.units.append(unit)
        self.kinds.append(kind)


def encode_targets(raw: RawTable, names: Sequence[str]) -> EncodedTargets:
    """Encode target columns over the rows that are complete in all of them.

    Each column is one task. Two classes are the task "column=level" (the level that sorts last is 1). More, at most
    20, are scores: 0, 1, 2, ... where they have an order (of an ordered category, a known scale of words, ranges of
    numbers), else those that `score_classes` finds once the inputs are known. A column of numbers with just two
    values is labelled as classes, its numbers kept.

    Args:
        raw: The table.
        names: Target columns.

    Returns:
        Tasks, and which rows they use.

    Raises:
        DataError: A target is constant, free text, a date, infinite, without any value, identical to another;
            no or one row is complete; fewer than two tasks, or more tasks than rows. All problems found are
            in one message.
    """
    about = f"Table {raw.name!r}"
    frame = raw.frame[list(names)]
    problems = [raw.unclear[name] for name in names if name in raw.unclear]
    empty = [name for name in names if frame[name].isna().all()]
    if empty:
        problems.append(f"Targets must hold values, found none at all in {listed(empty)}. Take them out of --targets.")
    for name in names:
        if name not in empty and name not in raw.unclear:
            problems += _unusable(name, frame[name])
    refuse(about, problems)

    out = EncodedTargets(kept=frame.notna().all(axis=1).to_numpy(dtype=np.bool_))
    rows, used = len(frame), int(out.kept.sum())
    if used < 2:
        missing = ", ".join(f"{name!r} {int(frame[name].notna().sum())}" for name in names)
        problems.append(
            f"At least two rows must be complete in all targets, found {used} of {rows}. Rows with a value: "
            f"{missing}. Name fewer targets."
        )
    refuse(about, problems)
    _say_missing(out, frame, rows, used)

    for name in names:
        problems += _add_tasks(out, name, frame[name][out.kept], raw.units.get(name, ""))
    twice = doubled(out.tasks)
    if twice:
        problems.append(f"Two tasks would both be called {listed(twice)}. Rename one of the target columns.")
    if not problems and len(out.tasks) < 2:
        problems.append(
            f"Trade-offs need two or more tasks, found one: {listed(out.tasks)}. Name another column: "
            f"--targets {names[0]},... Columns: {some([str(column) for column in raw.frame.columns])}."
        )
    if len(out.tasks) > used:
        problems.append(
            f"There must be at least as many rows as targets, found {len(out.tasks)} targets and {used} "
            f"rows. Name fewer targets, or see whether the table lies on its side."
        )
    refuse(about, problems)
    return out


def _unusable(name: str, column: pd.Series) -> list[str]:
    """What makes a column unfit as a target, whichever rows are used."""
    kind = holds(column)
    if kind == "dates":
        return [
            f"Target {name!r} holds dates. To have it as numbers, days since the first date or hours "
            f"since midnight: {option('date', name)}."
        ]
    if kind == "numbers":
        infinite = int(np.isinf(as_numbers(column)).sum())
        if infinite:
            values = "value" if infinite == 1 else "values"
            return [f"Target {name!r} holds {infinite} infinite {values}. Replace them or leave them empty."]
        if reason := extreme(as_numbers(column)):
            return [f"Target {name!r} {reason}. Give it in another unit."]
    if kind == "classes":
        texts = [text for text in as_texts(column) if text is not None]
        levels = sorted(set(texts))
        if len(levels) > MAX_CLASSES or (len(levels) > 2 and 2 * len(levels) > len(texts)):
            return [
                f"Target {name!r} is free text: {len(levels)} different values in {len(texts)} rows, such as "
                f"{some(levels, 3)}. A target must be numbers or at most {MAX_CLASSES} classes that repeat."
            ]
    return []


def _add_tasks(out: EncodedTargets, name: str, column: pd.Series, unit: str) -> list[str]:
    """Append the tasks of one column; returns what forbids it."""
    kind = holds(column)
    if kind == "numbers":
        values = as_numbers(column)
        if constant(values):
            return [_constant(name, f"{values[0]:g}", len(values))]
        out.warnings += stand_in(name, values)
        if beyond_double(column):
            out.done[name] = "its smallest value was subtracted, so that no digit is lost"
        levels, sizes = np.unique(values, return_counts=True)
        if len(levels) == 2 and len(values) > 2:
            out.steps.append(f"Target {name!r} has two values ({levels[0]:g}, {levels[1]:g}): {CLASSES}.")
            out.add(name, values, unit, CLASSES)
            _doubt_few(out, name, [f"{level:g}" for level in levels], sizes)
        else:
            out.add(name, values, unit, REGRESSION)
        return []
    texts = as_texts(column)
    labels = sorted({str(text) for text in texts})
    if len(labels) == 1:
        return [_constant(name, labels[0], len(texts))]
    ordered = _order(column, labels)
    labels = ordered or labels
    place = {label: number for number, label in enumerate(labels)}
    codes = np.array([place[str(text)] for text in texts], dtype=np.intp)
    _doubt_few(out, name, labels, np.bincount(codes))
    if len(labels) == 2:
        out.add(f"{name}={labels[1]}", codes.astype(np.float64), "", CLASSES)
        out.done[name] = f"1 where it is {labels[1]!r}, else 0"
        out.steps.append(f"Target {name!r} has two classes: {CLASSES}, {out.tasks[-1]!r}.")
    elif ordered:
        out.add(name, codes.astype(np.float64), "", CLASSES)
        out.done[name] = f"0 to {len(labels) - 1} in the order {' < '.join(labels)}"
        out.steps.append(f"Target {name!r} has {len(labels)} classes with an order; it is one task: {out.done[name]}.")
    else:
        out.unscored[len(out.tasks)] = labels, codes
        out.add(name, codes.astype(np.float64), "", CLASSES)
    return []


def _order(column: pd.Series, labels: list[str]) -> list[str] | None:
    if isinstance(column.dtype, pd.CategoricalDtype) and column.cat.ordered:
        found = set(labels)
        return [label for label in map(str, column.cat.categories) if label in found]
    return order_of(labels) if len(labels) > 2 else None


def _doubt_few(out: EncodedTargets, name: str, labels: Sequence[str], sizes: NDArray[np.int64]) -> None:
    few = [f"{label} ({size})" for label, size in zip(labels, sizes, strict=True) if 0 < size < FEW_ROWS]
    if few and len(labels) == 2:
        out.warnings.append(
            f"Target {name!r} rests on a class of fewer than {FEW_ROWS} rows, {listed(few, '')}: what "
            "is said of it may "
            "change with a single row."
        )


def score_classes(out: EncodedTargets, inputs: NDArray[np.float64]) -> list[str]:
    """Give each target of classes without an order its scores: `best_scores`, over classes of 10 rows or more.

    Args:
        out: Changed in place.
        inputs: (rows used, p).

    Returns:
        Problems: a target without two classes that are large enough.
    """
    problems = []
    for task, (labels, codes) in out.unscored.items():
        name = out.tasks[task]
        sizes = np.bincount(codes, minlength=len(labels))
        large = np.flatnonzero(sizes >= FEW_ROWS)
        few = [f"{label} ({size})" for label, size in zip(labels, sizes, strict=True) if size < FEW_ROWS]
        if len(large) < 2:
            shown = some([f"{label} ({size})" for label, size in zip(labels, sizes, strict=True)], 8)
            problems.append(
                f"Target {name!r} must have two classes of {FEW_ROWS} rows or more, found {shown}. Join classes in the "
                "file, or take it out of --targets."
            )
            continue
        place = np.full(len(labels), -1, dtype=np.intp)
        place[large] = np.arange(len(large))
        scores = np.zeros(len(labels))
        scores[large] = best_scores(place[codes], len(large), inputs)
        out.columns[task] = scores[codes]
        shown = ", ".join(f"{labels[level]} {scores[level]:.2f}" for level in large[np.argsort(scores[large])])
        out.done[name] = f"one score a class: {shown}"
        out.steps.append(
            f"Target {name!r} has {len(labels)} classes without an order; it is one task, its classes "
            "scored so that the "
            f"inputs predict them best (first canonical variate): {shown}. For one task a class, give 0/1 columns."
        )
        if few:
            out.warnings.append(
                f"Classes of {name!r} with fewer than {FEW_ROWS} rows have no say and score the mean, "
                f"0: {listed(few, '')}."
            )
    return problems


def _constant(name: str, value: str, rows: int) -> str:
    return (
        f"Target {name!r} is constant: {value!r} in all {rows} rows that are complete in the targets. There "
        f"is nothing to predict; take it out of --targets."
    )


def identical(out: EncodedTargets) -> list[str]:
    """Name pairs of equal tasks; pairs that are equal up to unit and origin are a warning."""
    problems = []
    standardised = np.array([(column - column.mean()) / column.std() for column in out.columns])
    alike = np.abs(standardised @ standardised.T) / standardised.shape[1] > 1 - 1e-6
    for i, j in np.argwhere(np.triu(alike, k=1)):
        pair = f"{out.tasks[i]!r} and {out.tasks[j]!r}"
        if np.array_equal(out.columns[i], out.columns[j]):
            problems.append(f"Targets {pair} are identical in every row. Keep one: between them is nothing to trade.")
            continue
        difference = min(
            float(np.abs(standardised[i] - standardised[j]).max()),
            float(np.abs(standardised[i] + standardised[j]).max()),
        )
        if difference < 1e-9:
            out.warnings.append(f"Targets {pair} are the same up to unit, sign and origin: they count as one task.")
    return problems


def _say_missing(out: EncodedTargets, frame: pd.DataFrame, rows: int, used: int) -> None:
    if used == rows:
        return
    gaps = {str(name): int(frame[name].isna().sum()) for name in frame.columns}
    shown = ", ".join(f"{name!r} {count}" for name, count in gaps.items() if count)
    out.steps.append(
        f"{used} of {rows} rows are complete in the targets and were used ({100 * used / rows:.0f} %). "
        f"Missing: {shown}."
    )
    if 2 * used < rows:
        out.warnings.append(
            f"Under half of the rows ({used} of {rows}) are complete in the targets: the verdict speaks of "
            f"these rows, and its range over resampled rows is shown with it."
        )
