"""How a text table is laid out: what stands above it, its separator, its header; causes named where it is no table."""

import csv
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from ...errors import DataError
from ..columns import some
from ..reading import Reading
from .separator import SEPARATORS, is_number, sniff
from .text import FileText

__all__ = ["Layout", "lay_out", "ragged"]

_LOOKED_AT = 400  # lines
_ABSENT = {"", "?", "NA", "nan", "NaN", "null", "NULL"}
ROW_NAMES = "row names"


@dataclass
class Layout:
    """Where the rows of a text table begin, and what their columns are called."""

    separator: str  # between columns; " " for any number of blanks
    skip: int  # lines above the first row of data
    names: list[str] | None  # one a column, as in the header; None where there is no header
    width: int  # number of columns
    decimal: str  # mark of decimals that some number of the first rows can only have
    steps: list[str] = field(default_factory=list)  # what was skipped or added


@dataclass(frozen=True)
class _Record:
    first: int  # line, counted from 1
    last: int
    cells: list[str]

    @property
    def numbers(self) -> int:
        return sum(map(is_number, self.cells))


def lay_out(file: FileText, reading: Reading, header: bool) -> Layout:
    """Look at the first lines of a text table.

    Skipped, with a note: a line ``sep=;`` (Excel), lines above the table that begin with ``#``, a separator at the end
    of each row. A header that is one cell shorter than all rows names no row names (R); these become a column.

    Raises:
        DataError: Title lines, a row of units, or no separator; the message says what to type.
    """
    lines = file.lines(reading["skip_rows"] + _LOOKED_AT)
    name, steps, skip = file.source.name, [], reading["skip_rows"]
    if skip:
        steps.append(f"The first {skip} lines were skipped, as asked.")
    if skip >= len(lines):
        raise DataError(f"{name!r} has {len(lines)} lines: --skip-rows {skip} leaves no table.")
    separator = reading["sep"]
    first = lines[skip].rstrip("\r\n")
    if len(first) == 5 and first.lower().startswith("sep="):
        separator = separator or first[-1]
        steps.append(f"The line {first!r} names the separator and was skipped.")
        skip += 1
    before = skip
    while skip < len(lines) and (not lines[skip].strip() or lines[skip].lstrip().startswith("#")):
        skip += 1
    if skip == len(lines):
        raise DataError(f"{name!r} holds only comment lines: it must hold a table.")
    separator = separator or sniff("".join(lines[skip:]), name)
    whole = len(lines) < reading["skip_rows"] + _LOOKED_AT
    records = list(_records(lines[skip:], separator, skip))
    if not whole and len(records) > 1:
        records.pop()  # it may be cut
    comments = [line for line in lines[before:skip] if line.strip()]
    if header and comments and records[0].numbers:  # a header behind a comment mark, as NumPy writes it
        (marked,) = _records([comments[-1].lstrip().lstrip("#").lstrip()], separator, skip - 1)
        if len(marked.cells) == len(records[0].cells) and not marked.numbers:
            records.insert(0, marked)
            comments.pop()
    if comments:
        steps.append(f"Comment lines above the table were skipped: {len(comments)}.")
    layout = Layout(separator, records[0].last if header else skip, None, len(records[0].cells), ".", steps)
    body = records[1:] if header else records
    _refuse_above(name, records, body, header)
    if all(len(record.cells) == 1 for record in records):
        raise DataError(
            f"{name!r} must have two or more columns separated by {SEPARATORS.get(separator, separator)}, "
            f"found one: {records[0].cells[0][:60]!r}."
        )
    if header:
        layout.names = records[0].cells
        _one_more(layout, body)
    cells = [cell.strip() for record in body for cell in record.cells]
    if separator != "," and any(_only_decimal_comma(cell) for cell in cells):
        layout.decimal = ","
    return layout


