"""Columns as a reader found them -> columns as they are meant: numbers, true/false, dates, classes; all of it said."""

import re
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..columns import cut, option, some
from ..raw import RawTable
from ..reading import Reading
from .dates import as_times, days
from .decimals import decide, number
from .spelled import Spelled, spelled

__all__ = ["MARKS", "MISSING", "prepared"]

MISSING = frozenset({"", "?", "NA", "N/A", "n/a", "#N/A", "NaN", "nan", "NAN", "NULL", "null"})
MARKS = frozenset(
    {"-", "--", "---", ".", "..", "*", "None", "none", "NONE", "nil", "na", "n.a.", "N.A.",
     "k.A.", "<NA>", "(null)", "\\N",
     "#DIV/0!", "#VALUE!", "#REF!", "#NUM!", "#NAME?", "missing", "Missing", "-nan", "#N/A N/A"}
)  # fmt: skip
"""Missing where every other value of a column is a number or a date; a class elsewhere."""

_TRUTH = {"true": True, "false": False}
_HEX = re.compile(r"0[xX][0-9a-fA-F]+")
_INFINITE = re.compile(r"[+-]?inf(inity)?", re.IGNORECASE)
_UNITS, _WITH_UNITS = 4, 10  # a few units on many numbers are not classes


@dataclass
class _Texts:
    """A column of texts: its different values, how often each occurs, and which rows hold it (-1: none)."""

    levels: list[str]
    counts: NDArray[np.int64]
    codes: NDArray[np.intp]
    index: pd.Index

    @classmethod
    def of(cls, column: pd.Series) -> "_Texts":
        if not isinstance(column.dtype, pd.CategoricalDtype):
            column = column.map(lambda value: value if isinstance(value, str) else str(value), na_action="ignore")
            column = column.astype("category")
        stripped = pd.Index(column.cat.categories).astype(str).str.strip()
        merged, levels = pd.factorize(stripped)
        raw = column.cat.codes.to_numpy()
        codes = np.where(raw >= 0, merged[raw] if len(merged) else raw, -1).astype(np.intp)
        counts = np.bincount(codes[codes >= 0], minlength=len(levels))
        return cls([str(level) for level in levels], counts, codes, column.index)

    def spread(self, values: Mapping[str, object], dtype: type = np.float64) -> pd.Series:
        """One value a row; NaN where the level has none."""
        table: NDArray[Any] = np.array([values.get(level, np.nan) for level in self.levels] + [np.nan], dtype=dtype)
        return pd.Series(table[self.codes], index=self.index)

    def classes(self, missing: Collection[str]) -> pd.Series:
        kept = [level for level in self.levels if level not in missing]
        place = {level: position for position, level in enumerate(kept)}
        codes = np.array([place.get(level, -1) for level in self.levels] + [-1])[self.codes]
        return pd.Series(pd.Categorical.from_codes(codes, categories=pd.Index(kept)), index=self.index)


@dataclass
class _Prepared:
    columns: dict[str, pd.Series] = field(default_factory=dict)
    unclear: dict[str, str] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)
    steps: list[str] = field(default_factory=list)
    marks: Counter[str] = field(default_factory=Counter)

    def note(self, name: str, words: str) -> None:
        self.notes[name] = "; ".join(filter(None, (self.notes.get(name), words)))

    def count(self, name: str, marks: Mapping[str, int]) -> None:
        """Count marks of missing values, and say so for the column."""
        self.marks.update(marks)
        if marks:
            self.note(name, f"{', '.join(map(repr, sorted(marks)))} taken as missing")


