"""Chosen columns of one file or of several alike: numbers as float64, everything else as labels."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from ...core.names import doubled
from ...core.numbers import Array
from ...data.columns import some, unknown_columns
from ...data.encoding.prepare import prepared
from ...data.encoding.values import holds
from ...data.loading import read_columns
from ...data.raw import RawTable, refuse
from ...data.reading import checked_reading
from ...errors import DataError, listed

__all__ = ["LogTable", "chosen", "read_tables"]


@dataclass(frozen=True, eq=False)
class LogTable:
    """Columns of a log.

    Attributes:
        name: Name of the file, or of the first of several.
        sha256: Checksum of the file; of all checksums where there are several.
        files: Number of files.
        rows: Number of rows of all files.
        numbers: Column -> (rows,) float64, NaN where missing.
        labels: Column -> one text a row, equal for equal values.
        steps: Sentences about how it was read.
        columns: Names of all columns of the files.
    """

    name: str
    sha256: str
    files: int
    rows: int
    numbers: Mapping[str, Array]
    labels: Mapping[str, tuple[str, ...]]
    steps: tuple[str, ...]
    columns: tuple[str, ...]


def read_tables(sources: Sequence[str]) -> list[RawTable]:
    """Read files; they are only ever read.

    Args:
        sources: Paths, addresses, ``-``: any format that `equipoise.data.load` knows.

    Raises:
        DataError: A file cannot be read.
    """
    reading = checked_reading({})
    return [read_columns(source, True, None, reading) for source in sources]


def chosen(
    raws: Sequence[RawTable], numbers: Mapping[str, Sequence[str]], labels: Mapping[str, Sequence[str]]
) -> LogTable:
    """Columns of tables of the same kind, their rows joined.

    Args:
        raws: The tables as they were read.
        numbers: Option that the user typed -> columns that must hold numbers.
        labels: Option -> columns whose values only need to be told apart.

    Raises:
        DataError: A table lacks a column, or a column of numbers holds something else; all at once.
    """
    for raw in raws:
        _check_names(raw, {**numbers, **labels})
    wanted = [name for names in numbers.values() for name in names]
    others = [name for names in labels.values() for name in names]
    frame = pd.concat([raw.frame[[*wanted, *others]] for raw in raws], ignore_index=True)
    first = raws[0]
    if not len(frame):
        raise DataError(f"{first.name!r} must hold one row at least, found only names of columns.")
    texts = frozenset().union(*(raw.texts for raw in raws)) & set(wanted)
    joined = replace(first, frame=frame[wanted], texts=texts, marks={}, unclear={}, notes={}, steps=())
    digests = [raw.sha256 for raw in raws]
    ready = prepared(joined, checked_reading({"numeric": wanted}))
    problems = [words for name, words in ready.unclear.items() if name in wanted]
    values = {name: _numbers(name, ready.frame[name], problems) for name in wanted if name not in ready.unclear}
    refuse(f"Table {first.name!r}", problems)
    return LogTable(
        name=first.name,
        sha256=digests[0] if len(raws) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest(),
        files=len(raws),
        rows=len(frame),
        numbers=values,
        labels={name: tuple(map(_label, frame[name].tolist())) for name in others},
        steps=tuple(dict.fromkeys(words for raw in raws for words in (*raw.steps, *raw.warnings))),
        columns=tuple(map(str, first.frame.columns)),
    )


def _check_names(raw: RawTable, roles: Mapping[str, Sequence[str]]) -> None:
    known = [str(column) for column in raw.frame.columns]
    problems = [words for option, names in roles.items() for words in unknown_columns(option, names, known)]
    every = [name for names in roles.values() for name in names]
    if twice := doubled(every):
        problems.append(f"Named twice: {listed(twice)}. Name each column in one place.")
    refuse(f"Table {raw.name!r}", problems)


def _numbers(name: str, column: pd.Series, problems: list[str]) -> Array:
    """A column as float64; adds a problem and returns nothing useful where it is none of numbers."""
    if not column.notna().any():  # nothing is known of it, and whoever uses it says so
        return np.full(len(column), np.nan)
    if holds(column) not in ("numbers", "booleans"):
        found = list(dict.fromkeys(str(value) for value in column[column.notna()].head(1000)))
        problems.append(f"Column {name!r} must hold numbers; found {some(found, 3)}.")
        return np.full(len(column), np.nan)
    return pd.to_numeric(column, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)


def _label(value: Any) -> str:
    """A value as text; nested ones, such as the messages of a chat, as JSON."""
    if isinstance(value, str):
        return value
    if isinstance(value, float):
        return f"{value:.12g}"
    if isinstance(value, list | tuple | dict | np.ndarray):
        return json.dumps(value, default=_plain, ensure_ascii=False, sort_keys=True)
    return str(value)


def _plain(value: Any) -> Any:
    return value.tolist() if hasattr(value, "tolist") else str(value)
