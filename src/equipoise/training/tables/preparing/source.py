"""A path, an address, a built-in name or a data frame -> columns that have types."""

import os
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import pandas as pd

from ....data.columns import column_names
from ....data.encoding.prepare import prepared
from ....data.loading import read_columns
from ....data.raw import RawTable
from ....data.reading import Reading
from ....errors import DataError

__all__ = ["read_table"]


def read_table(
    source: str | os.PathLike[str] | pd.DataFrame,
    reading: Reading,
    *,
    header: bool = True,
    names: Sequence[str] | None = None,
    styles: Mapping[str, tuple[str, str]] = MappingProxyType({}),
) -> RawTable:
    """Read a table; dates stay times, whose numbers would otherwise depend on the first date of the table.

    Args:
        source: What `equipoise.data.load` accepts, or a data frame.
        reading: Checked options about cells.
        header: Whether the first row of a text table holds the names.
        names: Names for all columns, in place of the table's own.
        styles: Column -> marks of its numbers in the table that was trained on.

    Raises:
        DataError: It cannot be read; names are doubled.
    """
    if not isinstance(source, pd.DataFrame):
        return prepared(read_columns(source, header, names, reading), reading, times=True, styles=styles)
    if not header:
        raise DataError("a data frame has the names of its columns: --no-header is for files that do not.")
    columns: Any = column_names("frame", source.columns, names)
    frame = source.set_axis(columns, axis=1).reset_index(drop=True)
    return prepared(RawTable(frame, "frame", "a pandas DataFrame"), reading, times=True, styles=styles)
