"""Files that pandas reads by itself into typed columns: workbooks, Parquet, Feather, Stata."""

from collections.abc import Callable, Sequence
from typing import Any
from zipfile import BadZipFile

import numpy as np
import pandas as pd

from ...core.names import doubled
from ...errors import DataError, listed
from ..columns import clean_name, some
from ..raw import RawTable, refuse
from ..reading import Reading
from .source import Source

__all__ = ["FRAME_ENDINGS", "read_frame"]

_READERS: dict[str, Callable[..., Any]] = {
    ".parquet": pd.read_parquet,
    ".feather": pd.read_feather,
    ".dta": pd.read_stata,
}
_SHEETS = (".xlsx", ".xls", ".ods")
FRAME_ENDINGS = (*_READERS, *_SHEETS)


def read_frame(
    source: Source, reading: Reading, *, header: bool = True, names: Sequence[str] | None = None
) -> RawTable:
    """Read a file whose columns have types; of a workbook, the first sheet.

    Args:
        source: The file.
        reading: Only ``skip_rows`` matters here, for sheets.
        header: Of a sheet: whether its first row holds the names.
        names: Column names to use instead of the file's.

    Raises:
        DataError: A package is missing (named, with what to install), the file is damaged, or its names are doubled.
    """
    steps = list(source.steps)
    kind = source.suffix
    try:
        with source.open() as file, np.errstate(all="ignore"):  # damaged sizes overflow
            if kind in _SHEETS:
                frame = _sheet(file, reading, header, steps)
            elif reading["skip_rows"] or not header:
                raise DataError(f"{source.name!r}: --skip-rows and --no-header are for text tables and sheets.")
            else:
                frame = _READERS[kind](file)
    except ImportError as error:
        raise DataError(
            f"{source.name!r}: reading {kind} needs a package that is not installed "
            f"({str(error).splitlines()[0]}). Type pip install "
            f"'equipoise[tables]', or export the table as CSV."
        ) from error
    except (ValueError, OSError, KeyError, IndexError, TypeError, EOFError, BadZipFile, SyntaxError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{source.name!r} is not a {kind} file, or is damaged: {error}") from error
    columns = [clean_name(name) for name in (frame.columns if names is None else names)]
    problems = []
    if len(columns) != frame.shape[1]:
        problems.append(f"--names must name all {frame.shape[1]} columns, found {len(columns)}: {some(columns)}.")
    elif twice := doubled(columns):
        problems.append(f"Column names must differ, found more than once: {listed(twice)}. Give all with --names.")
    refuse(f"{source.name!r}", problems)
    return RawTable(
        frame.set_axis(columns, axis=1).reset_index(drop=True),
        name=source.name,
        source=f"file {source.name}; licence: not stated in the file",
        steps=tuple(steps),
        sha256=source.sha256,
    )


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