def prepared(raw: RawTable, reading: Reading) -> RawTable:
    """Read the texts of a table as what they are meant to be, and apply what the caller said of its columns.

    A column of texts is numbers if every value is one, written in whatever way `spelled` and `decide` know and with one
    unit, apart from marks of missing values. Where only most values are numbers, the column is unclear: it is refused
    where it is used, with the values in question. Dates become times. All else stays classes.

    Args:
        raw: As a reader made it.
        reading: What the caller said.

    Returns:
        The same table with columns of numbers, booleans, times and classes, and `notes` and `unclear` filled in.
    """
    out = _Prepared()
    for name, marks in raw.marks.items():
        out.count(name, marks)
    frame = raw.frame
    said = {*reading["date"], *reading["categorical"]}
    texts: dict[str, _Texts] = {}
    plain = 0
    for name in map(str, frame.columns):
        found = frame[name]
        if isinstance(found.dtype, np.dtype) and found.dtype.kind in "iufb" and name not in said and not reading["na"]:
            plain += 1
            out.columns[name] = found
        elif name in raw.texts or _is_text(found):
            texts[name] = _Texts.of(found)
        else:
            _typed(out, name, found, reading)
    spellings = {name: _numbers(out, name, column, reading) for name, column in texts.items()}
    cores = {
        name: sorted({read.core for read in spelling.values() if not _INFINITE.fullmatch(read.core)})
        for name, spelling in spellings.items()
        if spelling
    }
    decided = decide(cores, reading, decimal_comma=raw.decimal_comma)
    for name, column in texts.items():
        spelling = spellings[name]
        if name in out.columns or name in out.unclear:
            continue
        if name in decided.unclear:
            out.unclear[name] = decided.unclear[name]
        elif name in decided.styles:
            if decided.styles[name] != (".", ""):
                out.note(
                    name, "decimal {!r}, thousands {!r}".format(*decided.styles[name]).replace(", thousands ''", "")
                )
            _as_numbers(
                out, name, column, {level: number(s.core, decided.styles[name]) for level, s in spelling.items()}
            )
            continue
        elif name in reading["numeric"] or (spelling and (reading["decimal"] or reading["thousands"])):
            out.unclear[name] = f"Column {name!r} cannot be read as numbers; it holds {some(column.levels, 3)}."
        _as_classes(out, name, column, reading)
    for name in out.unclear:
        out.columns.setdefault(name, texts[name].classes(MISSING))
    steps = [*raw.steps, *out.steps, *decided.steps]
    if out.marks:
        shown = ", ".join(f"{mark!r} ({count})" for mark, count in sorted(out.marks.items()))
        steps.append(f"Taken as missing besides empty cells: {shown}.")
    if plain < frame.shape[1]:
        ordered = {name: out.columns[name] for name in map(str, frame.columns)}
        frame = pd.DataFrame(ordered, index=frame.index, copy=False)
    return replace(
        raw,
        frame=frame,
        unclear={**raw.unclear, **out.unclear},
        notes={**raw.notes, **out.notes},
        steps=tuple(steps),
    )


def _is_text(column: pd.Series) -> bool:
    if column.dtype != object:
        return pd.api.types.is_string_dtype(column.dtype) and not isinstance(column.dtype, pd.CategoricalDtype)
    return any(isinstance(value, str) for value in column)


def _typed(out: _Prepared, name: str, column: pd.Series, reading: Reading) -> None:
    """A column that came with a type."""
    times = pd.api.types.is_datetime64_any_dtype(column.dtype) or pd.api.types.is_timedelta64_dtype(column.dtype)
    numeric = pd.api.types.is_numeric_dtype(column.dtype) and not pd.api.types.is_bool_dtype(column.dtype)
    if numeric:
        for mark in _numbers_of(reading["na"]):
            found = column == mark
            if found.any():
                out.count(name, {f"{mark:g}": int(found.sum())})
                column = column.mask(found)
    if name in reading["date"] and times:
        values, words = days(column.dt.tz_localize(None) if getattr(column.dt, "tz", None) else column)
        out.note(name, words)
        column = pd.Series(values, index=column.index)
    elif name in reading["date"]:
        whole = column.map(lambda value: str(int(value)), na_action="ignore") if numeric else column.astype(object)
        _as_dates(out, name, _Texts.of(whole), set(), forced=True)
        if name in out.unclear:
            out.columns[name] = column
        return
    elif name in reading["categorical"]:
        column = column.map(_label, na_action="ignore").astype("category")
        out.note(name, "taken as classes, as asked")
    out.columns[name] = column


def _label(value: object) -> str:
    return f"{value:.15g}" if isinstance(value, float) else str(value)


def _numbers_of(marks: Collection[str]) -> list[float]:
    return [float(mark) for mark in marks if (read := spelled(mark)) and not read.unit and "," not in mark]


