"""One column: what it holds, and its values as numbers or as texts with a mark for missing."""

import re
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal

import numpy as np
import pandas as pd

from ...core.numbers import Array

__all__ = ["Encoded", "Holds", "as_floats", "as_numbers", "beyond_double", "constant", "holds", "stand_in", "unfit"]

_EXACT = 2**53
_ROWS = 10  # fewer do not show what stands apart
_ALONE = 9  # the only value below 0 marks a gap from -9 on
_LARGEST = 1e100  # squares of larger numbers, and sums of them, leave float64

Holds = Literal["numbers", "booleans", "classes", "dates"]


@dataclass
class Encoded:
    """Columns as they are encoded."""

    columns: list[Array] = field(default_factory=list)  # one (rows,) array each, finite, none constant
    names: list[str] = field(default_factory=list)  # one each
    steps: list[str] = field(default_factory=list)  # one sentence for each change
    warnings: list[str] = field(default_factory=list)  # one sentence for each doubt
    done: dict[str, str] = field(default_factory=dict)  # column of the source -> what was done to it, in a few words

    def add(self, name: str, values: Array) -> None:
        """Append one column."""
        self.names.append(name)
        self.columns.append(values)


def holds(column: pd.Series) -> Holds:
    """What a column holds; columns of Python objects are numbers only if every present value is one."""
    kind = column.dtype
    if pd.api.types.is_bool_dtype(kind):
        return "booleans"
    if isinstance(kind, pd.CategoricalDtype):
        return "classes"
    if pd.api.types.is_numeric_dtype(kind) and not pd.api.types.is_complex_dtype(kind):
        return "numbers"
    if pd.api.types.is_datetime64_any_dtype(kind) or pd.api.types.is_timedelta64_dtype(kind):
        return "dates"
    present = column[column.notna()]
    if len(present) and all(isinstance(value, bool | np.bool_) for value in present):
        return "booleans"
    if all(isinstance(value, int | float | Decimal | np.number) and not isinstance(value, bool) for value in present):
        return "numbers"
    return "classes"


def as_numbers(column: pd.Series) -> Array:
    """(n,) float64; missing values and booleans become NaN and 0 or 1.

    Of whole numbers beyond 2**53 the smallest is subtracted first, exactly: a linear model does not see a shift, and
    their last digits are kept.
    """
    if beyond_double(column):
        whole = column.astype(object)
        present = whole.notna()
        smallest = min(int(value) for value in whole[present])
        return np.array(
            [int(v) - smallest if there else np.nan for v, there in zip(whole, present, strict=True)], float
        )
    return as_floats(column)


def as_floats(column: pd.Series) -> Array:
    """(n,) float64, each value for itself; whole numbers beyond 2**53 are rounded."""
    if column.dtype == object:
        column = pd.to_numeric(column.map(lambda value: np.nan if pd.isna(value) else float(value)))
    return column.to_numpy(dtype=np.float64, na_value=np.nan)


def constant(values: Array) -> bool:
    """Whether finite numbers differ by no more than the rounding of float64 at their size.

    Example:
        >>> constant(np.array([0.1 + 0.2, 0.3])), constant(np.array([0.3, 0.3001]))
        (True, False)
    """
    spread = float(values.max() - values.min())
    return bool(spread <= 8 * np.finfo(np.float64).eps * float(np.abs(values).max()))


def unfit(values: Array) -> str:
    """Why a linear model cannot use these numbers, and what to do about it; "" if it can. NaN is ignored.

    Example:
        >>> unfit(np.array([1.0, np.inf]))
        'must be finite, found 1 infinite value. Leave such cells empty (they then count as missing)'
        >>> unfit(np.array([1.0, 1e200]))
        'holds numbers as large as 1e+200, and their squares leave double precision. Give it in another unit'
        >>> unfit(np.array([1e-200, 3e-200]))
        'varies by no more than 2e-200, and its square leaves double precision. Give it in another unit'
    """
    if infinite := int(np.isinf(values).sum()):
        found = f"{infinite} infinite value{'s' if infinite > 1 else ''}"
        return f"must be finite, found {found}. Leave such cells empty (they then count as missing)"
    present = values[~np.isnan(values)]
    largest, spread = float(np.abs(present).max(initial=0)), float(np.ptp(present)) if len(present) else 0.0
    if largest > _LARGEST:
        reason = f"holds numbers as large as {largest:.0e}, and their squares leave double precision"
    elif 0 < spread < 1 / _LARGEST:
        reason = f"varies by no more than {spread:.0e}, and its square leaves double precision"
    else:
        return ""
    return f"{reason}. Give it in another unit"


def beyond_double(column: pd.Series) -> bool:
    """Whether a column holds whole numbers that double precision cannot tell apart (beyond 2**53)."""
    if column.dtype == object:
        return any(isinstance(value, int) and abs(value) > _EXACT for value in column)
    if not pd.api.types.is_integer_dtype(column.dtype):
        return False
    values = column.to_numpy() if isinstance(column.dtype, np.dtype) else column.dropna().to_numpy()
    return len(values) > 0 and max(abs(int(values.min())), abs(int(values.max()))) > _EXACT


def stand_in(name: str, values: Array) -> list[str]:
    """A doubt where a number such as -999 seems to stand for missing values: nines, or alone below 0, and repeated."""
    present = values[np.isfinite(values)]
    if len(present) < _ROWS:
        return []
    for extreme in (float(present.min()), float(present.max())):
        others = present[present != extreme]
        count = len(present) - len(others)
        if count < 2 or not len(others) or not extreme.is_integer():
            continue
        gap = float(np.abs(others - extreme).min())
        nines = re.fullmatch("-?99+", f"{extreme:.0f}") and gap > float(np.ptp(others)) / 2
        if nines or (extreme <= -_ALONE and others.min() >= 0):
            return [
                f"Column {name!r} holds {extreme:.15g} in {count} rows, far from its other values ({others.min():.4g} "
                f"to {others.max():.4g}): if that stands for a missing value, type --na={extreme:.15g}."
            ]
    return []
