"""Options about how the cells of a table are read."""

import codecs
import itertools
from collections.abc import Mapping, Sequence
from typing import TypedDict, cast, get_type_hints

from ..core.numbers import is_whole
from ..errors import DataError, listed
from .columns import clean_name

__all__ = ["NOTHING_SAID", "Reading", "checked_reading"]


class Reading(TypedDict, total=False):
    r"""Options of `equipoise.data.load` about how cells are read; all may be left out.

    Attributes:
        sep: Character between the columns of a text table; ``"\t"`` for a tab, ``" "`` for any number of blanks.
            None: found from the first lines.
        decimal: ``"."`` or ``","``. None: found for each column.
        thousands: Character between groups of three digits (``","``, ``"."``, ``"'"``, ``"_"`` or ``" "``). None:
            found for each column; a column that can be read in two ways is refused.
        na: Texts that mean a missing value, in any column, besides the usual ones. A number counts as a number:
            ``"-999"`` also covers ``-999.0``.
        skip_rows: Lines to pass over at the start of a text table, or rows of a sheet.
        encoding: Encoding of a text table, as Python names it. None: found.
        numeric: Columns that must be numbers: never taken for an identifier, and any cell that is no number is refused.
        categorical: Columns that are classes, though they may look like numbers or like free text.
        date: Columns of dates or clock times, turned into numbers: days since the first date, hours since midnight.
    """

    sep: str | None
    decimal: str | None
    thousands: str | None
    na: Sequence[str]
    skip_rows: int
    encoding: str | None
    numeric: Sequence[str]
    categorical: Sequence[str]
    date: Sequence[str]


NOTHING_SAID: Reading = {
    "sep": None, "decimal": None, "thousands": None, "na": (), "skip_rows": 0, "encoding": None,
    "numeric": (), "categorical": (), "date": (),
}  # fmt: skip
_THOUSANDS = (",", ".", "'", "_", " ")
_TYPED = {"\\t": "\t", "tab": "\t", "\\s+": " "}  # what people type in a shell


def checked_reading(given: Mapping[str, object]) -> Reading:
    r"""The options with defaults filled in and names cleaned.

    Raises:
        DataError: An option has a value that it cannot have, or a column is said to be of two kinds.
        TypeError: There is no such option.

    Example:
        >>> checked_reading({"sep": "tab", "na": ["-"]})["sep"]
        '\t'
    """
    unknown = sorted(set(given) - set(get_type_hints(Reading)))
    if unknown:
        raise TypeError(f"there is no option {listed(unknown)}; those about reading are {listed(NOTHING_SAID)}")
    reading = cast("Reading", {**NOTHING_SAID, **given})
    problems: list[str] = []
    for option in ("na", "numeric", "categorical", "date"):
        values = reading[option]
        if isinstance(values, str):
            problems.append(f"{option} must be a list, found one text {values!r}: write {option}=[{values!r}]")
            values = ()
        reading[option] = tuple(clean_name(value) for value in values)
    reading["sep"] = sep = _TYPED.get(reading["sep"] or "", reading["sep"])
    if sep is not None and (len(sep) != 1 or sep in '"\n\r' or sep.isalnum()):
        problems.append(f"--sep must be one character, or \\t for a tab, or a blank for blanks; found {sep!r}")
    decimal, thousands = reading["decimal"], reading["thousands"]
    skip, encoding = reading["skip_rows"], reading["encoding"]
    if decimal not in (None, ".", ","):
        problems.append(f"--decimal must be a point or a comma; found {decimal!r}")
    if thousands not in (None, *_THOUSANDS):
        problems.append(f"--thousands must be one of {listed(_THOUSANDS)}; found {thousands!r}")
    elif thousands is not None and thousands == decimal:
        problems.append(f"--thousands and --decimal must differ; found {decimal!r} for both")
    if not is_whole(skip):
        problems.append(f"--skip-rows must be a whole number of 0 or more; found {skip!r}")
    if encoding is not None:
        try:
            codecs.lookup(encoding)
        except LookupError:
            problems.append(f"--encoding must be one that Python knows, such as utf-8 or cp1252; found {encoding!r}")
    kinds = {"numeric": reading["numeric"], "categorical": reading["categorical"], "date": reading["date"]}
    for first, second in itertools.combinations(kinds, 2):
        if both := [name for name in kinds[first] if name in kinds[second]]:
            problems.append(f"--{first} and --{second} both name {listed(both)}; keep one")
    if problems:
        raise DataError("; ".join(problems) + ".")
    return reading
