"""Columns as read -> `Table`: roles, targets, inputs, and a sentence for everything that was done."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ...errors import listed
from ..columns import choose_columns, clean_name, some
from ..raw import RawTable, refuse
from ..table import Table
from .inputs import encode_inputs
from .targets import encode_targets

__all__ = ["encode", "encode_frame"]


def encode(
    raw: RawTable,
    *,
    targets: Sequence[str] | None = None,
    inputs: Sequence[str] | None = None,
    drop: Sequence[str] = (),
) -> Table:
    """Turn columns into a table of numbers.

    Targets come first: they decide which rows are used (those complete in all of them), and the means that
    fill missing inputs are taken over these rows. What each kind of column becomes is said in
    `encode_targets` and `encode_inputs`, and in the table's `steps`.

    Args:
        raw: Columns as read.
        targets: Target columns in the order wanted; None takes the declared target set of the source.
        inputs: Input columns; None takes all others. Listed columns are kept even if they look like
            identifiers.
        drop: Columns that are not used.

    Returns:
        The table. Cost: O(rows x columns).

    Raises:
        DataError: With every problem found, see `choose_columns`, `encode_targets`, `encode_inputs`; or no
            input is left.
    """
    about = f"Table {raw.name!r}"
    if len(raw.frame) < 2:
        refuse(about, [f"At least two rows of data are needed, found {len(raw.frame)}."])
    target_names, input_names, unused = choose_columns(raw, targets, inputs, drop)
    encoded_targets = encode_targets(raw, target_names)
    encoded = encode_inputs(raw, input_names, encoded_targets.kept, named=inputs is not None)
    if not encoded.columns and not encoded.problems:
        why = " ".join([*encoded.steps, *encoded.warnings]) or "All columns are targets or dropped."
        encoded.problems.append(f"No input column is left. {why}")
    refuse(about, encoded.problems)

    steps = list(raw.steps)
    if unused:
        steps.append(f"Other columns of the declared target set are never inputs and were left out: {some(unused)}.")
    if drop:
        steps.append(f"Left out as asked: {listed(clean_name(name) for name in drop)}.")
    warnings = [*raw.warnings, *encoded_targets.warnings, *encoded.warnings]
    rows_used = int(encoded_targets.kept.sum())
    if len(encoded.columns) >= rows_used - 1:
        warnings.append(
            f"There are {len(encoded.columns)} inputs for {rows_used} rows: with so many, a linear model fits almost "
            f"any targets on the rows it was made from, so losses on these rows say little."
        )
    target_matrix, input_matrix = np.column_stack(encoded_targets.columns), np.column_stack(encoded.columns)
    warnings += _given_away(input_matrix, encoded.names, target_matrix, encoded_targets.tasks)
    return Table(
        name=raw.name,
        source=raw.source,
        inputs=input_matrix,
        input_names=tuple(encoded.names),
        targets=target_matrix,
        tasks=tuple(encoded_targets.tasks),
        units=tuple(encoded_targets.units),
        kinds=tuple(encoded_targets.kinds),
        rows=len(raw.frame),
        rows_used=rows_used,
        steps=(*steps, *encoded_targets.steps, *encoded.steps),
        warnings=tuple(warnings),
        sha256=raw.sha256,
    )


def _given_away(
    inputs: NDArray[np.float64], names: Sequence[str], targets: NDArray[np.float64], tasks: Sequence[str]
) -> list[str]:
    """A warning for each input that is a target up to unit, sign and origin (correlation 1 to 12 digits)."""
    scaled_inputs, scaled_targets = (
        (columns - columns.mean(axis=0)) / columns.std(axis=0) for columns in (inputs, targets)
    )
    correlations = np.abs(scaled_inputs.T @ scaled_targets) / len(inputs)
    return [
        f"Input {names[column]!r} is target {tasks[task]!r} up to unit, sign and origin: is it known before the target "
        f"is? If not, --drop it."
        for column, task in np.argwhere(correlations > 1 - 1e-12)
    ]


def encode_frame(
    frame: pd.DataFrame,
    *,
    targets: Sequence[str],
    inputs: Sequence[str] | None = None,
    drop: Sequence[str] = (),
    name: str = "frame",
    source: str = "a pandas DataFrame",
) -> Table:
    """Turn a pandas DataFrame into a table; the frame is not changed.

    Args:
        frame: Columns of numbers, booleans, texts or categories; NaN and None are missing.
        targets: Target columns.
        inputs: Input columns; None takes all others.
        drop: Columns that are not used.
        name: Of the table.
        source: Origin and licence in words.

    Returns:
        The table.

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
    names = [clean_name(column) for column in frame.columns]
    doubled = sorted({column for column in names if names.count(column) > 1})
    if doubled:
        refuse(
            f"Table {name!r}",
            [f"Column names must differ, found more than once: {listed(doubled)}. Rename them."],
        )
    renamed = frame.set_axis(names, axis=1).reset_index(drop=True)
    return encode(RawTable(renamed, name, source), targets=targets, inputs=inputs, drop=drop)
