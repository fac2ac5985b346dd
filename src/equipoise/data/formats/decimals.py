"""Texts of a column -> numbers where they are numbers: points, decimal commas, commas between thousands."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from ..columns import some

__all__ = ["MISSING", "ReadColumns", "read_columns"]

MISSING = frozenset({"", "?", "NA", "N/A", "n/a", "#N/A", "NaN", "nan", "NAN", "NULL", "null"})
_TRUTH = {"true": True, "false": False}
_DECIMAL_COMMA = re.compile(r"[+-]?(\d{1,3}(\.\d{3})+|\d*),\d+([eE][+-]?\d+)?")
_THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2}(,\d{3})+(\.\d+)?")
_WHOLE = re.compile(r"[+-]?\d+([eE][+-]?\d+)?")


@dataclass
class ReadColumns:
    """Columns whose texts were read as what they are.

    Attributes:
        columns: Name -> numbers (float64), booleans or texts.
        unclear: Name -> why its numbers can be read in two ways.
        steps: What was done.
    """

    columns: dict[str, pd.Series] = field(default_factory=dict)
    unclear: dict[str, str] = field(default_factory=dict)
    steps: list[str] = field(default_factory=list)


def read_columns(texts: Mapping[str, pd.Series]) -> ReadColumns:
    """Read each column as numbers, true/false or text.

    A column is numbers if every present value is one. "1,5" and "0,640" are numbers with a decimal comma; "1,234"
    could also mean one thousand two hundred thirty-four. It is read with a decimal comma if some other value
    of the table can only be that, as thousands if some value of its column can only be that, and is unclear
    otherwise.

    Args:
        texts: Name -> column of texts.

    Returns:
        Columns read, those that are unclear, and sentences about commas and marks of missing values.
    """
    out = ReadColumns()
    marks: dict[str, int] = {}
    commas: dict[str, pd.Series] = {}
    for name, column in texts.items():
        stripped = column.str.strip()
        missing = stripped.isin(MISSING)
        for mark, count in stripped[missing & (stripped != "")].value_counts().items():
            marks[str(mark)] = marks.get(str(mark), 0) + int(count)
        present = stripped.mask(missing)
        values = present[~missing]
        numbers = pd.to_numeric(values, errors="coerce")
        if numbers.notna().all():
            out.columns[name] = numbers.astype(np.float64).reindex(present.index)
        elif values.str.lower().isin(_TRUTH.keys()).all():
            out.columns[name] = present.str.lower().map(_TRUTH)
        else:
            out.columns[name] = present
            if _all_match(values, _DECIMAL_COMMA, _THOUSANDS, _WHOLE):
                commas[name] = values
    _read_commas(out, commas)
    if marks:
        shown = ", ".join(f"{mark!r} ({count})" for mark, count in sorted(marks.items()))
        out.steps.append(f"Taken as missing besides empty cells: {shown}.")
    return out


def _read_commas(out: ReadColumns, commas: Mapping[str, pd.Series]) -> None:
    """Columns whose values hold commas: decide which kind, by the values that allow one reading only."""
    decimal: list[str] = []
    thousands: list[str] = []
    possible = {
        name: (_all_match(values, _DECIMAL_COMMA, _WHOLE), _all_match(values, _THOUSANDS, _WHOLE))
        for name, values in commas.items()
    }
    decimal_elsewhere = any(decimals and not thousand for decimals, thousand in possible.values())
    for name, (may_be_decimal, may_be_thousands) in possible.items():
        values = commas[name]
        if may_be_decimal and (not may_be_thousands or decimal_elsewhere):
            decimal.append(name)
            read = values.str.replace(".", "", regex=False).str.replace(",", ".", regex=False)
        elif may_be_thousands and not may_be_decimal:
            thousands.append(name)
            read = values.str.replace(",", "", regex=False)
        elif may_be_decimal and may_be_thousands:
            example = str(values[values.str.contains(",", regex=False)].iloc[0])
            out.unclear[name] = (
                f"Column {name!r} holds {example!r}: a decimal comma ({example.replace(',', '.')}) or a "
                f"comma between thousands ({example.replace(',', '')})? Write it one of these two ways in "
                f"the file, or --drop the column."
            )
            continue
        else:
            continue
        out.columns[name] = pd.to_numeric(read).astype(np.float64).reindex(out.columns[name].index)
    if decimal:
        out.steps.append(f"Read with a decimal comma (1,5 is 1.5): {some(decimal)}.")
    if thousands:
        out.steps.append(f"Read with commas between thousands (1,234,567 is 1234567): {some(thousands)}.")


def _all_match(values: pd.Series, *patterns: re.Pattern[str]) -> bool:
    return all(any(pattern.fullmatch(value) for pattern in patterns) for value in values)
