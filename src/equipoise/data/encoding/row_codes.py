"""The column that says which rows are left out together, as a number a row."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ...core.numbers import Array
from ..raw import RawTable, refuse
from .values import holds

__all__ = ["row_codes"]


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
