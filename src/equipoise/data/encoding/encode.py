"""Columns as read -> `Table`: roles, targets, inputs, and a sentence for each thing that was done."""

import re
from collections.abc import Sequence
from typing import Any, Literal, Unpack

import numpy as np
import pandas as pd

from ...core.numbers import Array, real_numbers
from ...core.records.columns import ColumnCard, Holds
from ...errors import DataError, listed
from ..columns import Roles, choose_columns, clean_name, column_names, some
from ..raw import RawTable, refuse
from ..reading import NOTHING_SAID, Reading, checked_reading
from ..table import Table
from .inputs import EncodedInputs, encode_inputs
from .prepare import prepared
from .row_codes import holding_out, row_codes
from .targets import EncodedTargets, encode_targets, identical, score_classes
from .values import holds

__all__ = ["encode", "encode_arrays", "encode_frame", "siblings"]

_BY_CHANCE = 0.1
"""Share of a pure-noise target that the inputs would explain by chance; a larger one is a warning."""
_SIBLING = re.compile(r"[\W_]*(\d+|[A-Za-z])$")


def encode(
    raw: RawTable,
    *,
    targets: Sequence[str] | None = None,
    inputs: Sequence[str] | None = None,
    drop: Sequence[str] = (),
    group: str | None = None,
    time: str | None = None,
    incomplete: bool = False,
    reading: Reading = NOTHING_SAID,
) -> Table:
    """Turn columns, as `prepared` returns them, into a table of numbers; the arguments are those of `load`.

    Targets come first: they decide which rows are used (those complete in all of them, or, if `incomplete`, those with
    any), and the means that fill missing inputs are taken over these rows. `encode_targets` and `encode_inputs`
    describe what each kind of column becomes.
    Listed inputs are kept even if they look like identifiers. Cost: O(rows x columns).

    Raises:
        DataError: With every problem found; or no input is left.
    """
    about = f"Table {raw.name!r}"
    if len(raw.frame) < 2:
        refuse(about, [f"At least two rows of data are needed, found {len(raw.frame)}."])
    kinds = {"numeric": reading["numeric"], "categorical": reading["categorical"], "date": reading["date"]}
    held = holding_out(about, group, time)
    kinds |= {option: (name,) for option, name in held.items()}
    if taken := [f"--{option} {name}" for option, name in held.items() if name in {*(targets or ()), *(inputs or ())}]:
        refuse(about, [f"Named in {listed(taken, '')} and in --targets or --inputs. Keep it in one of them."])
    roles = target_names, input_names, unused = choose_columns(
        raw, targets, inputs, [*drop, *(name for name in held.values() if name not in drop)], kinds
    )
    encoded_targets = encode_targets(raw, target_names, incomplete)
    held_out = {option: row_codes(raw, option, name, encoded_targets.kept) for option, name in held.items()}
    asked = {name for names in kinds.values() for name in names}
    encoded = encode_inputs(raw, input_names, encoded_targets.kept, inputs is not None, asked)
    if not encoded.columns and not encoded.problems:
        why = " ".join([*encoded.steps, *encoded.warnings]) or "All columns are targets or dropped."
        encoded.problems.append(f"No input column is left. {why}")
    refuse(about, encoded.problems)
    input_matrix = np.column_stack(encoded.columns)
    encoded.columns.clear()
    refuse(about, [*score_classes(encoded_targets, input_matrix), *identical(encoded_targets)])
    target_matrix = encoded_targets.filled()
    for matrix in (input_matrix, target_matrix):
        matrix.setflags(write=False)  # so that the table need not copy them

    steps = list(raw.steps)
    if unused:
        steps.append(f"Other columns of the declared target set are never inputs and were left out: {some(unused)}.")
    steps += [f"Column {name!r} says which rows are left out together ({option})." for option, name in held.items()]
    if drop:
        steps.append(f"Left out as asked: {listed(clean_name(name) for name in drop)}.")
    warnings = [*raw.warnings, *encoded_targets.warnings, *encoded.warnings]
    if inputs is None and not raw.declared:
        steps.append(f"Columns that were not named became inputs: {some(input_names)}.")
        warnings += siblings(target_names, [name for name in input_names if name not in encoded.left])
    rows_used = int(encoded_targets.kept.sum())
    fewest = (~np.isnan(target_matrix)).sum(axis=0)
    task = int(fewest.argmin())
    of_one = f" of {encoded_targets.names[task]!r}" if fewest[task] < rows_used else ""
    warnings += _by_chance(len(encoded.names), int(fewest[task]), of_one)
    warnings += _given_away(input_matrix, encoded.names, target_matrix, encoded_targets.names)
    return Table(
        name=raw.name,
        source=raw.source,
        inputs=input_matrix,
        input_names=tuple(encoded.names),
        targets=target_matrix,
        tasks=tuple(encoded_targets.names),
        units=tuple(encoded_targets.units),
        kinds=tuple(encoded_targets.kinds),
        rows=len(raw.frame),
        rows_used=rows_used,
        steps=(*steps, *encoded_targets.steps, *encoded.steps),
        warnings=tuple(warnings),
        sha256=raw.sha256,
        columns=_cards(raw, roles, encoded_targets, encoded),
        groups=held_out.get("group"),
        times=held_out.get("time"),
    )


