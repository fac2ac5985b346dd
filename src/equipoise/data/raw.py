"""A table as its reader returns it, before anything is encoded."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.numbers import Array
from ..errors import DataError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Card", "RawTable", "frame_of", "refuse", "values_sha256"]


@dataclass(frozen=True)
class Card:
    """Facts about a built-in set, known before it is loaded.

    Attributes:
        name: What to type to get it.
        about: Its content, in a few words.
        rows: Number of rows.
        inputs: Number of input columns.
        tasks: Names of the targets.
        units: One a task, "" where there is none.
        source: Origin of the data, with its address.
        licence: Licence as stated by its owner.
        sha256: Checksum of the values as little-endian float64, inputs then targets, row by row; "" for generated
            sets.
    """

    name: str
    about: str
    rows: int
    inputs: int
    tasks: tuple[str, ...]
    units: tuple[str, ...]
    source: str
    licence: str
    sha256: str = ""

    @property
    def origin(self) -> str:
        """Source and licence in one line, as a table shows them."""
        return f"{self.source}; licence: {self.licence}"

    def table(self, columns: Mapping[str, Array], step: str, **facts: Any) -> "RawTable":
        """The set's columns, with what the card knows of them; `facts` are further attributes."""
        units = dict(zip(self.tasks, self.units, strict=True))
        frame, origin = frame_of(columns), self.origin
        return RawTable(frame, name=self.name, source=origin, declared=self.tasks, units=units, steps=(step,), **facts)

    def doubts(self, values: Array) -> tuple[str, ...]:
        """A warning if the bundled values (rows, inputs then tasks) differ from those of this card."""
        if values_sha256(values) == self.sha256:
            return ()
        return ("The values bundled with this scikit-learn differ from those that this set's card was written for.",)


@dataclass(frozen=True, eq=False)
class RawTable:
    """Columns as they were read."""

    frame: "pd.DataFrame"  # one column a column of the file, names stripped, unique
    name: str  # name of the set or file
    source: str  # origin and licence, as a phrase
    # columns of a declared target set: never inputs, and the targets where none are named
    declared: tuple[str, ...] = ()
    units: Mapping[str, str] = field(default_factory=dict)  # column -> unit
    # column -> why its values cannot be read for certain; such a column is refused only where it is used
    unclear: Mapping[str, str] = field(default_factory=dict)
    steps: tuple[str, ...] = ()  # what was done so far
    warnings: tuple[str, ...] = ()  # what the reader should doubt so far
    sha256: str = ""
    texts: frozenset[str] = frozenset()  # columns that hold the file's own texts, not yet read as numbers
    decimal_comma: bool = False  # whether some number of the table can only have a decimal comma
    # column -> marks of missing values -> how often each was found
    marks: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    notes: Mapping[str, str] = field(default_factory=dict)  # column -> what was done to it, in a few words
    written_in: Mapping[str, str] = field(default_factory=dict)  # column of numbers -> unit that stood in every cell
    # column of numbers that were texts -> decimal mark, and mark between thousands or ""
    styles: Mapping[str, tuple[str, str]] = field(default_factory=dict)


def refuse(about: str, problems: Sequence[str]) -> None:
    """Raise one DataError that begins with `about` and lists all problems, or return where there are none.

    Example:
        >>> refuse("Table 'toy'", ["No rows."])
        Traceback (most recent call last):
        ...
        equipoise.errors.DataError: Table 'toy': No rows.
    """
    if len(problems) == 1:
        raise DataError(f"{about}: {problems[0]}")
    if problems:
        lines = "\n".join(f"  {number}. {problem}" for number, problem in enumerate(problems, start=1))
        raise DataError(f"{about}: {len(problems)} things to put right.\n{lines}")


def frame_of(columns: Mapping[str, Array]) -> "pd.DataFrame":
    """Named columns of equal length as a data frame."""
    import pandas as pd  # noqa: PLC0415 - slow to import; cards and dynamics do without

    return pd.DataFrame(dict(columns))


def values_sha256(values: Array) -> str:
    """SHA-256 of an (n, m) array as little-endian float64, row by row."""
    return hashlib.sha256(np.ascontiguousarray(values, dtype="<f8").tobytes()).hexdigest()
