"""Columns of texts -> columns of numbers, booleans, dates or classes, with a note on each change."""

import re
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
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
from .values import holds

__all__ = ["MARKS", "MISSING", "prepared"]

MISSING = frozenset({"", "?", "NA", "N/A", "n/a", "#N/A", "NaN", "nan", "NAN", "NULL", "null"})
MARKS = frozenset(
    {"-", "--", "---", ".", "..", "*", "None", "none", "NONE", "nil", "na", "n.a.", "N.A.",
     "k.A.", "<NA>", "(null)", "\\N",
     "#DIV/0!", "#VALUE!", "#REF!", "#NUM!", "#NAME?", "missing", "Missing", "-nan", "#N/A N/A"}
)  # fmt: skip
"""Missing where every other value of a column is a number or a date; a class elsewhere."""

_TRUTH = {"true": True, "false": False}
_INFINITE = re.compile(r"[+-]?inf(inity)?", re.IGNORECASE)
_UNITS, _WITH_UNITS = 4, 10  # a few units on many numbers are not classes


@dataclass
class _Texts:
    """A column of texts: its different values, how often each occurs, and which rows hold it (-1: none)."""

    counts: dict[str, int]
    codes: NDArray[np.intp]
    index: pd.Index

    @classmethod
    def of(cls, column: pd.Series) -> "_Texts":
        if not isinstance(column.dtype, pd.CategoricalDtype):
            column = column.map(lambda value: value if isinstance(value, str) else str(value), na_action="ignore")
            column = column.astype("category")
        merged, levels = pd.factorize(pd.Index(column.cat.categories).astype(str).str.strip())
        raw = column.cat.codes.to_numpy()
        codes = np.where(raw >= 0, merged[raw] if len(merged) else raw, -1).astype(np.intp)
        counts = np.bincount(codes[codes >= 0], minlength=len(levels)).tolist()
        return cls(dict(zip(map(str, levels), counts, strict=True)), codes, column.index)

    def spread(self, values: Mapping[str, object], dtype: Any = np.float64) -> pd.Series:
        """One value a row, missing where the level has none."""
        table = pd.Series([*map(values.get, self.counts), None], dtype=dtype)
        return table.iloc[self.codes].set_axis(self.index)


@dataclass
class _Prepared:
    columns: dict[str, pd.Series] = field(default_factory=dict)
    unclear: dict[str, str] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)
    marks: Counter[str] = field(default_factory=Counter)
    written_in: dict[str, str] = field(default_factory=dict)
    times: bool = False

    def note(self, name: str, words: str) -> None:
        self.notes[name] = "; ".join(filter(None, (self.notes.get(name), words)))

    def count(self, name: str, marks: Mapping[str, int]) -> None:
        """Count marks of missing values, and say so for the column."""
        self.marks.update(marks)
        if marks:
            self.note(name, f"{', '.join(map(repr, sorted(marks)))} taken as missing")

    def put(self, name: str, column: _Texts, values: Mapping[str, object], dtype: Any = np.float64) -> None:
        """Keep the values of a column; levels without one are marks of missing values."""
        self.columns[name] = column.spread(values, dtype)
        self.count(name, {level: n for level, n in column.counts.items() if level and n and level not in values})

    def put_classes(self, name: str, column: _Texts, missing: Collection[str]) -> None:
        kept = [level for level in column.counts if level not in missing]
        codes = column.spread({level: place for place, level in enumerate(kept)}).fillna(-1).astype(np.intp)
        self.columns[name] = pd.Series(pd.Categorical.from_codes(codes, categories=pd.Index(kept)), index=column.index)
        self.count(name, {level: n for level, n in column.counts.items() if level and n and level in missing})


