"""Target columns -> tasks, one each: numbers as they are, classes as scores; which rows are used for them."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ...core.names import doubled
from ...core.numbers import Array
from ...errors import listed
from ..columns import option, some
from ..raw import RawTable, refuse
from ..table import CLASSES, REGRESSION
from .scores import FEW_ROWS, best_scores
from .values import Encoded, as_numbers, beyond_double, constant, holds, stand_in, unfit

__all__ = ["MAX_CLASSES", "EncodedTargets", "encode_targets", "identical", "score_classes", "unusable"]

MAX_CLASSES = 20  # levels of one target; more is free text


@dataclass
class EncodedTargets(Encoded):
    """Target columns, one a task."""

    # (rows,) the rows that are used: complete in all targets, or, where asked for, with any of them
    kept: NDArray[np.bool_] = field(default_factory=lambda: np.ones(0, dtype=np.bool_))
    # (used rows,) a task: where it has a value; the columns hold these values only, until `filled` puts NaN between
    present: list[NDArray[np.bool_]] = field(default_factory=list)
    units: list[str] = field(default_factory=list)  # one a task
    kinds: list[str] = field(default_factory=list)  # one a task
    # task -> its classes, and the class of each row; its column waits for the inputs (`score_classes`)
    unscored: dict[int, tuple[list[str], NDArray[np.intp]]] = field(default_factory=dict)

    def add_task(self, task: str, values: Array, unit: str, kind: str) -> None:
        """Append one task."""
        self.add(task, values)
        self.units.append(unit)
        self.kinds.append(kind)

    def filled(self) -> Array:
        """(used rows, k) targets, NaN where a row misses one."""
        table = np.full((int(self.kept.sum()), len(self.columns)), np.nan)
        for place, (column, present) in enumerate(zip(self.columns, self.present, strict=True)):
            table[present, place] = column
        return table


def encode_targets(raw: RawTable, names: Sequence[str], incomplete: bool = False) -> EncodedTargets:
    """Encode target columns over the rows that are complete in all of them; if `incomplete`, with any of them.

    Each column is one task. Two classes are the task "column=level" (the level that sorts last is 1). More, at most
    20, are scores: 0, 1, 2, ... for an ordered category, else those that `score_classes` finds once the inputs are
    known. A column of numbers with just two values is labelled as classes, its numbers kept.

    Raises:
        DataError: A target is constant, free text, a date, infinite, without any value, identical to another; no or
            one row is complete, or, if `incomplete`, has a target; fewer than two tasks, or more tasks than rows. One
            message holds all problems.
    """
    about = f"Table {raw.name!r}"
    frame = raw.frame[list(names)]
    problems = [raw.unclear[name] for name in names if name in raw.unclear]
    empty = [name for name in names if frame[name].isna().all()]
    if empty:
        problems.append(f"Targets must hold values, found none at all in {listed(empty)}. Take them out of --targets.")
    problems += [
        reason
        for name in names
        if name not in empty and name not in raw.unclear and (reason := unusable(name, frame[name]))
    ]
    refuse(about, problems)

    known = frame.notna()
    whole = known.all(axis=1).to_numpy(dtype=np.bool_)
    out = EncodedTargets(kept=known.any(axis=1).to_numpy(dtype=np.bool_) if incomplete else whole)
    rows, used = len(frame), int(out.kept.sum())
    if used < 2:
        counts = ", ".join(f"{name!r} {count}" for name, count in known.sum().items())
        what = "have a target" if incomplete else "be complete in all targets"
        refuse(
            about,
            [
                f"At least two rows must {what}, found {used} of {rows}. Rows with a value: {counts}. "
                "Name fewer targets."
            ],
        )
    _say_gaps(out, known, int(whole.sum()))

    for name in names:
        present = known[name][out.kept].to_numpy(dtype=np.bool_)
        out.present.append(present)
        problems += _add_task(out, name, frame[name][out.kept][present], raw.units.get(name, ""))
    if twice := doubled(out.names):
        problems.append(f"Two tasks would both be called {listed(twice)}. Rename one of the target columns.")
    if not problems and len(out.names) < 2:
        problems.append(
            f"Trade-offs need two or more tasks, found one: {listed(out.names)}. Name another column: "
            f"--targets {names[0]},... Columns: {some([str(column) for column in raw.frame.columns])}."
        )
    if len(out.names) > used:
        problems.append(
            f"There must be at least as many rows as targets, found {len(out.names)} targets and {used} rows. Name "
            "fewer targets, or see whether the table lies on its side."
        )
    refuse(about, problems)
    return out


def _say_gaps(out: EncodedTargets, known: pd.DataFrame, whole: int) -> None:
    """What is said of missing targets: which rows are used, and what rests on few of them."""
    rows, used, present = len(known), int(out.kept.sum()), known.sum()
    gaps = ", ".join(f"{name!r} {rows - count}" for name, count in present.items() if count < rows)
    if used > whole:
        counts = ", ".join(f"{name!r} {count}" for name, count in present.items())
        out.steps.append(
            f"{used} of {rows} rows have a target and were used; {whole} are complete in all of them. Rows with a "
            f"value: {counts}."
        )
    elif used < rows:
        share = f"({100 * used / rows:.0f} %)"
        out.steps.append(f"{used} of {rows} rows are complete in the targets and were used {share}. Missing: {gaps}.")
    if 2 * whole < rows:
        what = (
            "each task's predictions were fitted to its own rows and then compared over all of them"
            if used > whole
            else "the verdict speaks of these rows"
        )
        out.warnings.append(
            f"Under half of the rows ({whole} of {rows}) are complete in the targets: {what}, and its range over "
            "resampled rows is shown with it."
        )


def unusable(name: str, column: pd.Series) -> str:
    """Why a column is unfit as a target, whichever rows are used, or ""."""
    kind = holds(column)
    if kind == "dates":
        return (
            f"Target {name!r} holds dates. To have it as numbers, days since the first date or hours since midnight: "
            f"{option('date', name)}."
        )
    if kind == "numbers" and (reason := unfit(as_numbers(column))):
        return f"Target {name!r} {reason}."
    if kind == "classes":
        texts = column.dropna().astype(str)
        levels = sorted(texts.unique())
        if len(levels) > MAX_CLASSES or (len(levels) > 2 and 2 * len(levels) > len(texts)):
            return (
                f"Target {name!r} is free text: {len(levels)} different values in {len(texts)} rows, such as "
                f"{some(levels, 3)}. A target must be numbers or at most {MAX_CLASSES} classes that repeat."
            )
    return ""


def _add_task(out: EncodedTargets, name: str, column: pd.Series, unit: str) -> list[str]:
    """Append the task of one column; returns what forbids it."""
    if holds(column) == "numbers":
        values = as_numbers(column)
        if constant(values):
            return [_constant(out, name, f"{values[0]:g}", len(values))]
        out.warnings += stand_in(name, values)
        if beyond_double(column):
            out.done[name] = "its smallest value was subtracted, so that no digit is lost"
        levels, sizes = np.unique(values, return_counts=True)
        two = len(levels) == 2 < len(values)
        out.add_task(name, values, unit, CLASSES if two else REGRESSION)
        if two:
            out.steps.append(f"Target {name!r} has two values ({levels[0]:g}, {levels[1]:g}): {CLASSES}.")
            _doubt_few(out, name, [f"{level:g}" for level in levels], sizes)
        return []
    ordered = isinstance(column.dtype, pd.CategoricalDtype) and bool(column.cat.ordered)
    texts = [str(value) for value in column]
    found = set(texts)
    labels = [label for label in map(str, column.cat.categories) if label in found] if ordered else sorted(found)
    if len(labels) == 1:
        return [_constant(out, name, labels[0], len(texts))]
    codes = pd.Categorical(texts, categories=labels).codes.astype(np.intp)
    if len(labels) == 2:
        _doubt_few(out, name, labels, np.bincount(codes))
        out.add_task(f"{name}={labels[1]}", codes.astype(np.float64), "", CLASSES)
        out.done[name] = f"1 where it is {labels[1]!r}, else 0"
        out.steps.append(f"Target {name!r} has two classes: {CLASSES}, {out.names[-1]!r}.")
        return []
    if ordered:
        out.done[name] = f"0 to {len(labels) - 1} in the order {' < '.join(labels)}"
        out.steps.append(f"Target {name!r} has {len(labels)} classes with an order; it is one task: {out.done[name]}.")
    else:
        out.unscored[len(out.names)] = labels, codes
    out.add_task(name, codes.astype(np.float64), "", CLASSES)
    return []


def _doubt_few(out: EncodedTargets, name: str, labels: Sequence[str], sizes: NDArray[np.int64]) -> None:
    if few := _sized(labels, sizes, most=FEW_ROWS - 1):
        out.warnings.append(
            f"Target {name!r} rests on a class of fewer than {FEW_ROWS} rows, {listed(few, '')}: results for it "
            "may change with a single row."
        )


def _sized(labels: Sequence[str], sizes: NDArray[np.int64], most: float = np.inf) -> list[str]:
    return [f"{label} ({size})" for label, size in zip(labels, sizes, strict=True) if size <= most]


def score_classes(out: EncodedTargets, inputs: Array) -> list[str]:
    """Give each target of classes without an order its `best_scores`, over classes of 10 rows or more.

    What is returned are problems: targets without two classes that are large enough.
    """
    problems = []
    for task, (labels, codes) in out.unscored.items():
        name = out.names[task]
        known = inputs if out.present[task].all() else inputs[out.present[task]]
        sizes = np.bincount(codes, minlength=len(labels))
        large = np.flatnonzero(sizes >= FEW_ROWS)
        if len(large) < 2:
            problems.append(
                f"Target {name!r} must have two classes of {FEW_ROWS} rows or more, found "
                f"{some(_sized(labels, sizes), 8)}. Join classes in the file, or take it out of --targets."
            )
            continue
        place = np.full(len(labels), -1, dtype=np.intp)
        place[large] = np.arange(len(large))
        scores = np.zeros(len(labels))
        scores[large] = best_scores(place[codes], len(large), known)
        out.columns[task] = scores[codes]
        shown = ", ".join(f"{labels[level]} {scores[level]:.2f}" for level in large[np.argsort(scores[large])])
        out.done[name] = f"one score a class: {shown}"
        out.steps.append(
            f"Target {name!r} has {len(labels)} classes without an order; it is one task, its classes scored so that "
            f"the inputs predict them best (first canonical variate): {shown}. For one task a class, give 0/1 columns."
        )
        if few := _sized(labels, sizes, most=FEW_ROWS - 1):
            out.warnings.append(
                f"Classes of {name!r} with fewer than {FEW_ROWS} rows do not count and score the mean, 0: "
                f"{listed(few, '')}."
            )
    return problems


def _constant(out: EncodedTargets, name: str, value: str, rows: int) -> str:
    which = "that are complete in the targets" if out.present[-1].all() else "that have it"
    return (
        f"Target {name!r} is constant: {value!r} in all {rows} rows {which}. There is nothing "
        "to predict; take it out of --targets."
    )


def identical(out: EncodedTargets) -> list[str]:
    """Name pairs of equal tasks; pairs that are equal up to unit and origin are a warning."""
    problems = []
    standardised = np.zeros((len(out.columns), int(out.kept.sum())))
    for place, (column, present) in enumerate(zip(out.columns, out.present, strict=True)):
        standardised[place, present] = (column - column.mean()) / column.std()
    rows = np.array(out.present, dtype=np.float64).sum(axis=1)
    alike = np.abs(standardised @ standardised.T) / np.sqrt(np.outer(rows, rows)) > 1 - 1e-6
    for i, j in np.argwhere(np.triu(alike, k=1)):  # only tasks with a value in the same rows can be
        pair = f"{out.names[i]!r} and {out.names[j]!r}"
        first, second = standardised[i], standardised[j]
        if np.array_equal(out.columns[i], out.columns[j]):
            problems.append(f"Targets {pair} are identical in every row. Keep one: between them is nothing to trade.")
        elif min(np.abs(first - second).max(), np.abs(first + second).max()) < 1e-9:
            out.warnings.append(f"Targets {pair} are the same up to unit, sign and origin: they count as one task.")
    return problems
