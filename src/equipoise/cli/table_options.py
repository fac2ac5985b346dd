"""Options about a table and how it is read, shared by the commands that take one."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from .common import names_of, whole

if TYPE_CHECKING:
    from ..data import Reading

__all__ = [
    "Categorical",
    "ColumnNames",
    "Data",
    "Dates",
    "Decimal",
    "Drop",
    "Encoding",
    "Inputs",
    "Missing",
    "Names",
    "NoHeader",
    "Numeric",
    "Separator",
    "SkipRows",
    "Targets",
    "Thousands",
    "columns_option",
    "reading_of",
    "said_of",
    "whole_option",
]

Names = list[str] | None

_NAMES = "Separate names with commas, or repeat the option with one name each."


def columns_option(flag: str, text: str, *short: str) -> Any:
    """An option that takes names of columns."""
    return typer.Option(flag, *short, metavar="NAMES", help=text)


def whole_option(flag: str, metavar: str, text: str, *short: str) -> Any:
    """An option that takes a whole number; the library checks its range."""
    return typer.Option(flag, *short, metavar=metavar, parser=whole, help=text)


def _mark(flag: str, text: str, metavar: str = "C") -> Any:
    return typer.Option(flag, metavar=metavar, help=f"{text} Default: detected.")


Data = Annotated[
    str, typer.Argument(metavar="DATA", help="A file, a web address, - for standard input, or a built-in name.")
]
Targets = Annotated[Names, columns_option("--targets", f"Target columns. {_NAMES}", "-t")]
Inputs = Annotated[Names, columns_option("--inputs", "Input columns. Default: all other columns.")]
Drop = Annotated[Names, columns_option("--drop", "Columns to ignore.")]
NoHeader = Annotated[bool, typer.Option("--no-header", help="The first line holds data, not names.")]
ColumnNames = Annotated[Names, columns_option("--names", "Names for all columns, in place of the file's.")]
Separator = Annotated[str | None, _mark("--sep", "Character between columns, such as ; or \\t.")]
Decimal = Annotated[str | None, _mark("--decimal", "Decimal mark: . or a comma.")]
Thousands = Annotated[str | None, _mark("--thousands", "Mark between thousands: , . ' _ or a blank.")]
Missing = Annotated[
    Names, typer.Option("--na", metavar="TEXTS", help="Texts that also mean missing, as in --na=-999,unknown.")
]
SkipRows = Annotated[int, whole_option("--skip-rows", "N", "Lines to skip at the start of the file.")]
Encoding = Annotated[str | None, _mark("--encoding", "Text encoding, such as cp1252.", "NAME")]
Numeric = Annotated[Names, columns_option("--numeric", "Columns to read as numbers.")]
Categorical = Annotated[Names, columns_option("--categorical", "Columns to read as classes.")]
Dates = Annotated[Names, columns_option("--date", "Columns of dates or times to read as days or hours.")]


def reading_of(
    sep: str | None,
    decimal: str | None,
    thousands: str | None,
    na: Names,
    skip_rows: int,
    encoding: str | None,
    numeric: Names = None,
    categorical: Names = None,
    date: Names = None,
) -> "Reading":
    """The options about cells as `equipoise.data.load` takes them."""
    return {
        "sep": sep, "decimal": decimal, "thousands": thousands, "na": names_of(na) or (), "skip_rows": skip_rows,
        "encoding": encoding, "numeric": names_of(numeric) or (), "categorical": names_of(categorical) or (),
        "date": names_of(date) or (),
    }  # fmt: skip


def said_of(reading: "Reading") -> dict[str, Any]:
    """Those of them that were given."""
    return {option: value for option, value in reading.items() if value not in (None, (), 0)}