def prepared(
    raw: RawTable,
    reading: Reading,
    *,
    times: bool = False,
    styles: Mapping[str, tuple[str, str]] = MappingProxyType({}),
) -> RawTable:
    """Turn the texts of a table into numbers, booleans, times or classes, and apply the caller's options.

    A column of texts is numbers if every value is one, in any notation that `spelled` and `decide` know and with one
    unit, apart from marks of missing values. Where only most values are numbers, the column is unclear: it is refused
    where it is used, with the values in question. Dates become times. All else stays classes.

    Args:
        raw: Columns as their reader returned them.
        reading: What the caller said about cells.
        times: Whether columns named as dates stay times, whose numbers would depend on the first date of this table,
            and dates whose day and month could change places are unclear even where nobody named their column.
        styles: Column -> marks of its numbers in an earlier table of the same kind: see `decide`.
    """
    out = _Prepared(times=times)
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
    missing = MISSING | set(reading["na"])
    spellings = {name: _numbers(out, name, column, reading, missing) for name, column in texts.items()}
    cores = {
        name: sorted({read.core for read in spelling.values() if not _INFINITE.fullmatch(read.core)})
        for name, spelling in spellings.items()
        if spelling
    }
    decided = decide(cores, reading, decimal_comma=raw.decimal_comma, styles=styles)
    out.unclear |= decided.unclear
    for name, column in texts.items():
        if name in out.columns or name in out.unclear:
            continue
        spelling = spellings[name]
        if style := decided.styles.get(name):
            if style != (".", ""):
                out.note(name, f"decimal {style[0]!r}" + (f", thousands {style[1]!r}" if style[1] else ""))
            _as_numbers(out, name, column, {level: number(read.core, style) for level, read in spelling.items()})
            continue
        if name in reading["numeric"] or (spelling and (reading["decimal"] or reading["thousands"])):
            out.unclear[name] = f"Column {name!r} cannot be read as numbers; it holds {some(list(column.counts), 3)}."
        out.put_classes(name, column, missing)
    for name in out.unclear:
        if name not in out.columns:
            out.columns[name] = texts[name].spread(
                {level: level for level in texts[name].counts if level not in missing}, "category"
            )
    steps = [*raw.steps, *decided.steps]
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
        written_in={**raw.written_in, **out.written_in},
        styles={**raw.styles, **decided.styles},
        steps=tuple(steps),
    )


def _is_text(column: pd.Series) -> bool:
    if column.dtype != object:
        return pd.api.types.is_string_dtype(column.dtype) and not isinstance(column.dtype, pd.CategoricalDtype)
    return any(isinstance(value, str) for value in column)


def _typed(out: _Prepared, name: str, column: pd.Series, reading: Reading) -> None:
    """Apply the caller's options to a column that already has a type."""
    kind = holds(column)
    if kind == "numbers":
        for mark in _numbers_of(reading["na"]):
            found = column == mark
            if found.any():
                out.count(name, {f"{mark:g}": int(found.sum())})
                column = column.mask(found)
    if name in reading["date"] and kind == "dates" and not out.times:
        values, words = days(column.dt.tz_localize(None) if getattr(column.dt, "tz", None) else column)
        out.note(name, words)
        column = pd.Series(values, index=column.index)
    elif name in reading["date"] and kind != "dates":
        whole = column.map(lambda value: str(int(value)) if kind == "numbers" else value, na_action="ignore")
        _as_dates(out, name, _Texts.of(whole.astype(object)), MISSING, forced=True)
        out.columns.setdefault(name, column)
        return
    elif name in reading["categorical"]:
        label = "{:.15g}".format if pd.api.types.is_float_dtype(column.dtype) else str
        column = column.map(label, na_action="ignore").astype("category")
        out.note(name, "taken as classes, as asked")
    out.columns[name] = column


def _numbers_of(marks: Collection[str]) -> list[float]:
    return [float(mark) for mark in marks if (read := spelled(mark)) and not read.unit and "," not in mark]


