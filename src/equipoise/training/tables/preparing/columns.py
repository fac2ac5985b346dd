"""What the columns of a table are for a training: which are inputs and targets, and what each holds."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import pandas as pd

from ....core.records.columns import ColumnCard
from ....core.records.columns import Holds as Shown
from ....data.columns import choose_columns, option, some
from ....data.encoding.encode import siblings
from ....data.encoding.inputs import number_identifier, text_identifier
from ....data.encoding.targets import unusable
from ....data.encoding.values import as_floats, as_numbers, constant, holds, stand_in, unfit
from ....data.raw import RawTable, refuse
from ....data.reading import NOTHING_SAID, Reading
from ....errors import listed

__all__ = ["Columns", "Kind", "Target", "input_kind", "look_at", "number_label"]

Kind = Literal["numbers", "booleans", "classes", "dates", "hours"]
"""What an input holds: ``dates`` are points in time, ``hours`` times of day or durations."""


@dataclass(frozen=True)
class Target:
    """One target column.

    Attributes:
        name: Name in the table's header.
        kind: What is predicted.
        holds: What its cells are; predictions are given back as the same.
        classes: Its classes as texts, sorted; of an ordered category in its order. Empty for regression.
        unit: Unit as far as it is known, or "".
    """

    name: str
    kind: Literal["regression", "binary", "classes"]
    holds: Kind
    classes: tuple[str, ...] = ()
    unit: str = ""


@dataclass
class Columns:
    """The roles of a table's columns.

    Attributes:
        targets: One a target column.
        inputs: Input column -> what it holds.
        cards: One a column of the table, in its order.
        steps: What was done, one sentence each.
        warnings: What the reader should doubt, one sentence each.
    """

    targets: list[Target] = field(default_factory=list)
    inputs: dict[str, Kind] = field(default_factory=dict)
    cards: tuple[ColumnCard, ...] = ()
    steps: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def number_label(value: float) -> str:
    """A number as the name of a class; the number can be read back.

    Example:
        >>> number_label(1.0), number_label(0.25)
        ('1', '0.25')
    """
    return f"{value:.15g}"


def input_kind(column: pd.Series) -> Kind:
    """What a column holds; times of day are told from dates."""
    kind = holds(column)
    return "hours" if kind == "dates" and pd.api.types.is_timedelta64_dtype(column.dtype) else kind


def look_at(
    raw: RawTable,
    *,
    targets: Sequence[str] | None,
    inputs: Sequence[str] | None = None,
    drop: Sequence[str] = (),
    group: str | None = None,
    time: str | None = None,
    reading: Reading = NOTHING_SAID,
) -> Columns:
    """Sort the columns of a table, as ``prepared(..., times=True)`` returns it, into targets and inputs.

    Types and roles come from the whole table; whatever is computed from values (medians, classes that are kept) is left
    to the preparation, which sees training rows only. Rows with some missing targets are kept. The columns of `group`
    and `time` are inputs only if `inputs` names them.

    Raises:
        DataError: With every problem found.
    """
    about, frame, out = f"Table {raw.name!r}", raw.frame, Columns(steps=list(raw.steps), warnings=list(raw.warnings))
    if len(frame) < 2:
        refuse(about, [f"At least two rows of data are needed, found {len(frame)}."])
    dividing = [name for name in (group, time) if name is not None]
    kinds = {"numeric": reading["numeric"], "categorical": reading["categorical"], "date": reading["date"]}
    named = {**kinds, **({"group": [group]} if group else {}), **({"time": [time]} if time else {})}
    chosen, given, unused = choose_columns(raw, targets, inputs, drop, named)
    problems = [f"{name!r} is a target and cannot divide the rows too." for name in dividing if name in chosen]
    left: dict[str, str] = dict.fromkeys(unused, "another target of this set")
    if inputs is None:
        left |= {name: f"divides the rows ({'--group' if name == group else '--time'})" for name in dividing}
        given = [name for name in given if name not in left]

    for name in chosen:
        problems += _add_target(out, raw, name, number=name in reading["numeric"])
    problems += _twins(out, frame)
    asked = {name for names in kinds.values() for name in names}
    for name in given:
        column = frame[name]
        if name in raw.unclear:
            problems.append(raw.unclear[name])
        elif reason := _left_out(name, column, guess=inputs is None and name not in asked):
            left[name] = reason
            if reason not in ("constant", "no value"):
                out.warnings.append(f"Input {name!r} was left out: {reason}. To use it, name it in --inputs.")
        else:
            kind = input_kind(column)
            values = as_numbers(column) if kind == "numbers" else None
            if values is not None and (reason := unfit(values)):
                problems.append(f"Input {name!r} {reason}, or {option('drop', name)}.")
                continue
            out.inputs[name] = kind
            out.warnings += stand_in(name, values) if values is not None else []
    if not out.inputs and not problems:
        problems.append("No input column is left. " + (" ".join(out.warnings) or "All columns are targets or dropped."))
    refuse(about, problems)
    if inputs is None and not raw.declared:
        out.warnings += siblings(chosen, list(out.inputs))
    out.cards = _cards(raw, out, left)
    _say(out, raw, left)
    return out


def _add_target(out: Columns, raw: RawTable, name: str, *, number: bool) -> list[str]:
    """Append one target, as a number even of two values where the caller said so; returns what forbids it."""
    column = raw.frame[name]
    present = column.dropna()
    if name in raw.unclear:
        return [raw.unclear[name]]
    if present.empty:
        return [f"Targets must hold values, found none at all in {name!r}. Take it out of --targets."]
    if reason := unusable(name, column):
        return [reason]
    kind, unit = input_kind(column), raw.units.get(name, raw.written_in.get(name, ""))
    if kind == "numbers":
        values = as_floats(present)
        out.warnings += stand_in(name, values)
        levels = np.unique(values)
        if constant(values):
            return [_constant(name, f"{levels[0]:g}", len(values))]
        if len(levels) > 2 or number or len(values) == 2:
            out.targets.append(Target(name, "regression", kind, unit=unit))
            return []
        labels = [number_label(float(level)) for level in levels]
        texts = pd.Series([number_label(value) for value in values.tolist()])
    else:
        texts = present.astype(str)
        ordered = isinstance(column.dtype, pd.CategoricalDtype) and bool(column.cat.ordered)
        found = set(texts)
        labels = [str(level) for level in column.cat.categories if str(level) in found] if ordered else sorted(found)
        if len(labels) == 1:
            return [_constant(name, labels[0], len(texts))]
    out.targets.append(Target(name, "binary" if len(labels) == 2 else "classes", kind, tuple(labels), unit))
    sizes = texts.value_counts()
    if few := [f"{label!r} ({sizes[label]})" for label in labels if sizes[label] < 10]:
        out.warnings.append(
            f"Target {name!r} has classes of fewer than 10 rows: {', '.join(few)}. A part of the table may hold none "
            "of them, and losses may change with a single row."
        )
    return []


def _constant(name: str, value: str, rows: int) -> str:
    return (
        f"Target {name!r} is {value!r} in all {rows} rows that hold it: nothing to predict. Take it out of --targets."
    )


def _twins(out: Columns, frame: pd.DataFrame) -> list[str]:
    """Targets that are equal in every row."""
    seen: dict[bytes, str] = {}
    problems = []
    for target in out.targets:
        key = pd.util.hash_pandas_object(frame[target.name].astype(object), index=False).to_numpy().tobytes()
        first = seen.setdefault(key, target.name)
        if first != target.name:
            problems.append(f"Targets {first!r} and {target.name!r} are identical in every row. Keep one.")
    return problems


def _left_out(name: str, column: pd.Series, *, guess: bool) -> str:
    """Why an input column is not used, or ""."""
    present = column.dropna()
    if present.empty:
        return "no value"
    if present.nunique() == 1 and len(present) == len(column):
        return "constant"
    if guess and holds(column) == "classes":
        return text_identifier(column)
    if guess and holds(column) == "numbers":
        return number_identifier(name, as_numbers(column))
    return ""


def _say(out: Columns, raw: RawTable, left: dict[str, str]) -> None:
    for target in out.targets:
        missing = int(raw.frame[target.name].isna().sum())
        if missing:
            out.steps.append(
                f"Target {target.name!r} is missing in {missing} of {len(raw.frame)} rows; these rows serve the other "
                "targets."
            )
    if left:
        out.steps.append(f"Not used as inputs: {some([f'{name} ({why})' for name, why in left.items()])}.")
    if dates := [name for name, kind in out.inputs.items() if kind == "dates"]:
        out.steps.append(f"Dates became days since 1970, weekday, month and hour of day: {listed(dates)}.")


def _cards(raw: RawTable, out: Columns, left: dict[str, str]) -> tuple[ColumnCard, ...]:
    words: dict[Kind, Shown] = {
        "booleans": "true/false", "numbers": "numbers", "classes": "classes", "dates": "dates", "hours": "dates",
    }  # fmt: skip
    targets = {target.name: target for target in out.targets}
    cards = []
    for name, column in raw.frame.items():
        name = str(name)  # noqa: PLW2901
        missing = int(column.isna().sum())
        shown: Shown = "nothing" if missing == len(column) else words[input_kind(column)]
        role: Literal["target", "input", "left out"] = "left out"
        done = left.get(name, "not used, as asked")
        if name in targets:
            target = targets[name]
            role, done = "target", "a number" if target.kind == "regression" else f"{len(target.classes)} classes"
        elif name in out.inputs:
            role, done = "input", ""
        elif shown == "classes" and done not in ("constant", "not used, as asked"):
            shown = "text" if "different texts" in done else shown
        done = "; ".join(filter(None, (raw.notes.get(name), done)))
        cards.append(ColumnCard(name=name, role=role, holds=shown, missing=missing, done=done))
    return tuple(cards)
