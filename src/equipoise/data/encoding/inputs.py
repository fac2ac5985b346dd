"""Input columns -> float64 columns: numbers as they are, classes one-hot, missing values filled."""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ...core.numbers import Array
from ..columns import option, some
from ..raw import RawTable
from .values import Encoded, as_numbers, beyond_double, constant, holds, stand_in, unfit

__all__ = ["MAX_LEVELS", "EncodedInputs", "encode_inputs", "number_identifier", "text_identifier"]

MAX_LEVELS = 50  # one-hot columns of one input; rarer levels share one column
_ID_NAME = re.compile(r"(?i:(^|[\W_])(id|idx|index|key|uuid|guid|row|rownum|nr|no)$|^unnamed: \d+$)|[a-z](Id|ID)$")
_COUNTER_ROWS = 10  # fewer rows than this rise by chance too easily to be called a counter


@dataclass
class EncodedInputs(Encoded):
    """Input columns."""

    problems: list[str] = field(default_factory=list)  # one sentence for each column that cannot be used
    left: dict[str, str] = field(default_factory=dict)  # column that was left out -> why


def encode_inputs(
    raw: RawTable, names: Sequence[str], kept: NDArray[np.bool_], named: bool, asked: Collection[str] = ()
) -> EncodedInputs:
    """Encode input columns over the rows that are used.

    Numbers stay as they are, booleans are 0 and 1; a missing one becomes the mean of those present, and a column
    "x missing" (0 or 1) is added (one for all columns that are missing in the same rows). Texts and classes become
    one 0/1 column a level, except the most frequent level, which the others are measured from; a missing text is a
    level of its own. With more than 50 levels the 49 most frequent are kept and the rest share "(other)". Columns
    that look like row numbers or identifiers are left out with a warning, unless the caller listed the inputs (`named`)
    or named the kind of the column (`asked`). Constant columns are left out.
    """
    out = EncodedInputs()
    imputed: list[str] = []
    one_hot: list[str] = []
    gaps: dict[bytes, str] = {}  # pattern of missing rows -> the column that was marked first
    for name in names:
        column = raw.frame[name]
        if name in raw.unclear:
            out.problems.append(raw.unclear[name])
            continue
        kind = holds(column)
        used = column if kept.all() else column[kept]
        guess = not named and name not in asked
        if used.isna().all():
            out.left[name] = "no value" if column.isna().all() else "no value in the rows that are used"
        elif kind == "dates":
            out.left[name] = f"dates; {option('date', name)} makes numbers of them"
        elif kind == "classes":
            if guess and (reason := text_identifier(column)):
                levels = min(MAX_LEVELS, column.astype(str).nunique()) - 1
                out.left[name] = reason
                out.warnings.append(
                    f"Input {name!r} was left out: {reason}. As classes, {option('categorical', name)}, it would be "
                    f"{levels} inputs for {len(column)} rows."
                )
            elif levels := _add_levels(out, name, used):
                one_hot.append(name)
                out.done[name] = f"{levels} 0/1 column{'' if levels == 1 else 's'}"
            else:
                out.left[name] = "constant"
        else:
            values = as_numbers(used)
            if reason := unfit(values):
                out.problems.append(f"Input {name!r} {reason}, or --drop this column.")
                continue
            if guess and kind == "numbers" and (reason := number_identifier(name, as_numbers(column))):
                out.left[name] = reason
                out.warnings.append(f"Input {name!r} was left out: {reason}. To use it: {option('numeric', name)}.")
                continue
            out.warnings += stand_in(name, values)
            missing = np.isnan(values)
            if missing.any():
                values = np.where(missing, values[~missing].mean(), values)
                imputed.append(f"{name!r} ({int(missing.sum())})")
                gaps.setdefault(missing.tobytes(), name)
                out.done[name] = "gaps filled with the mean and marked"
            if beyond_double(used):
                out.done[name] = "its smallest value was subtracted, so that no digit is lost"
            if constant(values):
                out.left[name] = "constant"
            else:
                out.add(name, values)
    for pattern, name in gaps.items():
        out.add(f"{name} missing", np.frombuffer(pattern, dtype=np.bool_).astype(np.float64))
    _say(out, one_hot, imputed, len(gaps))
    return out


def _say(out: EncodedInputs, one_hot: list[str], imputed: list[str], marks: int) -> None:
    if one_hot:
        out.steps.append(f"Classes became one 0/1 column a level, measured from the most frequent: {some(one_hot)}.")
    if imputed:
        shown = ", ".join(imputed[:8]) + (f" and {len(imputed) - 8} more" if len(imputed) > 8 else "")
        out.steps.append(
            f"Missing inputs were filled with the column's mean and marked by {marks} extra 0/1 columns, one for each "
            f"set of rows: {shown}."
        )
    for start, words in (("constant", "Constant inputs"), ("no value", "Inputs without any value")):
        if left := [name for name, why in out.left.items() if why.startswith(start)]:
            out.steps.append(f"{words} were left out: {some(left)}.")
    if dates := [name for name, why in out.left.items() if why.startswith("dates;")]:
        out.warnings.append(
            f"Inputs that hold dates were left out: {some(dates)}. To use them as numbers (days since the first, hours "
            f"since midnight): {option('date', dates[0])}."
        )


def _add_levels(out: EncodedInputs, name: str, column: pd.Series) -> int:
    """Append the 0/1 columns of one class column; returns how many."""
    labels = column.astype(object).where(column.notna(), "(missing)").astype(str)
    ranked = labels.value_counts(sort=False).sort_index().sort_values(ascending=False, kind="stable")
    if len(ranked) > MAX_LEVELS:
        out.steps.append(
            f"Input {name!r} has {len(ranked)} levels: the {MAX_LEVELS - 1} most frequent were kept, the others share "
            "the level '(other)'."
        )
        labels = labels.where(labels.isin(ranked.index[: MAX_LEVELS - 1]), "(other)")
    columns = pd.get_dummies(labels, dtype=np.float64)
    others = columns.drop(columns=columns.sum().idxmax())
    for level, values in others.items():
        out.add(f"{name}={level}", values.to_numpy())
    return others.shape[1]


def text_identifier(column: pd.Series) -> str:
    """Why a text column tells rows apart rather than describing them, or "". All rows of the file count."""
    texts = column.dropna().astype(str)
    levels, rows = texts.nunique(), len(texts)
    if levels <= 2 or 10 * levels < 9 * rows:
        return ""
    return f"{levels} different texts in {rows} rows, so it tells rows apart (an identifier or free text)"


def number_identifier(name: str, values: Array) -> str:
    """Why a column of whole numbers is an identifier or a row counter, or ""."""
    whole = len(values) >= 3 and bool(np.isfinite(values).all()) and bool((values == np.round(values)).all())
    if not whole or len(np.unique(values)) < len(values):
        return ""
    if _ID_NAME.search(name):
        return "its name and its unique whole numbers suggest an identifier"
    steps = np.diff(values)
    if len(values) >= _COUNTER_ROWS and ((steps > 0).all() or (steps < 0).all()):
        return "its whole numbers rise or fall from row to row without a repeat, as a row counter's do"
    return ""
