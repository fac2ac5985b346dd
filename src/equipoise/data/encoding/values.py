"""One column: what it holds, and its values as numbers or as texts with a mark for missing."""

from collections import Counter
from decimal import Decimal
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

__all__ = ["Holds", "as_numbers", "as_texts", "constant", "extreme", "holds", "not_numbers"]

_LARGEST = 1e100  # squares of larger numbers, and sums of them, leave float64

Holds = Literal["numbers", "booleans", "classes", "dates"]


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


def as_numbers(column: pd.Series) -> NDArray[np.float64]:
    """(n,) float64; missing values and booleans become NaN and 0 or 1."""
    if column.dtype == object:
        column = pd.to_numeric(column.map(lambda value: np.nan if pd.isna(value) else float(value)))
    return column.to_numpy(dtype=np.float64, na_value=np.nan)


def as_texts(column: pd.Series) -> list[str | None]:
    """One text a row, None where missing."""
    return [None if gone else str(value) for value, gone in zip(column, column.isna(), strict=True)]


def constant(values: NDArray[np.float64]) -> bool:
    """Whether finite numbers differ by no more than the rounding of float64 at their size.

    Example:
        >>> constant(np.array([0.1 + 0.2, 0.3])), constant(np.array([0.3, 0.3001]))
        (True, False)
    """
    spread = float(values.max() - values.min())
    return bool(spread <= 8 * np.finfo(np.float64).eps * float(np.abs(values).max()))


def extreme(values: NDArray[np.float64]) -> str:
    """Why squares of these numbers would leave float64, or ""; values that are not finite are passed over.

    Example:
        >>> extreme(np.array([1.0, 1e200]))
        'holds numbers as large as 1e+200, and their squares leave double precision'
        >>> extreme(np.array([1e-200, 3e-200]))
        'varies by no more than 2e-200, and its square leaves double precision'
    """
    finite = values[np.isfinite(values)]
    if not len(finite):
        return ""
    largest = float(np.abs(finite).max())
    if largest > _LARGEST:
        return f"holds numbers as large as {largest:.0e}, and their squares leave double precision"
    spread = float(np.ptp(finite))
    if 0 < spread < 1 / _LARGEST:
        return f"varies by no more than {spread:.0e}, and its square leaves double precision"
    return ""


def not_numbers(texts: list[str]) -> list[str]:
    """Where most texts of a column are numbers: the most frequent ones that are not; otherwise nothing.

    Such a column was meant as numbers, and a handful of marks ("<5", "n.a.") turned it into text.

    Example:
        >>> not_numbers(["1", "2.5", "<5", "4"])
        ['<5']
    """
    counts = Counter(texts)
    odd = [text for text, _ in counts.most_common() if not _is_number(text)]
    odd_rows = sum(counts[text] for text in odd)
    return odd[:5] if 2 * odd_rows < len(texts) else []


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