def _refuse_above(name: str, records: list[_Record], body: list[_Record], header: bool) -> None:
    """Titles above the table, and units below its header."""
    if not header or len(body) < 2:
        return
    top, second = records[0], body[0]
    width = Counter(len(record.cells) for record in body).most_common(1)[0][0]
    table = next((place for place, record in enumerate(records) if len(record.cells) == width), 0)
    named = table and not records[table].numbers and all(len(record.cells) == width for record in records[table:])
    if named and len(top.cells) < width - 1:
        line = records[table].first
        raise DataError(
            f"{name!r}: the table seems to begin in line {line}, with {width} columns; what stands above it looks like "
            f"a title: {top.cells[0][:60]!r}. Pass over it: --skip-rows {line - 1}."
        )
    filled = [cell for cell in top.cells if cell.strip()]
    if len(filled) == 1 < len(top.cells) - 1 and all(cell.strip() for cell in second.cells) and not second.numbers:
        raise DataError(
            f"{name!r}: its first line holds one cell, {filled[0][:60]!r}, and looks like a title; the names seem to "
            f"stand in line {second.first}. Pass over it: --skip-rows {second.first - 1}."
        )
    marks = sum(cell.strip() not in _ABSENT for cell in second.cells)
    rest = body[1:]
    numeric = len(rest) > 2 and all(2 * record.numbers >= len(record.cells) for record in rest)
    if numeric and not second.numbers and 2 * marks >= len(second.cells):
        raise DataError(
            f"{name!r}: line {second.last} holds no number, while every line below it does; it looks like units or a "
            f"second header: {some(second.cells, 4)}. Delete it, or type --skip-rows {second.last} --no-header "
            f"--names {','.join(cell.strip() for cell in top.cells[:4])}{',...' if len(top.cells) > 4 else ''}."
        )


def _one_more(layout: Layout, body: list[_Record]) -> None:
    """Rows that have one cell more than the header: a separator at their end, or row names."""
    names = layout.names or []
    if not body or {len(record.cells) for record in body} != {len(names) + 1}:
        return
    layout.width += 1
    if all(not record.cells[-1].strip() for record in body):
        layout.names = [*names, ""]
        layout.steps.append("Each row ends in a separator that the header does not have: no column was made of it.")
    else:
        layout.names = [ROW_NAMES, *names]
        layout.steps.append(
            f"Each row has one cell more than the header, as R writes row names: its first is column {ROW_NAMES!r}."
        )


def _only_decimal_comma(cell: str) -> bool:
    """Whether a cell is a number whose comma cannot stand between thousands."""
    whole, comma, rest = cell.rpartition(",")
    alone = len(rest) != 3 or whole.lstrip("+-") in ("", "0")
    return bool(comma) and alone and rest.isdigit() and "," not in whole and is_number(cell.replace(".", ""))


def _records(lines: Iterable[str], separator: str, before: int) -> Iterator[_Record]:
    """Records of some lines; blank ones are skipped."""
    if separator == " ":
        lines = (line.replace("\t", " ").strip() + "\n" for line in lines)
    reader = csv.reader(lines, delimiter=separator, skipinitialspace=True)
    first = before + 1
    try:
        for cells in reader:
            last = before + reader.line_num
            if len(cells) > 1 or "".join(cells).strip():
                yield _Record(first, last, cells)
            first = last + 1
    except csv.Error as error:
        raise DataError(f"line {before + reader.line_num} cannot be split into columns ({error}).") from error


def ragged(file: FileText, layout: Layout) -> str:
    """Why the rows of a table have different numbers of cells, as a clause; "" if they do not."""
    width, separator = layout.width, layout.separator
    wrong: list[tuple[int, int, int]] = []
    with file.open(layout.skip) as text:
        try:
            for record in _records(text, separator, layout.skip):
                if len(record.cells) != width:
                    wrong.append((record.first, record.last, len(record.cells)))
        except DataError as error:
            return str(error).rstrip(".")
    if not wrong:
        return ""
    first, last, found = wrong[0]
    if last > first:
        return (
            f"a double quote in line {first} opens a text that runs to line {last}; is it closed? Close it in line "
            f"{first}, or delete it"
        )
    between = f"({SEPARATORS.get(separator, repr(separator))} between them)"
    comma = separator == "," and found > width
    commas = "; numbers with decimal commas need another separator, such as a semicolon" if comma else ""
    foot = "; if the table ends there, delete what stands below it" if found < width else ""
    return (
        f"every row must have {width} cells as the first has {between}, found {found} in line {first} (rows of another "
        f"length: {len(wrong)}); a text that holds the separator or a line break must stand in double "
        f"quotes{commas}{foot}"
    )
