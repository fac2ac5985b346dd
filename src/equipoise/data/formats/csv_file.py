"""Text tables: .csv, .tsv, .txt, .data, .dat. pandas reads them, block by block.

A first pass reads plain numbers, which are never held as texts. The few columns that hold anything else are read again
as texts, each different text once, and handed on for `prepared` to make sense of.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ...errors import DataError
from ..columns import column_names, some
from ..encoding.prepare import MARKS, MISSING
from ..raw import RawTable, refuse
from ..reading import Reading
from .layout import Layout, lay_out, ragged
from .separator import SEPARATORS, is_number
from .source import Source
from .text import FileText, as_text

__all__ = ["read_csv"]

_CELLS = 2_000_000  # of a block
_PLAIN = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|[+-]?inf(inity)?", re.IGNORECASE)
_EXACT = 2**53
# before pandas 3.1 numbers are exact to the last bit only where that is asked for; since then always
_TO_THE_BIT = {} if tuple(map(int, pd.__version__.split(".")[:2])) >= (3, 1) else {"float_precision": "round_trip"}


@dataclass
class _Column:
    """One column as blocks arrive."""

    # its numbers, emptied where it turns out to need its texts
    blocks: list[NDArray[np.generic]] = field(default_factory=list)
    text: bool = False  # whether it must be read again, as texts
    grouped: bool = True  # whether every number so far could have a point between thousands instead of a decimal point
    marks: Counter[str] = field(default_factory=Counter)  # marks of missing values

    def add(self, values: pd.Series) -> None:
        if self.text:
            return
        numbers = _numbers(values, self.marks)
        if numbers is None:
            self.text, self.grouped, self.blocks = True, False, []
            return
        self.grouped = self.grouped and _may_be_grouped(numbers)
        self.blocks.append(numbers)

    def finish(self) -> NDArray[np.generic] | None:
        """All numbers, or None where the texts are needed to read them right. Sets `grouped` for good."""
        if self.text or not self.blocks:
            return None
        column = np.concatenate(self.blocks)
        self.blocks = []
        if column.dtype.kind != "f":
            self.grouped = False
            return column
        finite = column[np.isfinite(column)]
        whole = finite == np.floor(finite)
        if np.abs(finite).max(initial=0) > _EXACT and whole.all():
            return None  # a gap made floats of whole numbers, and their last digits are gone
        self.grouped = self.grouped and not whole.all()
        if self.grouped and whole.any():
            return None
        if not len(finite) and not set(self.marks) <= MISSING:
            return None  # nothing but "None": a class
        return column


def read_csv(source: Source, reading: Reading, *, header: bool = True, names: Sequence[str] | None = None) -> RawTable:
    """Read a text table; the separator is detected, and `steps` tell whatever was unusual.

    Returns:
        Columns of numbers, and columns of texts (`texts`). Cost: O(cells) time; memory for the numbers of the table
        once, and for one block of its texts.

    Raises:
        DataError: Not a table: see `as_text` and `lay_out`; rows of different length; doubled names, too few or too
            many names; a first row that holds data though `header` says names.
    """
    file = as_text(source, reading["encoding"])
    layout = lay_out(file, reading, header)
    steps = [*file.steps, *layout.steps]
    usual = "\t" if source.suffix == ".tsv" else ","
    if layout.separator != usual and reading["sep"] is None:
        steps.append(f"Columns are separated by {SEPARATORS.get(layout.separator, repr(layout.separator))}.")
    decimal = reading["decimal"] or layout.decimal
    columns = _named(layout, names, file, steps)
    said = {*reading["categorical"], *reading["date"]}
    found = [_Column(text=name in said) for name in columns]
    rows, short = 0, False
    for block in _blocks(file, layout, decimal):
        if block.shape[1] != layout.width:
            raise DataError(f"{source.name!r}: {ragged(file, layout)}.")
        rows += len(block)
        short = short or bool(block.iloc[:, -1].isna().any())
        for column, (_, cells) in zip(found, block.items(), strict=True):
            column.add(cells)
    if short and (cause := ragged(file, layout)):
        raise DataError(f"{source.name!r}: {cause}.")
    numbers = [column.finish() for column in found]
    points = any(column.grouped and values is None for column, values in zip(found, numbers, strict=True))
    if points or reading["thousands"] == ".":
        numbers = [None if column.grouped else values for column, values in zip(found, numbers, strict=True)]
    again = [position for position, values in enumerate(numbers) if values is None]
    texts = _texts(file, layout, again) if again and rows else {}

    frame: dict[str, pd.Series | NDArray[np.generic]] = {}
    marks: dict[str, Counter[str]] = {}
    for position, given in enumerate(columns):
        values = texts.get(position, numbers[position])
        numbers[position] = None
        if not given and (values is None or bool(pd.isna(values).all())):
            continue
        name = given or f"column{position + 1}"
        if not given:
            steps.append(f"Column {position + 1} has no name: called {name!r}.")
        if name in frame:
            refuse(f"{source.name!r}", [f"Two columns would be called {name!r}. Give all names with --names."])
        frame[name] = np.empty(rows) if values is None else values
        if found[position].marks and position not in texts:
            marks[name] = found[position].marks
    plain = {name: values for name, values in frame.items() if isinstance(values, np.ndarray)}
    pointed = [name for name, values in plain.items() if decimal == "," and values.dtype.kind == "f"]
    if pointed:
        steps.append(f"Read with a decimal comma (1,5 is 1.5): {some(pointed)}.")
    return source.table(
        pd.DataFrame(frame, index=range(rows), copy=False),
        steps,
        warnings=file.warnings,
        texts=frozenset(frame.keys() - plain.keys()),
        decimal_comma=decimal == ",",
        marks=marks,
    )


def _named(layout: Layout, names: Sequence[str] | None, file: FileText, steps: list[str]) -> list[str]:
    """The names of the columns; "" for one that has none."""
    counted = [f"column{number}" for number in range(1, layout.width + 1)]
    if names is None and layout.names is not None:
        _refuse_data_as_header(file.source.name, layout, file)
        return column_names(file.source.name, layout.names)
    if names is None:
        steps.append(f"Columns have no names in the file: called 'column1' to 'column{layout.width}'.")
    return column_names(file.source.name, counted, names)


def _blocks(file: FileText, layout: Layout, decimal: str) -> Iterator[pd.DataFrame]:
    yield from _parsed(file, layout, chunksize=max(1, _CELLS // layout.width), decimal=decimal, **_TO_THE_BIT)


def _texts(file: FileText, layout: Layout, positions: list[int]) -> dict[int, pd.Series]:
    """Some columns as categories of the file's own texts."""
    size = max(1, _CELLS // 4 // len(positions))
    blocks: dict[int, list[pd.Series]] = {position: [] for position in positions}
    for block in _parsed(file, layout, chunksize=size, dtype=str, usecols=positions):
        for position in positions:
            blocks[position].append(block[position].astype("category"))
    return {
        position: pd.Series(pd.api.types.union_categoricals(parts, ignore_order=True))
        for position, parts in blocks.items()
    }


def _parsed(file: FileText, layout: Layout, **options: object) -> Iterator[pd.DataFrame]:
    with file.open(layout.skip) as text:
        try:
            yield from pd.read_csv(  # type: ignore[call-overload]
                text,
                sep=r"\s+" if layout.separator == " " else layout.separator,
                header=None,
                keep_default_na=False,
                na_values=[""],
                skipinitialspace=True,
                engine="c",
                **options,
            )
        except pd.errors.EmptyDataError:
            return
        except (pd.errors.ParserError, UnicodeError, ValueError, OverflowError) as error:
            raise DataError(f"{file.source.name!r}: {ragged(file, layout) or error}.") from error


def _numbers(values: pd.Series, marks: Counter[str]) -> NDArray[np.generic] | None:
    """A block of a column as numbers; marks of missing values are counted. None where it holds anything else."""
    if values.dtype.kind in "iuf":
        return values.to_numpy()
    if values.dtype.kind == "b":
        return None
    texts = values.dropna()
    read: dict[str, float] = {}
    for text, count in texts.value_counts(sort=False).items():
        stripped = str(text).strip()
        if stripped in MISSING or stripped in MARKS:
            if stripped:
                marks[stripped] += int(count)
            read[str(text)] = np.nan
        elif len(stripped) < 60 and _PLAIN.fullmatch(stripped):
            read[str(text)] = float(stripped)
            if abs(read[str(text)]) > _EXACT and stripped.lstrip("+-").isdigit():
                return None
        else:
            return None
    return values.map(read).to_numpy(dtype=np.float64)


def _may_be_grouped(numbers: NDArray[np.generic]) -> bool:
    """Whether these could be whole numbers with points between thousands: 13.031 beside 284."""
    finite = numbers[np.isfinite(numbers)].astype(np.float64)
    if finite.size and (np.abs(finite).max() >= 1000 or ((np.abs(finite) < 1) & (finite != 0)).any()):
        return False
    return bool(np.isclose(finite * 1000, np.round(finite * 1000), rtol=0, atol=1e-6).all())


def _refuse_data_as_header(name: str, layout: Layout, file: FileText) -> None:
    """A first row of numbers, or of numbers and values that occur again below, holds data."""
    first = [cell.strip() for cell in layout.names or []]
    numbers = list(map(is_number, first))
    if not any(numbers):
        return
    head = next(_parsed(file, layout, nrows=100_000, dtype=str, chunksize=100_000), pd.DataFrame())
    repeated = [
        number or (cell != "" and position in head and bool((head[position].str.strip() == cell).any()))
        for position, (cell, number) in enumerate(zip(first, numbers, strict=True))
    ]
    if all(repeated):
        raise DataError(
            f"{name!r}: the first row must hold the column names, found what looks like data: {some(first, 6)}. If it "
            f"is data, add --no-header (and --names a,b,... to name the {len(first)} columns); if these are the names, "
            "give others with --names."
        )
