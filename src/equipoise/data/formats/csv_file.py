"""Text tables: .csv, .tsv, .txt, each also .gz."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from ...errors import DataError, listed
from ..columns import clean_name, some
from ..raw import RawTable, refuse
from .decimals import MISSING, read_columns
from .separator import SEPARATORS, sniff
from .text import read_text

__all__ = ["read_csv"]


def read_csv(path: Path, *, header: bool = True, names: Sequence[str] | None = None) -> RawTable:
    """Read a text table; the separator is found, everything else that was not plain is said in `steps`.

    Args:
        path: Of the file.
        header: Whether the first row holds the column names.
        names: Column names to use: instead of the first row's (`header`), or for a file that has none.

    Returns:
        Columns of numbers, booleans and texts. Cost: O(cells), all in memory.

    Raises:
        DataError: Not a table: see `read_text` and `sniff`; rows of different length; names that are doubled,
            too few or too many; a first row that holds data though `header` says names.
    """
    file = read_text(path)
    separator = sniff(file.text, path.name)
    cells = _cells(file.text, separator, path.name)
    steps = list(file.steps)
    usual = "\t" if ".tsv" in path.suffixes else ","
    if separator != usual:
        steps.append(f"Columns are separated by {SEPARATORS[separator]}.")

    first = [str(cell).strip() for cell in cells.iloc[0]]
    if names is not None:
        columns = [clean_name(name) for name in names]
        if len(columns) != cells.shape[1]:
            refuse(
                f"{path.name!r}",
                [f"--names must name all {cells.shape[1]} columns, found {len(columns)}: {some(columns)}."],
            )
    elif header:
        _refuse_data_as_header(path.name, first, cells.iloc[1:])
        columns = [clean_name(name) for name in first]
    else:
        columns = [f"column{number}" for number in range(1, cells.shape[1] + 1)]
        steps.append(f"Columns have no names in the file: called 'column1' to 'column{cells.shape[1]}'.")
    body = cells.iloc[1:] if header else cells
    body = body.reset_index(drop=True)

    kept = []
    for position, column in enumerate(columns):
        if column:
            kept.append(position)
        elif not body.iloc[:, position].isin(MISSING).all():
            columns[position] = f"column{position + 1}"
            kept.append(position)
            steps.append(f"Column {position + 1} has no name: called {columns[position]!r}.")
    doubled = sorted({column for column in columns if column and columns.count(column) > 1})
    if doubled:
        refuse(
            f"{path.name!r}",
            [
                f"Column names must differ, found more than once: {listed(doubled)}. Rename them in the "
                f"file, or give all names with --names."
            ],
        )
    read = read_columns({columns[position]: body.iloc[:, position] for position in kept})
    return RawTable(
        pd.DataFrame(read.columns, index=body.index),
        name=path.name,
        source=f"file {path.name}; licence: not stated in the file",
        unclear=read.unclear,
        steps=(*steps, *read.steps),
        warnings=file.warnings,
        sha256=file.sha256,
    )


def _cells(text: str, separator: str, name: str) -> pd.DataFrame:
    """All records as texts; every record must have as many cells as the first."""
    try:
        cells = pd.read_csv(
            io.StringIO(text),
            sep=r"\s+" if separator == " " else separator,
            header=None,
            dtype=object,
            keep_default_na=False,
            na_filter=False,
            skipinitialspace=True,
            low_memory=False,
        )
    except (pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise DataError(f"{name!r}: {_ragged(text, separator) or error}.") from error
    if cells.isna().any(axis=None) or (cells.iloc[:, -1] == "").any():
        ragged = _ragged(text, separator)
        if ragged:
            raise DataError(f"{name!r}: {ragged}.")
    return cells


def _ragged(text: str, separator: str) -> str:
    """Which record is the first whose length differs from the first record's, in words; or ""."""
    if separator == " ":
        records = [(number, line.split()) for number, line in enumerate(text.splitlines(), start=1)]
    else:
        reader = csv.reader(io.StringIO(text), delimiter=separator, skipinitialspace=True)
        try:
            records = [(reader.line_num, record) for record in reader]
        except csv.Error as error:
            return f"line {reader.line_num} cannot be split into columns ({error})"
    filled = [(number, record) for number, record in records if len(record) > 1 or "".join(record).strip()]
    width = len(filled[0][1])
    wrong = [(number, len(record)) for number, record in filled if len(record) != width]
    if not wrong:
        return ""
    number, found = wrong[0]
    commas = "; numbers with decimal commas need another separator, such as a semicolon" if separator == "," else ""
    return (
        f"every row must have {width} cells as the first has ({SEPARATORS[separator]} between them), found "
        f"{found} in line {number} (rows of another length: {len(wrong)}); a text that holds the separator or a "
        f"line break must stand in double quotes{commas}"
    )


def _refuse_data_as_header(name: str, first: list[str], body: pd.DataFrame) -> None:
    """A first row of numbers, or of numbers and values that occur again below, holds data."""
    numbers = [_is_number(cell) for cell in first]
    if not any(numbers):
        return
    repeated = [
        is_number or (cell != "" and bool((body.iloc[:, position].str.strip() == cell).any()))
        for position, (cell, is_number) in enumerate(zip(first, numbers, strict=True))
    ]
    if all(repeated):
        raise DataError(
            f"{name!r}: the first row must hold the column names, found what looks like data: "
            f"{some(first, 6)}. If it is data, add --no-header (and --names a,b,... to name the {len(first)} "
            f"columns); if these are the names, give others with --names."
        )


def _is_number(cell: str) -> bool:
    try:
        float(cell.replace(",", "."))
    except ValueError:
        return False
    return True
