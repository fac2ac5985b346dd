"""Options about a table and how it is read, shared by the commands that take one."""

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated, Any

import typer

from .common import names_of, whole

__all__ = [
    "AS_DETECTED",
    "Data",
    "Drop",
    "Group",
    "HowRead",
    "Inputs",
    "Names",
    "Targets",
    "Time",
    "columns_option",
    "whole_option",
    "with_reading",
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
Group = Annotated[
    str | None, typer.Option("--group", metavar="NAME", help="Keep rows of one group on one side of the split.")
]
Time = Annotated[str | None, typer.Option("--time", metavar="NAME", help="Test on the latest rows by this column.")]

_READING: dict[str, tuple[Any, Any]] = {
    "no_header": (Annotated[bool, typer.Option("--no-header", help="The first line holds data, not names.")], False),
    "names": (Annotated[Names, columns_option("--names", "Names for all columns, in place of the file's.")], None),
    "sep": (Annotated[str | None, _mark("--sep", "Character between columns, such as ; or \\t.")], None),
    "decimal": (Annotated[str | None, _mark("--decimal", "Decimal mark: . or a comma.")], None),
    "thousands": (Annotated[str | None, _mark("--thousands", "Mark between thousands: , . ' _ or a blank.")], None),
    "na": (
        Annotated[
            Names, typer.Option("--na", metavar="TEXTS", help="Texts that also mean missing, as in --na=-999,unknown.")
        ],
        None,
    ),
    "skip_rows": (Annotated[int, whole_option("--skip-rows", "N", "Lines to skip at the start of the file.")], 0),
    "encoding": (Annotated[str | None, _mark("--encoding", "Text encoding, such as cp1252.", "NAME")], None),
}
_KINDS: dict[str, tuple[Any, Any]] = {
    "numeric": (Annotated[Names, columns_option("--numeric", "Columns to read as numbers.")], None),
    "categorical": (Annotated[Names, columns_option("--categorical", "Columns to read as classes.")], None),
    "date": (Annotated[Names, columns_option("--date", "Columns of dates or times to read as days or hours.")], None),
}


@dataclass(frozen=True)
class HowRead:
    """How a table is to be read, as it was typed.

    Attributes:
        no_header: Whether the first line holds data.
        names: Names for all columns, in place of the file's.
        said: Options about cells that were given, as `equipoise.data.load` takes them.
    """

    no_header: bool = False
    names: tuple[str, ...] | None = None
    said: dict[str, Any] = field(default_factory=dict)

    @property
    def typed(self) -> dict[str, Any]:
        """All of it as options of a command line."""
        return {"no_header": self.no_header, "names": self.names, **self.said}

    @property
    def asked(self) -> dict[str, Any]:
        """All of it as arguments of the library."""
        return {"header": not self.no_header, "names": self.names, **self.said}


AS_DETECTED = HowRead()


def with_reading(*, kinds: bool) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Put the options about reading in the place of a command's parameter ``reading``, which gets a `HowRead`.

    Args:
        kinds: Whether the kinds of columns are among them.
    """
    options = {**_READING, **_KINDS} if kinds else _READING

    def decorated(command: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(command)
        def wrapped(**values: Any) -> None:
            typed = {name: values.pop(name) for name in options}
            no_header, names = typed.pop("no_header"), names_of(typed.pop("names"))
            cells = {name: names_of(value) if isinstance(value, list) else value for name, value in typed.items()}
            said = {name: value for name, value in cells.items() if value not in (None, (), 0)}
            command(**values, reading=HowRead(no_header, names, said))

        own = inspect.signature(command)
        place = list(own.parameters).index("reading")
        kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
        added = [inspect.Parameter(name, kind, default=d, annotation=a) for name, (a, d) in options.items()]
        parameters = list(own.parameters.values())
        whole = own.replace(parameters=[*parameters[:place], *added, *parameters[place + 1 :]])
        wrapped.__signature__ = whole  # type: ignore[attr-defined]
        wrapped.__annotations__ = {name: one.annotation for name, one in whole.parameters.items()}
        return wrapped

    return decorated