def _cards(raw: RawTable, roles: Roles, targets: EncodedTargets, inputs: EncodedInputs) -> tuple[ColumnCard, ...]:
    """One card a column, in the order of the file."""
    named, used, unused = (set(names) for names in roles)
    words: dict[str, Holds] = {"booleans": "true/false", "numbers": "numbers", "classes": "classes", "dates": "dates"}
    cards = []
    gaps = raw.frame.isna().sum().tolist()
    for (name, column), missing in zip(raw.frame.items(), gaps, strict=True):
        name = str(name)  # noqa: PLW2901
        kind: Holds = "nothing" if missing == len(column) else words[holds(column)]
        role: Literal["target", "input", "left out"] = "left out"
        done = "another target of this set" if name in unused else "not used, as asked"
        if name in named:
            role, done = "target", targets.done.get(name, "")
        elif name in used and name in inputs.left:
            done = inputs.left[name]
            if kind == "classes" and done != "constant":
                kind = "text"
        elif name in used:
            role, done = "input", inputs.done.get(name, "")
        done = "; ".join(filter(None, (raw.notes.get(name), done)))
        cards.append(ColumnCard(name=name, role=role, holds=kind, missing=missing, done=done))
    return tuple(cards)


def _by_chance(inputs: int, rows: int, of_one: str) -> list[str]:
    """A doubt where inputs are many for the rows, or for those of the task that has fewest."""
    if inputs >= rows - 1:
        return [
            f"There are {inputs} inputs for {rows} rows{of_one}: with that many, a linear model fits almost any "
            "targets on the rows it was made from, so losses on these rows say little."
        ]
    share = inputs / (rows - 1)
    if share < _BY_CHANCE:
        return []
    return [
        f"There are {inputs} inputs for {rows} rows{of_one}: of a target of pure noise, a linear model would leave "
        f"{1 - share:.2f} on these rows, not 1.00, so losses here are too low by about that much, and say less about "
        "new rows."
    ]


def siblings(targets: Sequence[str], inputs: Sequence[str]) -> list[str]:
    """A doubt where an input that nobody named is called like a target: joint0 and joint1."""
    stems = {_SIBLING.sub("", name) for name in targets if len(name) > 1} - {""}
    alike = [name for name in inputs if len(name) > 1 and _SIBLING.sub("", name) in stems]
    if not alike:
        return []
    return [
        f"Inputs are called like targets: {some(alike)}. They were not named and became inputs; if they are known only "
        f"when the targets are, --drop them."
    ]


def _given_away(inputs: Array, names: Sequence[str], targets: Array, tasks: Sequence[str]) -> list[str]:
    """A warning for each input that is a target up to unit, sign and origin (correlation 1 to 12 digits)."""
    warnings = []
    known = ~np.isnan(targets)
    if not known.all():  # each target over the rows that have it
        for task, rows in enumerate(known.T):
            warnings += _given_away(inputs[rows], names, targets[rows, task : task + 1], tasks[task : task + 1])
        return warnings
    scaled = (targets - targets.mean(axis=0)) / targets.std(axis=0) / len(targets)
    for position, name in enumerate(names):  # one column at a time: a second copy of a large table is not needed
        column = inputs[:, position] - inputs[:, position].mean()
        correlations = np.abs(column @ scaled) / max(float(column.std()), np.finfo(np.float64).tiny)
        warnings += [
            f"Input {name!r} is target {tasks[int(task)]!r} up to unit, sign and origin: is it known before the target "
            "is? If not, --drop it."
            for task in np.flatnonzero(correlations > 1 - 1e-12)
        ]
    return warnings


