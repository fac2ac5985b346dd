"""Digits with points, commas and other marks -> numbers: which mark is the decimal one, decided over the table."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from ..columns import some
from ..reading import Reading

__all__ = ["Decided", "decide", "number"]

_PLAIN = re.compile(r"-?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")
_WHOLE = re.compile(r"-?\d+([eE][+-]?\d+)?")
_DECIMAL_COMMA = re.compile(r"-?(\d{1,3}(\.\d{3})+|\d*),\d*([eE][+-]?\d+)?")
_TAILS = {",": r"\.", ".": ","}  # what the decimal mark is then
_GROUPS = {
    mark: re.compile(rf"-?[1-9]\d{{0,2}}({re.escape(mark)}\d{{3}})+({_TAILS.get(mark, '[.,]')}\d*)?")
    for mark in (",", ".", "'", "_", " ")
}
_NO_POINT = re.compile(r"-?[1-9]\d{0,2}|0")
_ENOUGH = 10  # numbers with exactly three digits behind the point, beside whole ones: hardly by chance


@dataclass
class Decided:
    """How the numbers of each column are written."""

    # column -> (decimal mark, mark between thousands or "")
    styles: dict[str, tuple[str, str]] = field(default_factory=dict)
    unclear: dict[str, str] = field(default_factory=dict)  # column -> why its numbers can be read in two ways
    steps: list[str] = field(default_factory=list)


def decide(
    columns: Mapping[str, Sequence[str]],
    reading: Reading,
    decimal_comma: bool,
    styles: Mapping[str, tuple[str, str]] = MappingProxyType({}),
) -> Decided:
    """Find the marks of each column's numbers, by the values that allow one reading only.

    "1,5" and "0,640" have a decimal comma; "1,234" could also be one thousand two hundred thirty-four. It is read with
    a decimal comma if some other value of the table can only be that (`decimal_comma`: outside of `columns`), as
    thousands if some value of its column can only be that, and is unclear otherwise. "13.031" beside "284" is unclear
    too, where every point has three digits behind it. A column that holds no numbers is in none of the results.

    Where `styles` has the marks that a column had in an earlier table, it is read with these, or at least with the same
    decimal mark, and is unclear if that cannot be.
    """
    out = Decided()
    fits = {name: _fitting(cores, reading) for name, cores in columns.items()}
    comma_elsewhere = decimal_comma or any(ways and all(way[0] == "," for way in ways) for ways in fits.values())
    points = any(_grouped(cores, reading, alone=True) for cores in columns.values())
    found: dict[tuple[str, str], list[str]] = {}
    for name, fitting in fits.items():
        ways = fitting
        if not ways:
            continue
        before = styles.get(name) if reading["decimal"] is None and reading["thousands"] is None else None
        if before is not None and not all(map(_WHOLE.fullmatch, columns[name])):
            alike = [way for way in ways if way == before] or [way for way in ways if way[0] == before[0]]
            if alike:
                out.styles[name] = alike[0]
            else:
                out.unclear[name] = (
                    f"Column {name!r} had the decimal mark {before[0]!r} before, and holds {columns[name][0]!r} now. "
                    "Write it as before, or say how it is written: --decimal."
                )
            continue
        if (".", "") in ways and not (points and _grouped(columns[name], reading, alone=False)):
            out.styles[name] = (".", "")
            continue
        if len(ways) > 1 and comma_elsewhere and any(way[0] == "," for way in ways):
            ways = [way for way in ways if way[0] == ","]
        if len(ways) > 1:
            out.unclear[name] = _two_ways(name, columns[name], ways)
            continue
        out.styles[name] = ways[0]
        found.setdefault(ways[0], []).append(name)
    for (decimal, thousands), names in found.items():
        if thousands:
            example = f"1{thousands}234{thousands}567"
            kind = {",": "commas", ".": "points", "'": "apostrophes", "_": "underscores", " ": "blanks"}[thousands]
            out.steps.append(f"Read with {kind} between thousands ({example} is 1234567): {some(names)}.")
        if decimal == "," and not thousands:
            out.steps.append(f"Read with a decimal comma (1,5 is 1.5): {some(names)}.")
    return out


def number(core: str, style: tuple[str, str]) -> float | int:
    """The number, exact where it is whole.

    Example:
        >>> number("1.234,5", (",", ".")), number("9007199254740993", (".", ""))
        (1234.5, 9007199254740993)
    """
    decimal, thousands = style
    if core.lstrip("+-")[:1] in ("i", "I"):
        return float(core)
    plain = core.replace(thousands, "") if thousands else core
    if decimal == ",":  # points that are left can only stand between thousands
        plain = plain.replace(".", "").replace(",", ".")
    return int(plain) if plain.lstrip("-").isdigit() else float(plain)


def _fitting(cores: Sequence[str], reading: Reading) -> list[tuple[str, str]]:
    """(decimal, thousands) under which every value is a number."""
    given, thousands = reading["decimal"], reading["thousands"]
    if all(map(_WHOLE.fullmatch, cores)):
        return [(".", "")]
    ways: list[tuple[str, str]] = []
    if given != "," and all(map(_PLAIN.fullmatch, cores)):
        ways.append((".", ""))
    if given != "." and all(_DECIMAL_COMMA.fullmatch(core) or _WHOLE.fullmatch(core) for core in cores):
        ways.append((",", ""))
    for mark, groups in _GROUPS.items():
        if thousands not in (None, mark) or mark == given:
            continue
        decimal = given or ("," if mark == "." or (mark != "," and any("," in core for core in cores)) else ".")
        other = {mark, ".", ","} - {decimal, mark}
        seen = [core for core in cores if not _WHOLE.fullmatch(core)]
        grouped = [core for core in seen if groups.fullmatch(core) and not other & set(core)]
        taken = set(grouped)
        rest = [core for core in seen if core not in taken]
        if grouped and all(core.count(mark) == 0 and _plain_under(core, decimal) for core in rest):
            ways.append((decimal, mark))
    if thousands is not None and any(way[1] == thousands for way in ways):
        return [way for way in ways if way[1] == thousands]
    # "1.234,5" is a decimal comma whichever way it is looked at
    return [way for way in ways if not (way == (",", ".") and (",", "") in ways)]


def _plain_under(core: str, decimal: str) -> bool:
    return _PLAIN.fullmatch(core if decimal == "." else core.replace(",", ".")) is not None


def _grouped(cores: Sequence[str], reading: Reading, *, alone: bool) -> bool:
    """Whether points could stand between thousands: three digits behind each, and whole numbers below 1000 beside.

    One column where that is hardly by chance (`alone`) makes others of the table doubtful that would also allow it.
    """
    if reading["decimal"] == "." or reading["thousands"] not in (None, "."):
        return False
    pointed = [core for core in cores if "." in core]
    could = all(map(_GROUPS["."].fullmatch, pointed)) and all(
        _NO_POINT.fullmatch(core) for core in cores if "." not in core
    )
    if not alone or reading["thousands"] == ".":
        return bool(pointed) and could
    return could and _ENOUGH <= len(pointed) < len(cores)


def _two_ways(name: str, cores: Sequence[str], ways: Sequence[tuple[str, str]]) -> str:
    mark = "." if (".", "") in ways else ","
    example = next(core for core in cores if mark in core)
    small, large = example.replace(mark, "."), example.replace(mark, "")
    kind = "point" if mark == "." else "comma"
    return (
        f"Column {name!r} holds {example!r}: a decimal {kind} ({small}) or a {kind} between thousands ({large})? Say "
        f"which: --decimal {mark!r} or --thousands {mark!r}."
    )
