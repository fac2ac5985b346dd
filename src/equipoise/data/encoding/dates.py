"""Texts that are dates or clock times -> times, and times -> numbers."""

import re

import numpy as np
import pandas as pd

from ...core.numbers import Array

__all__ = ["as_times", "days"]

_LOOKS = re.compile(
    r"\d{1,4}[-/. ]\w{1,9}[-/. ,]+\d{1,4}.*|\d{1,2}:\d\d(:\d\d(\.\d+)?)?|\d{1,2}\.\d\d\.\d\d|\d{8}"
    r"|\d{1,2}[A-Za-z]{3}\d{2,4}.*|[A-Za-z]{3,9} \d{1,2},? \d{4}"
)
_CLOCK = re.compile(r"\d{1,2}:\d\d(:\d\d(\.\d+)?)?|\d{1,2}\.\d\d\.\d\d")  # 18.00.00 as in Italy
_FORMATS = (
    "ISO8601", "%d.%m.%Y", "%d.%m.%Y %H:%M", "%d.%m.%Y %H:%M:%S", "%d/%m/%Y", "%m/%d/%Y", "%d/%m/%Y %H:%M",
    "%m/%d/%Y %H:%M", "%d/%m/%Y %H:%M:%S", "%m/%d/%Y %H:%M:%S", "%d-%m-%Y", "%m-%d-%Y", "%d/%m/%y", "%m/%d/%y",
    "%Y/%m/%d", "%Y/%m/%d %H:%M:%S", "%d-%b-%Y", "%d-%b-%y", "%d %b %Y", "%d%b%Y",
    "%d%b%Y:%H:%M:%S", "%b %d, %Y", "%B %d, %Y",
)  # fmt: skip
_SWAPPED = {"%d/%m": "%m/%d", "%d-%m": "%m-%d"}


def as_times(levels: list[str]) -> tuple[pd.Series, bool] | None:
    """The time that each text means, and whether day and month could also change places; None where some is no date.

    Clock times become durations since midnight.

    Example:
        >>> as_times(["31/01/2024", "01/02/2024"])[0].dt.month.tolist()
        [1, 2]
        >>> as_times(["01/02/2024"])[1], as_times(["01/02/2024", "soon"])
        (True, None)
    """
    if not all(len(level) < 40 and _LOOKS.fullmatch(level) for level in levels):
        return None
    texts = pd.Series(levels, dtype=object)
    if all(map(_CLOCK.fullmatch, levels)):
        texts = texts.str.replace(r"^(\d+)\.(\d\d)\.", r"\1:\2:", regex=True)
        whole = texts.where(texts.str.count(":") == 2, texts + ":00")
        return pd.to_timedelta(whole), False
    for pattern in _FORMATS:
        times = _read(texts, pattern)
        if times is None:
            continue
        other = next((pattern.replace(first, second) for first, second in _SWAPPED.items() if first in pattern), "")
        swapped = _read(texts, other) if other else None
        return times, swapped is not None and not swapped.equals(times)
    return None


def _read(texts: pd.Series, pattern: str) -> pd.Series | None:
    times = pd.to_datetime(texts, format=pattern, errors="coerce", utc=True)
    return None if times.isna().any() else times.dt.tz_localize(None)


def days(times: pd.Series) -> tuple[Array, str]:
    """Times as numbers, NaN where there is none, and what they count.

    Example:
        >>> days(pd.Series(pd.to_datetime(["2024-01-01", None, "2024-01-03"])))
        (array([ 0., nan,  2.]), 'days since 2024-01-01')
    """
    if pd.api.types.is_timedelta64_dtype(times.dtype):
        return times.dt.total_seconds().to_numpy(dtype=np.float64) / 3600, "hours"
    start = times.min().normalize()
    return (times - start).dt.total_seconds().to_numpy(dtype=np.float64) / 86400, f"days since {start:%Y-%m-%d}"