def encode_frame(
    frame: pd.DataFrame,
    *,
    targets: Sequence[str],
    inputs: Sequence[str] | None = None,
    drop: Sequence[str] = (),
    group: str | None = None,
    time: str | None = None,
    incomplete: bool = False,
    name: str = "frame",
    source: str = "a pandas DataFrame",
    **reading: Unpack[Reading],
) -> Table:
    """Turn a pandas DataFrame into a table; the frame is not changed.

    Args:
        frame: Columns of numbers, booleans, texts or categories; NaN and None are missing.
        targets: Names of the target columns.
        inputs: Names of the input columns; None takes all others.
        drop: Columns that are not used.
        group: Column whose values say which rows belong together, as for `equipoise.data.load`.
        time: Column of numbers or dates that orders the rows, likewise.
        incomplete: Whether rows that miss some of the targets are kept, likewise.
        name: Name of the table.
        source: Origin and licence, as a phrase.
        **reading: Options about how columns are read: ``na``, ``decimal``, ``numeric``, ``date``, ...; see `Reading`.

    Raises:
        DataError: See `encode`; also where two columns have the same name.

    Example:
        >>> columns = {"x": [1, 2, None, 4], "c": list("abab"), "u": [1, 3, 2, 5], "v": [4, 1, 3, 2]}
        >>> frame = pd.DataFrame(columns)
        >>> table = encode_frame(frame, targets=["u", "v"])
        >>> table.input_names
        ('x', 'c=b', 'x missing')
        >>> table.inputs[2]
        array([2.33333333, 0. , 1. ])
    """
    how = checked_reading(reading)
    renamed = frame.set_axis(column_names(name, frame.columns), axis=1).reset_index(drop=True)
    raw = prepared(RawTable(renamed, name, source), how)
    return encode(
        raw, targets=targets, inputs=inputs, drop=drop, group=group, time=time, incomplete=incomplete, reading=how
    )


def encode_arrays(inputs: Any, targets: Any, incomplete: bool = False) -> Table:
    """Two arrays, tensors or data frames with the same rows as a table; NaN is missing.

    Args:
        inputs: (n, p), or (n,) for one input.
        targets: (n, k), one column a task.
        incomplete: Whether rows that miss some of the targets are kept, as for `equipoise.data.load`.

    Returns:
        The table; columns are called as in the frames, else ``x0``, ``x1``, ... and ``y0``, ``y1``, ...

    Raises:
        DataError: Not real numbers, another number of rows, or what `encode` refuses.

    Example:
        >>> encode_arrays([[1.0], [2], [4]], [[1, 3], [2, 2], [3, 7]])
        Table 'arrays': 3 of 3 rows, 1 inputs, 2 tasks ('y0', 'y1')
    """
    frames = []
    for values, letter, what in ((inputs, "x", "the inputs"), (targets, "y", "the targets")):
        if isinstance(values, pd.DataFrame):
            frames.append(values.set_axis([clean_name(name) for name in values.columns], axis=1).reset_index(drop=True))
            continue
        array = real_numbers(values, what, DataError, "give a data frame for columns of texts")
        array = array[:, None] if array.ndim == 1 else array
        if array.ndim != 2:
            raise DataError(f"{what} must be (rows, columns), found shape {array.shape}.")
        frames.append(pd.DataFrame(array, columns=[f"{letter}{number}" for number in range(array.shape[1])]))
    rows = [len(frame) for frame in frames]
    if rows[0] != rows[1]:
        raise DataError(f"inputs and targets must have the same rows, found {rows[0]} and {rows[1]}.")
    return encode_frame(
        pd.concat(frames, axis=1), targets=list(frames[1].columns), inputs=list(frames[0].columns),
        incomplete=incomplete, name="arrays", source="arrays in memory",
    )  # fmt: skip
