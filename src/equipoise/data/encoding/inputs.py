"""Input columns -> float64 columns: numbers as they are, classes one-hot, missing values filled."""

import re
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..columns import option, some
from ..raw import RawTable
from .values import as_numbers, as_texts, beyond_double, constant, extreme, holds, stand_in

__all__ = ["MAX_LEVELS", "EncodedInputs", "encode_inputs"]

MAX_LEVELS = 50  # one-hot columns of one input; rarer levels share one column
_ID_NAME = re.compile(r"(^|[\W_])(id|idx|index|key|uuid|guid|row|rownum|nr|no)$|^unnamed: \d+$", re.IGNORECASE)
_ID_NAME_CAMEL = re.compile(r"[a-z](Id|ID)$")
_COUNTER_ROWS = 10  # fewer rows than this rise by chance too easily to be called a counter


@dataclass
class EncodedInputs:
    """Columns as they are collected.

    Attributes:
        columns: One (n,) array each, finite, none constant.
        names: One each.
        steps: What was done.
        warnings: What the reader should doubt.
        problems: What cannot be used.
        done: Column -> what was done to it, in a few words.
        left: Column that was left out -> why.
    """

    columns: list[NDArray[np.float64]] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    steps: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    done: dict[str, str] = field(default_factory=dict)
    left: dict[str, str] = field(default_factory=dict)

    def add(self, name: str, values: NDArray[np.float64]) -> None:
        """Append one column."""
        self.names.append(name)
        self.columns.append(values)


def encode_inputs(
    raw: RawTable, names: Sequence[str], kept: NDArray[np.bool_], named: bool, asked: Collection[str] = ()
) -> EncodedInputs:
    """Encode input columns over the rows that are used.

    Numbers stay as they are, booleans are 0 and 1; a missing one becomes the mean of those present, and a column
    "x missing" (0 or 1) is added (one for all columns that are missing in the same rows). Texts and classes become
    one 0/1 column a level, except the most frequent level, which the others are measured from; a missing text is a
    level of its own. With more than 50 levels the 49 most frequent are kept and the rest share "(other)". Columns
    that look like row numbers or identifiers are left out with a warning, unless the caller named the inputs.
    Constant columns are left out.

    Args:
        raw: The table.
        names: Input columns.
        kept: (rows,) which rows are used.
        named: Whether the caller listed these columns: then nothing is taken for an identifier.
        asked: Columns whose kind the caller named: the same holds for these.

    Returns:
        Columns, names, steps, warnings and problems (infinite values, columns whose numbers cannot be read
        for certain).
    """
    out = EncodedInputs()
    constants: list[str] = []
    empty: list[str] = []
    imputed: list[str] = []
    one_hot: list[str] = []
    dates: list[str] = []
    gaps: dict[bytes, str] = {}  # pattern of missing rows -> the column that was marked first
    for name in names:
        column = raw.frame[name]
        if name in raw.unclear:
            out.problems.append(raw.unclear[name])
            continue
        said = named or name in asked
        kind = holds(column)
        used = column if kept.all() else column[kept]
        if used.isna().all():
            empty.append(name)
            out.left[name] = "no value" if column.isna().all() else "no value in the rows that are used"
        elif kind == "dates":
            dates.append(name)
            out.left[name] = f"dates; {option('date', name)} makes numbers of them"
        elif kind == "classes":
            if not said and (reason := _text_identifier(column)):
                out.warnings.append(f"Input {name!r} was left out: {reason}. {_keep_text(name, column)}")
                out.left[name] = reason
                continue
            levels = _add_levels(out, name, as_texts(used))
            (one_hot if levels else constants).append(name)
            out.done[name] = f"{levels} 0/1 column{'' if levels == 1 else 's'}"
        else:
            values = as_numbers(used)
            if infinite := int(np.isinf(values).sum()):
                out.problems.append(
                    f"Input {name!r} must be finite, found {infinite} infinite value{'s' if infinite > 1 else ''}. "
                    "Leave such cells empty (missing values are filled and marked) or --drop this column."
                )
                continue
            if reason := extreme(values):
                out.problems.append(f"Input {name!r} {reason}. Give it in another unit or --drop this column.")
                continue
            if not said and kind == "numbers" and (reason := _number_identifier(name, as_numbers(column))):
                out.warnings.append(f"Input {name!r} was left out: {reason}. To use it: {option('numeric', name)}.")
                out.left[name] = reason
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
                constants.append(name)
            else:
                out.add(name, values)
    for pattern, name in gaps.items():
        out.add(f"{name} missing", np.frombuffer(pattern, dtype=np.bool_).astype(np.float64))
    out.left |= dict.fromkeys(constants, "constant")

    if one_hot:
        out.steps.append(f"Classes became one 0/1 column a level, measured from the most frequent: {some(one_hot)}.")
    if imputed:
        shown = ", ".join(imputed[:8]) + (f" and {len(imputed) - 8} more" if len(imputed) > 8 else "")
        out.steps.append(
            f"Missing inputs were filled with the column's mean and marked by {len(gaps)} extra 0/1 columns, "
            f"one for each set of rows: {shown}."
        )
    if constants:
        out.steps.append(f"Constant inputs were left out: {some(constants)}.")
    if empty:
        out.steps.append(f"Inputs without any value were left out: {some(empty)}.")
    if dates:
        out.warnings.append(
            f"Inputs that hold dates were left out: {some(dates)}. To use them as numbers (days since the first, hours "
            f"since midnight): {option('date', dates[0])}."
        )
    return out