def _numbers(out: _Prepared, name: str, column: _Texts, reading: Reading) -> dict[str, Spelled]:
    """The values of a column that are numbers, or nothing where it is settled to be something else."""
    given = set(reading["na"])
    as_given = set(_numbers_of(reading["na"]))
    present = {
        level: int(n) for level, n in zip(column.levels, column.counts, strict=True) if level not in MISSING | given
    }
    if name in reading["categorical"]:
        out.columns[name] = column.classes(MISSING | given)
        out.note(name, "taken as classes, as asked")
        _count(out, name, column, MISSING | given)
        return {}
    if not present:
        out.columns[name] = column.spread({})
        _count(out, name, column, MISSING | given)
        return {}
    if all(level.lower() in _TRUTH for level in present):
        truth = {level: _TRUTH[level.lower()] for level in present}
        out.columns[name] = column.spread(truth, dtype=object)
        _count(out, name, column, MISSING | given)
        return {}
    others = [level for level in present if level not in MARKS]
    digits = all(map(str.isdigit, others))  # 20240131 is a date only where the caller says so
    if others and (name in reading["date"] or (not digits and as_times(others[:50]) is not None)):
        _as_dates(out, name, column, given, forced=name in reading["date"])
        if name in out.columns or name in out.unclear:
            return {}
    if others and all(_HEX.fullmatch(level) for level in others):
        _as_numbers(out, name, column, {level: int(level, 16) for level in others})
        out.note(name, "hexadecimal numbers")
        return {}
    found = {level: read for level in others if (read := spelled(level)) is not None}
    found |= {level: Spelled(level, "", odd=False) for level in others if _INFINITE.fullmatch(level)}
    if not found:
        return {}
    units = Counter({unit: sum(present[level] for level, read in found.items() if read.unit == unit)
                     for unit in {read.unit for read in found.values()}})  # fmt: skip
    unit, cells = units.most_common(1)[0]
    numbers = {level: read for level, read in found.items() if read.unit == unit}
    numbers = {level: read for level, read in numbers.items() if not _is_mark(read, as_given)}
    odd = [level for level in others if level not in found or found[level].unit != unit]
    total = sum(present[level] for level in others)
    if not odd:
        if unit:
            out.note(name, f"unit {unit!r} taken off")
        elif any(read.odd for read in numbers.values()):
            out.note(name, "minus signs of another kind read")
        return numbers
    several = sum(units.values()) == total and 2 <= len(units) <= _UNITS and len(found) > _WITH_UNITS
    meant = 2 * cells >= total and (len(numbers) > _WITH_UNITS or not unit[:1].isalpha())  # "1st", "2nd" are classes
    if name in reading["numeric"] or meant or several:
        odd.sort(key=lambda level: -present[level])
        shown = ", ".join(f"{cut(level)!r} ({present[level]})" for level in odd[:5])
        more = f" and {len(odd) - 5} more" if len(odd) > 5 else ""
        kind = f"numbers with {unit!r}" if unit else "numbers"
        out.unclear[name] = (
            f"Column {name!r} holds {kind} in {cells} of {total} cells, and others: {shown}{more}. "
            "Say what these mean: "
            ""
            f"missing ({option('na', cut(odd[0]))}), or the column holds classes "
            f"({option('categorical', name)}), or leave it out "
            f"({option('drop', name)})."
        )
    return {}


def _is_mark(read: Spelled, given: set[float]) -> bool:
    try:
        return float(read.core) in given
    except ValueError:
        return False


def _count(out: _Prepared, name: str, column: _Texts, missing: Collection[str]) -> None:
    counted = zip(column.levels, column.counts, strict=True)
    out.count(name, {level: int(count) for level, count in counted if level and level in missing and count})


def _as_numbers(out: _Prepared, name: str, column: _Texts, values: Mapping[str, float | int]) -> None:
    _count(out, name, column, [level for level in column.levels if level not in values])
    whole = [value for value in values.values() if isinstance(value, int)]
    if len(whole) == len(values) and max(map(abs, whole), default=0) > 2**53:
        out.columns[name] = column.spread(values, dtype=object)  # Python's whole numbers: no digit is lost
    else:
        out.columns[name] = column.spread({level: float(value) for level, value in values.items()})


def _as_dates(out: _Prepared, name: str, column: _Texts, given: Collection[str], *, forced: bool) -> None:
    present = [
        level
        for level, n in zip(column.levels, column.counts, strict=True)
        if n and level not in MISSING | MARKS | set(given)
    ]
    read = as_times(present)
    if read is None:
        if forced:
            out.unclear[name] = (
                f"Column {name!r} cannot be read as dates, all in one way: it holds {some(present, 4)}. Write them as "
                "2024-01-31, or 2024-01-31 13:45:00."
            )
        return
    times, swapped = read
    if forced and swapped:
        out.unclear[name] = f"Column {name!r} holds {present[0]!r}: day or month first? Write dates as 2024-01-31."
        return
    _count(out, name, column, [level for level in column.levels if level not in present])
    if forced:
        values, words = days(times)
        out.note(name, words)
        out.columns[name] = column.spread(dict(zip(present, values, strict=True)))
    else:
        table = pd.concat([times, pd.Series([pd.NaT], dtype=times.dtype)], ignore_index=True)
        place = {level: position for position, level in enumerate(present)}
        codes = np.array([place.get(level, len(present)) for level in column.levels] + [len(present)])[column.codes]
        out.columns[name] = table.iloc[codes].set_axis(column.index)


def _as_classes(out: _Prepared, name: str, column: _Texts, reading: Reading) -> None:
    missing = MISSING | set(reading["na"])
    out.columns[name] = column.classes(missing)
    _count(out, name, column, missing)
