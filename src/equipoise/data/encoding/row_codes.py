"""The column that says which rows are left out together, as a number a row."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ...core.numbers import Array
from ..columns import clean_name
from ..raw import RawTable, refuse
from .values import holds

__all__ = ["holding_out", "row_codes"]


def holding_out(about: str, group: object, time: object) -> dict[str, str]:
    """The option that names a column, with the cleaned name; empty where none does.

    Raises:
        DataError: Both are named, or a name is no text.
    """
    named = {option: name for option, name in (("group", group), ("time", time)) if name is not None}
    if len(named) > 1:
        refuse(about, [f"Rows are left out by --group or by --time; found {group!r} and {time!r}. Keep one."])
    if wrong := [
        f"--{option} must be the name of one column; found {name!r}."
        for option, name in named.items()
        if not isinstance(name, str)
    ]:
        refuse(about, wrong)
    return {option: clean_name(name) for option, name in named.items()}


def row_codes(raw: RawTable, option: str, name: str, kept: NDArray[np.bool_]) -> Array:
    """A number for each kept row: equal in a group, rising with time.

    Raises:
        DataError: A kept row has no value, or a time is neither a number nor a date.
    """
    column = raw.frame[name][kept]
    missing = int(column.isna().sum())
    if missing:
        refuse(
            f"Table {raw.name!r}",
            [
                f"--{option} {name}: every row needs a value; {missing} of {len(column)} rows have none. "
                "Drop these rows."
            ],
        )
    if option == "time" and holds(column) not in {"numbers", "dates"}:
        found = str(column.iloc[0])
        refuse(
            f"Table {raw.name!r}",
            [f"--time {name}: times must be numbers or dates; found {found[:40]!r}. Read it as dates: --date {name}"],
        )
    if option == "time":
        return np.asarray(column.rank(method="dense"), dtype=np.float64)
    return np.asarray(pd.factorize(column)[0], dtype=np.float64)