def _add_levels(out: EncodedInputs, name: str, texts: list[str | None]) -> int:
    """Append the 0/1 columns of one class column; returns how many."""
    labels = ["(missing)" if text is None else text for text in texts]
    ranked = [level for level, _ in sorted(Counter(labels).items(), key=lambda item: (-item[1], item[0]))]
    if len(ranked) > MAX_LEVELS:
        frequent = set(ranked[: MAX_LEVELS - 1])
        out.steps.append(
            f"Input {name!r} has {len(ranked)} levels: the {MAX_LEVELS - 1} most frequent were kept, the "
            f"others share the level '(other)'."
        )
        labels = [label if label in frequent else "(other)" for label in labels]
        ranked = [level for level, _ in sorted(Counter(labels).items(), key=lambda item: (-item[1], item[0]))]
    array = np.array(labels, dtype=object)
    for level in sorted(ranked[1:]):
        out.add(f"{name}={level}", (array == level).astype(np.float64))
    return len(ranked) - 1


def _text_identifier(column: pd.Series) -> str:
    """Why a text column tells rows apart rather than describing them, or "". All rows of the file count."""
    texts = [text for text in as_texts(column) if text is not None]
    levels = len(set(texts))
    if levels <= 2 or 10 * levels < 9 * len(texts):
        return ""
    return f"{levels} different texts in {len(texts)} rows, so it tells rows apart (an identifier or free text)"


def _number_identifier(name: str, values: NDArray[np.float64]) -> str:
    """Why a column of whole numbers is an identifier or a row counter, or ""."""
    if len(values) < 3 or not np.isfinite(values).all() or not (values == np.round(values)).all():
        return ""
    if len(np.unique(values)) < len(values):
        return ""
    if _ID_NAME.search(name) or _ID_NAME_CAMEL.search(name):
        return "its name and its whole numbers, all different, are those of an identifier"
    steps = np.diff(values)
    if len(values) >= _COUNTER_ROWS and ((steps > 0).all() or (steps < 0).all()):
        return "its whole numbers rise or fall from row to row without a repeat, as a row counter's do"
    return ""


def _keep_text(name: str, column: pd.Series) -> str:
    levels = min(MAX_LEVELS, column.nunique(dropna=False)) - 1
    return f"As classes, {option('categorical', name)}, it would be {levels} inputs for {len(column)} rows."
