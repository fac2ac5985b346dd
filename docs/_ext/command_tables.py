"""A directive that writes what a command does and takes, from the command line itself."""

import inspect
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

import typer
from method_tables import Written, row, table
from typer.models import ParameterInfo

from equipoise.cli.app import app

ARGUMENTS, OWN = "Arguments", "Options"
SHARED = {  # module that defines a type of option for several commands -> what stands above their table
    "equipoise.cli.table_options": "How the table is read",
    "equipoise.cli.common": "The run and what it prints",
}
GROUPS = [ARGUMENTS, OWN, *SHARED.values()]
KINDS = {str: "text", int: "whole number", float: "number", Path: "path", bool: "switch"}
DEFAULT = re.compile(r"\s*Default( for \w+)?: (.+?)\.?$")
TYPED = re.compile(r"(``[^`]+``|\{[^}]*\}|(?<!\S)--?[a-zA-Z][\w-]*(?:=[\w,-]*\w)?)")


@dataclass(frozen=True)
class Parameter:
    """One argument or option of a command.

    Attributes:
        flags: What is typed ("--out", "-o"); the name in capitals for an argument.
        value: Type of the value in words, after the name that ``--help`` gives it.
        default: What holds if nothing is typed.
        words: The help text, without its sentence on the default.
        group: Heading of its table.
    """

    flags: tuple[str, ...]
    value: str
    default: str
    words: str
    group: str


def commands(group: Any = None, before: str = "") -> Iterator[tuple[str, Any]]:
    """Name and command of everything that can be typed after ``equipoise``, groups opened."""
    for name, command in (typer.main.get_command(app) if group is None else group).commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, f"{before}{name} ")
        else:
            yield f"{before}{name}", command


def parameters(command: Any) -> list[Parameter]:
    """What a command takes, in the order of its ``--help``."""
    hints = get_type_hints(command.callback, include_extras=True)
    return [described(given, hints[given.name]) for given in command.params if given.name in hints]


def described(given: Any, hint: Any) -> Parameter:
    """One parameter of the built command; its type is that of the function's annotation."""
    told = DEFAULT.search(given.help)
    argument = given.param_type_name == "argument"
    return Parameter(
        flags=(given.metavar,) if argument else (*given.opts, *given.secondary_opts),
        value=value_of(hint, "" if argument else given.metavar),
        default=f"{told[2]}{told[1] or ''}" if told else default_of(given),
        words=DEFAULT.sub("", given.help),
        group=ARGUMENTS if argument else group_of(hint),
    )


def group_of(hint: Any) -> str:
    """The heading of an option: by the module that defines its type, if commands share it."""
    for module, words in SHARED.items():
        if any(hint is each for each in vars(sys.modules[module]).values()):
            return words
    return OWN


def value_of(hint: Any, metavar: str | None) -> str:
    """The type of a value in words.

    Raises:
        KeyError: There are no words for this type in `KINDS`.
    """
    kind, *more = get_args(hint)
    (info,) = (each for each in more if isinstance(each, ParameterInfo))
    if get_origin(kind) is not list and get_args(kind):  # X | None
        (kind,) = set(get_args(kind)) - {type(None)}
    several = get_origin(kind) is list
    words = KINDS[get_args(kind)[0] if several else kind]
    name = f"``{metavar}``, " if metavar and words != "switch" else ""
    least = f", at least {info.min}" if info.min is not None else ""
    return f"{name}{words}{least}{', once or more' if several else ''}"


def default_of(given: Any) -> str:
    """A default in words."""
    if given.required:
        return "required"
    if given.default is None:
        return "none"
    return {False: "off", True: "on"}[given.default] if isinstance(given.default, bool) else f"``{given.default}``"


class Command(Written):
    """``.. command:: fit``: what that command does and takes; without a name, the program itself."""

    def lines(self) -> Iterable[str]:
        """The help text, then a table for each group of options."""
        command = dict(commands())[self.arguments[0]] if self.arguments else typer.main.get_command(app)
        for paragraph in inspect.cleandoc(command.help or "").split("\n\n"):
            yield from (plain(" ".join(paragraph.split())), "")
        found = parameters(command)
        for group in GROUPS:
            members = [each for each in found if each.group == group]
            if members:
                first = "argument" if group == ARGUMENTS else "option"
                yield from (f".. rubric:: {group}", "")
                yield from table((27, 26, 19, 58), (first, "value", "default", "meaning"))
            for each in members:
                flags = ", ".join(f"``{flag}``" for flag in each.flags)
                yield from row(flags, each.value, plain(each.default), plain(each.words))
            yield ""


def plain(words: str) -> str:
    """Text of a help page as reStructuredText: what can be typed becomes a literal, and nothing else is markup."""
    pieces = TYPED.split(words)
    return "".join(
        (piece if piece.startswith("``") else f"``{piece}``") if place % 2 else re.sub(r"([\\*`|_])", r"\\\1", piece)
        for place, piece in enumerate(pieces)
    )
