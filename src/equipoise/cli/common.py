"""What commands share: options, printing, errors and exit codes."""

import csv
import errno
import functools
import shlex
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ParamSpec, TypeVar

import typer

from ..errors import EquipoiseError, InputError
from .terminal import say, say_json

if TYPE_CHECKING:
    from rich.console import RenderableType

    from ..audits.run_folder import RunFolder
    from ..core.records.audit import AuditRecord

__all__ = [
    "Import",
    "Json",
    "Out",
    "Overwrite",
    "Quiet",
    "Seed",
    "command_line",
    "finish",
    "import_modules",
    "names_of",
    "numbers_of",
    "pairs_of",
    "reporting",
    "reporting_with",
    "show",
    "whole",
]

PIPED_WIDTH = 120
"""Columns of a table that does not go to a terminal."""


def whole(text: str | int) -> int:
    """Read a whole number from an option; the library checks its range."""
    try:
        return int(text)
    except ValueError as error:
        raise typer.BadParameter(f"must be a whole number; found {text!r}.") from error


Out = Annotated[
    Path | None,
    typer.Option("--out", "-o", metavar="FOLDER", help="Folder to write. Default: a name made from the question."),
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace another run in that folder.")]
Seed = Annotated[int, typer.Option("--seed", metavar="N", parser=whole, help="Seed of all random numbers.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress on stderr.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of words.")]
Import = Annotated[
    list[str] | None,
    typer.Option(
        "--import", metavar="MODULE", help="Import a Python module that registers methods of yours. Repeat for more."
    ),
]

_P = ParamSpec("_P")
_R = TypeVar("_R")


_INTERRUPTED = "interrupted; nothing half-written was left"


def reporting(command: Callable[_P, _R]) -> Callable[_P, _R]:
    """Turn errors into one readable message on stderr and an exit code: 2 bad input, 1 our fault, 130 interrupted."""
    return reporting_with(_INTERRUPTED)(command)


def reporting_with(interrupted: str) -> Callable[[Callable[_P, _R]], Callable[_P, _R]]:
    """Like `reporting`, with another sentence for an interrupted command."""
    return lambda command: _reporting(command, interrupted)


def _reporting(command: Callable[_P, _R], interrupted: str) -> Callable[_P, _R]:

    @functools.wraps(command)
    def wrapped(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        try:
            return command(*args, **kwargs)
        except EquipoiseError as error:
            say(f"error: {error}", err=True)
            raise typer.Exit(2 if isinstance(error, InputError) else 1) from error
        except OSError as error:
            if error.errno == errno.EPIPE:  # whoever read our output has enough of it
                raise
            say(f"error: the system says: {error}", err=True)
            raise typer.Exit(1) from error
        except KeyboardInterrupt as error:
            say(interrupted, err=True)
            raise typer.Exit(130) from error

    return wrapped


def import_modules(modules: Sequence[str] | None) -> None:
    """Import modules that the user names, from the current folder too, as ``python -m`` does.

    Raises:
        InputError: A name is no module that can be found.
    """
    for module in modules or ():
        if "" not in sys.path:
            sys.path.insert(0, "")
        try:
            import_module(module)
        except ModuleNotFoundError as error:
            raise InputError(
                f"--import takes the dotted name of a Python module, such as my_package.my_methods; {module!r} cannot "
                f"be imported: {error}."
            ) from error


def names_of(values: Sequence[str] | None) -> tuple[str, ...] | None:
    """Column names from an option.

    Given once: names separated by commas, in double quotes where a name holds one. Given several times: each value
    is one name, as written.

    Example:
        >>> names_of(["a, b"]), names_of(["a,b", "c"]), names_of(None)
        (('a', 'b'), ('a,b', 'c'), None)
    """
    if not values:
        return None
    if len(values) > 1:
        return tuple(values)
    parts = next(csv.reader([values[0]], skipinitialspace=True), [])
    return tuple(part.strip() for part in parts if part.strip())


def numbers_of(text: str, flag: str) -> tuple[float, ...]:
    """Numbers separated by commas.

    Raises:
        InputError: Something else.

    Example:
        >>> numbers_of("1, 0.5", "--weights")
        (1.0, 0.5)
    """
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError as error:
        raise InputError(f"{flag} must be numbers separated by commas, as in 1,0.5; found {text!r}.") from error


def pairs_of(text: str, flag: str) -> dict[str, float]:
    """Names with a number each; a name may hold ``=``, as a metric of a logger may, but no comma.

    Raises:
        InputError: Something else, or a name given twice.

    Example:
        >>> pairs_of("a=0.3,b=2", "--bound")
        {'a': 0.3, 'b': 2.0}
    """
    found: dict[str, float] = {}
    for part in text.split(","):
        name, _, value = part.rpartition("=")
        if not name or name.strip() in found:
            raise InputError(f"{flag} must be NAME=NUMBER for different names, as in a=0.3; found {part!r}.")
        found[name.strip()] = numbers_of(value, flag)[0]
    return found


def command_line(command: str, *arguments: str, **options: object) -> str:
    """What to type to run this again: options that were not given (None, False, empty) are left out.

    Example:
        >>> command_line("audit", "my data.csv", targets=("a", "b"), width=1, no_header=False)
        "equipoise audit 'my data.csv' --targets a,b --width 1"
    """
    words = ["equipoise", command, *arguments]
    for option, value in options.items():
        flag = f"--{option.replace('_', '-')}"
        if value is True:
            words.append(flag)
        elif isinstance(value, tuple) and value:
            plain = all(name and name == name.strip() and not set(name) & set(',"') for name in value)
            names = (",".join(value),) if plain else value
            if len(names) == 1 and not plain:  # one name that would be split at its comma
                names = ('"' + names[0].replace('"', '""') + '"',)
            words += [word for name in names for word in _with_value(flag, name)]
        elif value not in (None, False, (), ""):
            words += _with_value(flag, str(value))
    return shlex.join(words)


def _with_value(flag: str, value: str) -> list[str]:
    """A value that begins with a dash would be taken for an option."""
    return [f"{flag}={value}"] if value.startswith("-") else [flag, value]


def show(renderable: "RenderableType") -> None:
    """Print on stdout; tables keep their width where the output is piped."""
    from rich.console import Console  # noqa: PLC0415 - not for --help

    console = Console(file=sys.stdout, highlight=False, markup=False, emoji=False)
    if not console.is_terminal:
        console.width = PIPED_WIDTH
    console.print(renderable)


def finish(
    folder: "RunFolder", records: Sequence["AuditRecord"], title: str | None, as_json: bool, hint: str = ""
) -> None:
    """Write the folder, print the result, and the report's path as the last line."""
    from ..core.records.as_json import records_to_json  # noqa: PLC0415 - not for --help
    from ..report import render_console, render_html  # noqa: PLC0415 - not for --help

    folder.write(records, render_html(records, title))
    if as_json:
        say_json(records_to_json(records))
    else:
        show(render_console(records))
        if hint:
            say(hint)
    say(str(folder.report), err=as_json)
