"""Attribute-relation files (.arff, also .gz): dense and sparse rows, numeric, nominal and text attributes.

The format is that of Weka (Witten and Frank); Mulan's multi-target sets use it. Texts and dates are left for
`prepared` to read; relational attributes are refused. Own parser: SciPy's reads neither sparse rows nor
texts.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ...errors import DataError
from ..columns import clean_name, column_names, some
from ..raw import RawTable
from ..reading import Reading
from .source import LIMIT, Source
from .text import as_text

__all__ = ["read_arff"]

# One value, quoted or bare, at the start of what is left of a line.
_VALUE = re.compile(r"""\s*(?:(?:'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)")\s*|([^,{}\s'"][^,]*|))(?:,|$)""")
_ATTRIBUTE = re.compile(
    r"""@attribute\s+(?:'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)"(?=\s|\{)|(\S+))\s*(.*)$""", re.IGNORECASE
)
_NUMERIC = ("numeric", "real", "integer")


@dataclass(frozen=True)
class _Attribute:
    name: str
    levels: tuple[str, ...] | None  # of a nominal attribute
    numeric: bool

    @property
    def zero(self) -> str:
        """What a sparse row means where it says nothing."""
        return self.levels[0] if self.levels else "0"


def read_arff(source: Source, reading: Reading, *, header: bool = True, names: Sequence[str] | None = None) -> RawTable:
    """Read an ARFF file; "?" is missing, nominal attributes become categories with the levels declared.

    Cost: O(cells), plain Python.

    Raises:
        DataError: The file breaks the format; the message names the line.
    """
    if not header or names is not None:
        raise DataError(f"{source.name!r} names its own columns: --no-header and --names are for files that do not.")
    file = as_text(source, reading["encoding"])
    lines = enumerate(file.text.split("\n"), start=1)
    relation, attributes = _read_head(lines, source.name)
    column_names(source.name, [attribute.name for attribute in attributes])
    filled = list(_filled(lines))
    _refuse_wide(filled, attributes, source.name)
    rows = [_read_row(line, attributes, number, source.name) for number, line in filled]
    columns = {
        attribute.name: _column([row[position] for row in rows], attribute, source.name)
        for position, attribute in enumerate(attributes)
    }
    frame = pd.DataFrame(columns, index=range(len(rows)))
    return source.table(frame, file.steps, about=f" (relation {relation!r})", warnings=file.warnings)


def _refuse_wide(lines: list[tuple[int, str]], attributes: list[_Attribute], name: str) -> None:
    """Sparse rows are made dense: refuse those that would fill the memory."""
    size = 8 * len(lines) * len(attributes)
    if size > LIMIT and any(line.startswith("{") for _, line in lines[:1]):
        raise DataError(
            f"{name!r}: sparse rows are made dense, which would take {size:,} bytes for {len(lines)} rows and "
            f"{len(attributes)} attributes; at most {LIMIT:,} are taken. Keep fewer attributes."
        )


def _filled(lines: Iterator[tuple[int, str]]) -> Iterator[tuple[int, str]]:
    for number, line in lines:
        stripped = line.strip()
        if stripped and not stripped.startswith("%"):
            yield number, stripped


def _read_head(lines: Iterator[tuple[int, str]], name: str) -> tuple[str, list[_Attribute]]:
    relation = ""
    attributes: list[_Attribute] = []
    for number, line in _filled(lines):
        word = line.split(None, 1)[0].lower()
        if word == "@data":
            if not attributes:
                break
            return relation, attributes
        if word == "@relation":
            relation = line[len(word) :].strip().strip("'\"")
        elif word == "@attribute":
            attributes.append(_read_attribute(line, number, name))
        else:
            raise DataError(
                f"{name!r}, line {number}: an ARFF head holds @relation, @attribute and @data, found {line[:60]!r}."
            )
    raise DataError(
        f"{name!r} must declare attributes and then '@data', found {len(attributes)} attributes and no data. "
        f"If this is a plain table, name it .csv."
    )


def _read_attribute(line: str, number: int, name: str) -> _Attribute:
    match = _ATTRIBUTE.match(line)
    kind = match[4].strip() if match else ""
    if match is None or not kind:
        raise DataError(f"{name!r}, line {number}: '@attribute name type' was expected, found {line[:60]!r}.")
    title = clean_name(_unescape(next(group for group in match.groups()[:3] if group is not None)))
    while len(title) > 2 and title[0] == title[-1] and title[0] in "'\"":
        title = title[1:-1].strip()
    if kind.startswith("{"):
        inside = kind[1:].rpartition("}")[0] or kind[1:]
        return _Attribute(title, tuple(value or "" for value in _values(inside, number, name)), numeric=False)
    word = kind.split(None, 1)[0].lower()
    if word not in (*_NUMERIC, "string", "date"):
        raise DataError(
            f"{name!r}, line {number}: attribute {title!r} must be numeric, real, integer, string, date or {{levels}}, "
            f"found {kind[:40]!r}."
        )
    return _Attribute(title, None, numeric=word in _NUMERIC)


def _values(text: str, number: int, name: str) -> list[str | None]:
    """Comma-separated values, quotes resolved; None for a bare question mark."""
    if "'" not in text and '"' not in text:  # the common case, and much faster
        return [None if part == "?" else part for part in (part.strip() for part in text.split(","))]
    values: list[str | None] = []
    position = 0
    while True:
        match = _VALUE.match(text, position)
        if match is None:
            raise DataError(f"{name!r}, line {number}: a quote is not closed: {text[position : position + 40]!r}.")
        single, double, bare = match.groups()
        text_found = single if single is not None else double or (bare or "").rstrip()
        values.append(None if bare is not None and bare.strip() == "?" else _unescape(text_found))
        position = match.end()
        if not match[0].endswith(","):
            return values


def _read_row(line: str, attributes: list[_Attribute], number: int, name: str) -> list[str | None]:
    if line.startswith("{"):
        return _read_sparse(line, attributes, number, name)
    values = _values(line, number, name)
    if len(values) == 1 < len(attributes) and "\t" in line:  # tabs between the values, as Weka reads them too
        values = _values(line.replace("\t", ","), number, name)
    if len(values) != len(attributes):
        raise DataError(
            f"{name!r}, line {number}: a row must have {len(attributes)} values, one an attribute, found {len(values)}."
        )
    return values


def _read_sparse(line: str, attributes: list[_Attribute], number: int, name: str) -> list[str | None]:
    row: list[str | None] = [attribute.zero for attribute in attributes]
    inside = line[1:].rpartition("}")[0] if "}" in line else line[1:]
    seen: set[str] = set()
    for entry in re.findall(r"""(?:[^,'"]|'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")+""", inside.strip()):
        index, value = (*entry.strip().split(None, 1), "", "")[:2]
        known = index.isascii() and index.isdigit() and len(index) < 10 and int(index) < len(attributes)
        if not known or not value:
            raise DataError(
                f"{name!r}, line {number}: a sparse row must hold 'index value' with an index from 0 to "
                f"{len(attributes) - 1}, found {entry.strip()!r}."
            )
        if index in seen:
            raise DataError(f"{name!r}, line {number}: a sparse row must name each index once, found {index} twice.")
        seen.add(index)
        row[int(index)] = _values(value, number, name)[0]
    return row


def _column(values: list[str | None], attribute: _Attribute, name: str) -> pd.Series:
    if attribute.levels is not None:
        known = set(attribute.levels)
        foreign = sorted({value for value in values if value is not None and value not in known})
        if foreign:
            raise DataError(
                f"{name!r}: attribute {attribute.name!r} must hold its declared levels "
                f"({some(attribute.levels)}), found {some(foreign)}."
            )
        return pd.Series(pd.Categorical(values, categories=list(dict.fromkeys(attribute.levels))))
    if not attribute.numeric:
        return pd.Series(values, dtype=object)
    try:
        return pd.Series(np.array([np.nan if value is None else float(value) for value in values]))
    except ValueError as error:
        raise DataError(f"{name!r}: attribute {attribute.name!r} must hold numbers: {error}.") from error


def _unescape(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text)
