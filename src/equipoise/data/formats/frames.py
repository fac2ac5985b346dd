"""Files that pandas reads by itself into typed columns: workbooks, Parquet, Feather, Stata."""

from collections.abc import Callable, Sequence
from typing import Any
from zipfile import BadZipFile

import numpy as np
import pandas as pd

from ...errors import DataError
from ..columns import column_names, some
from ..raw import RawTable
from ..reading import Reading
from .source import Source

__all__ = ["read_frame"]

_READERS: dict[str, Callable[..., Any]] = {
    ".parquet": pd.read_parquet, ".feather": pd.read_feather, ".dta": pd.read_stata,
}  # fmt: skip


def read_frame(
    source: Source, reading: Reading, *, header: bool = True, names: Sequence[str] | None = None
) -> RawTable:
    """Read a file whose columns have types; any ending other than those of `_READERS` is a workbook: its first sheet.

    Raises:
        DataError: A package is missing (named, with what to install), the file is damaged, or its names are doubled.
    """
    kind, steps = source.suffix, list[str]()
    if kind in _READERS and (reading["skip_rows"] or not header):
        raise DataError(f"{source.name!r}: --skip-rows and --no-header are for text tables and sheets.")
    try:
        with source.open() as file, np.errstate(all="ignore"):  # damaged sizes overflow
            frame = _sheet(file, reading, header, steps) if kind not in _READERS else _READERS[kind](file)
    except ImportError as error:
        raise DataError(
            f"{source.name!r}: reading {kind} needs a package that is not installed ({str(error).splitlines()[0]}). "
            "Type pip install 'equipoise[tables]', or export the table as CSV."
        ) from error
    except (ValueError, OSError, KeyError, IndexError, TypeError, EOFError, BadZipFile, SyntaxError) as error:
        raise DataError(f"{source.name!r} is not a {kind} file, or is damaged: {error}") from error
    columns = column_names(source.name, frame.columns, names)
    return source.table(frame.set_axis(columns, axis=1).reset_index(drop=True), steps)


def _sheet(file: Any, reading: Reading, header: bool, steps: list[str]) -> pd.DataFrame:
    with pd.ExcelFile(file) as book:
        frame: pd.DataFrame = pd.read_excel(
            book, header=0 if header else None, skiprows=reading["skip_rows"], keep_default_na=False, na_values=[""]
        )
        others = list(map(str, book.sheet_names[1:]))
    if others:
        steps.append(f"The first sheet, {book.sheet_names[0]!r}, was read; others were not: {some(others)}.")
    frame = frame.dropna(axis="columns", how="all").dropna(axis="index", how="all")
    if not header:
        frame.columns = pd.Index([f"column{number + 1}" for number in range(frame.shape[1])])
    return frame