def _numbers(
    out: _Prepared, name: str, column: _Texts, reading: Reading, missing: Collection[str]
) -> dict[str, Spelled]:
    """The values of a column that are numbers, empty if the column is something else."""
    if name in reading["categorical"]:
        out.note(name, "taken as classes, as asked")
        out.put_classes(name, column, missing)
        return {}
    present = {level: n for level, n in column.counts.items() if level not in missing}
    if all(level.lower() in _TRUTH for level in present):
        truth = {level: _TRUTH[level.lower()] for level in present}
        out.put(name, column, truth, dtype=object if truth else np.float64)
        return {}
    others = [level for level in present if level not in MARKS]
    forced = name in reading["date"]
    digits = all(map(str.isdigit, others))  # 20240131 is a date only where the caller says so
    if others and (forced or (not digits and as_times(others[:50]) is not None)):
        _as_dates(out, name, column, missing, forced=forced)
        if name in out.columns or name in out.unclear:
            return {}
    found = {level: read for level in others if (read := spelled(level)) is not None}
    found |= {level: Spelled(level, "", odd=False) for level in others if _INFINITE.fullmatch(level)}
    if not found:
        return {}
    units = Counter[str]()
    for level, read in found.items():
        units[read.unit] += present[level]
    unit, cells = units.most_common(1)[0]
    odd = [level for level in others if level not in found or found[level].unit != unit]
    marks = _numbers_of(reading["na"])
    numbers = {level: read for level, read in found.items() if read.unit == unit and not _is_mark(read, marks)}
    if not odd:
        if unit:
            out.note(name, f"unit {unit!r} taken off")
            out.written_in[name] = unit
        elif any(read.odd for read in numbers.values()):
            out.note(name, "minus signs of another kind read")
        return numbers
    total = sum(present[level] for level in others)
    several = units.total() == total and 2 <= len(units) <= _UNITS and len(found) > _WITH_UNITS
    meant = 2 * cells >= total and (len(numbers) > _WITH_UNITS or not unit[:1].isalpha())  # "1st", "2nd" are classes
    if name in reading["numeric"] or meant or several:
        odd.sort(key=lambda level: -present[level])
        shown = ", ".join(f"{cut(level)!r} ({present[level]})" for level in odd[:5])
        more = f" and {len(odd) - 5} more" if len(odd) > 5 else ""
        out.unclear[name] = (
            f"Column {name!r} holds {f'numbers with {unit!r}' if unit else 'numbers'} in {cells} of {total} cells, and "
            f"others: {shown}{more}. Say what these mean: missing ({option('na', cut(odd[0]))}), or the column holds "
            f"classes ({option('categorical', name)}), or leave it out ({option('drop', name)})."
        )
    return {}


def _is_mark(read: Spelled, given: Collection[float]) -> bool:
    try:
        return float(read.core) in given
    except ValueError:
        return False


def _as_numbers(out: _Prepared, name: str, column: _Texts, values: Mapping[str, float | int]) -> None:
    large = max((abs(value) for value in values.values() if isinstance(value, int)), default=0) > 2**53
    exact = large and all(isinstance(value, int) for value in values.values())
    out.put(name, column, values, dtype=object if exact else np.float64)  # Python's whole numbers lose no digit


def _as_dates(out: _Prepared, name: str, column: _Texts, missing: Collection[str], *, forced: bool) -> None:
    present = [level for level, n in column.counts.items() if n and level not in MARKS and level not in missing]
    read = as_times(present)
    if read is None:
        if forced:
            out.unclear[name] = (
                f"Column {name!r} cannot be read as dates, all in one way: it holds {some(present, 4)}. Write them as "
                "2024-01-31, or 2024-01-31 13:45:00."
            )
        return
    times, swapped = read
    if swapped and (forced or out.times):
        out.unclear[name] = f"Column {name!r} holds {present[0]!r}: day or month first? Write dates as 2024-01-31."
    elif forced and not out.times:
        values, words = days(times)
        out.put(name, column, dict(zip(present, values, strict=True)))
        out.note(name, words)
    else:
        out.put(name, column, dict(zip(present, times, strict=True)), dtype=times.dtype)
