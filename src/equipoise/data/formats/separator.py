"""Which character separates the columns of a text table, found from its first lines."""

import csv
import io
import re
from collections import Counter
from itertools import islice

from ...errors import DataError

__all__ = ["SEPARATORS", "is_number", "sniff"]

SEPARATORS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "vertical bar", " ": "blanks"}
_LOOKED_AT = 100  # records
_NUMBER = re.compile(r"[+-]?(\d+([.,]\d*)?|[.,]\d+)([eE][+-]?\d+)?")  # linear in the length of a cell


def is_number(cell: str) -> bool:
    """Whether a cell is a number, with a decimal point or comma.

    Example:
        >>> is_number("-1,5"), is_number(".5e3"), is_number("1.2.3")
        (True, True, False)
    """
    return _NUMBER.fullmatch(cell.strip()) is not None


def sniff(text: str, name: str) -> str:
    r"""The separator under which the first records have the same number of columns, two or more.

    Each candidate splits the first 100 records, quotes respected. Ranked by the share of records with the commonest
    number of columns, then by the share of cells that are numbers (a decimal comma counts, where comma does not
    separate), then by the number of columns. Blanks are considered where every line has as many cells and all but the
    first line's are numbers. `name` is that of the file, for the message.

    Raises:
        DataError: No candidate gives two columns.

    Example:
        >>> sniff("a;b;c\n1,5;2,5;3\n4;5,5;6\n", "toy.csv")
        ';'
    """
    best: tuple[tuple[float, float, int], str] | None = None
    for separator in (",", ";", "\t", "|"):
        score = _score(_records(text, separator))
        if score is not None and (best is None or score > best[0]):
            best = (score, separator)
    lines = list(islice((line.split() for line in text.splitlines() if line.strip()), _LOOKED_AT))
    numbers_only = all(is_number(cell) for line in lines[1:] for cell in line)
    blanks = _score(lines) if numbers_only and len({len(line) for line in lines}) == 1 else None
    if blanks is not None and (best is None or blanks > best[0]):
        return " "
    if best is not None:
        return best[1]
    first = next(filter(str.strip, text.splitlines()))[:60]
    raise DataError(
        f"{name!r} must have two or more columns separated by comma, semicolon, tab or vertical bar, found one "
        f"column: its first line is {first!r}. Name the separator (--sep ':', or --sep ' ' for blanks), or save the "
        "table again with commas between the columns."
    )


def _records(text: str, separator: str) -> list[list[str]]:
    reader = csv.reader(io.StringIO(text), delimiter=separator, skipinitialspace=True)
    try:
        return [record for record in islice(reader, _LOOKED_AT) if record]
    except csv.Error:  # a field over the reader's size limit: this separator does not split
        return []


def _score(records: list[list[str]]) -> tuple[float, float, int] | None:
    """(share of records of the commonest width, share of numbers, width), or None for one column."""
    if not records:
        return None
    width, count = Counter(len(record) for record in records).most_common(1)[0]
    if width < 2:
        return None
    cells = [cell for record in records for cell in record]
    numbers = sum(map(is_number, cells))
    return count / len(records), numbers / len(cells), width
