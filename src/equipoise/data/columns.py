"""Which columns are targets and which are inputs: names as typed against names as found."""

import difflib
import itertools
import shlex
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

from ..core.names import doubled
from ..errors import DataError, listed
from .raw import RawTable, refuse

__all__ = [
    "Roles",
    "choose_columns",
    "clean_name",
    "closest",
    "column_names",
    "cut",
    "option",
    "some",
    "unknown_columns",
]

_LONGEST = 60
_GUESSED = 10  # unknown names for which the closest column is looked up

Roles = tuple[list[str], list[str], list[str]]


def clean_name(name: object) -> str:
    """A column name as it is compared: text, without blanks at the ends, composed Unicode (NFC)."""
    return unicodedata.normalize("NFC", str(name)).strip()


def column_names(about: str, own: Iterable[object], names: Sequence[str] | None = None) -> list[str]:
    """The cleaned names of columns, `names` in place of their `own` if given; "" for a column without one.

    Raises:
        DataError: Too few or too many names, or names that are doubled.
    """
    given = list(own)
    columns = [clean_name(name) for name in (given if names is None else names)]
    if len(columns) != len(given):
        refuse(f"{about!r}", [f"--names must name all {len(given)} columns, found {len(columns)}: {some(columns)}."])
    if twice := doubled(filter(None, columns)):
        refuse(
            f"{about!r}",
            [f"Column names must differ, found more than once: {some(twice)}. Rename them, or give all with --names."],
        )
    return columns


def closest(name: str, known: Sequence[str], count: int = 3) -> list[str]:
    """The known names most like a mistyped one, best first; upper and lower case count as equal.

    Example:
        >>> closest("wieght", ["Weight", "Waist", "Pulse"])
        ['Weight']
    """
    folded = {candidate.casefold(): candidate for candidate in reversed(known)}
    found = difflib.get_close_matches(name.casefold(), list(folded), n=count, cutoff=0.6)
    return [folded[match] for match in found]


def option(flag: str, value: str) -> str:
    r"""An option as it is typed in a shell, quoted where the value needs it.

    Example:
        >>> option("na", "<5"), option("drop", "a, b"), option("na", "-")
        ("--na='<5'", '--drop=\'"a, b"\'', '--na=-')
    """
    if set(value) & set(',"'):
        value = '"' + value.replace('"', '""') + '"'
    return f"--{flag}={shlex.quote(value)}"


def cut(text: object) -> str:
    """A text as a message shows it: of one longer than 60 characters, the start."""
    shown = str(text)
    return shown if len(shown) <= _LONGEST else f"{shown[:_LONGEST]}..."


def some(names: Sequence[str], limit: int = 12) -> str:
    """Names as a message shows them, a long list cut with its count.

    Example:
        >>> some(["a", "b", "c"], limit=2)
        "'a', 'b' and 1 more"
    """
    shown = listed(cut(name) for name in names[:limit])
    return shown if len(names) <= limit else f"{shown} and {len(names) - limit} more"


def choose_columns(
    raw: RawTable,
    targets: Sequence[str] | None,
    inputs: Sequence[str] | None,
    drop: Sequence[str],
    kinds: Mapping[str, Sequence[str]] = MappingProxyType({}),
) -> Roles:
    """Sort the columns of a table into targets, inputs and columns of the declared target set that are left out.

    None as `targets` takes the declared target set; None as `inputs` takes all columns that are neither targets, nor
    declared targets, nor dropped. `kinds` maps further options to the columns that they name.

    Raises:
        DataError: Any name is unknown, doubled or in two roles; no target is named or declared.
    """
    known = [str(column) for column in raw.frame.columns]
    about = f"Table {raw.name!r}"
    if targets is None and not raw.declared:
        raise DataError(
            f"{about}: which columns are the tasks? Name two or more: --targets a,b (in Python: "
            f"targets=['a', 'b']). Columns: {some(known)}."
        )
    wanted = list(raw.declared) if targets is None else _names("targets", targets)
    given = None if inputs is None else _names("inputs", inputs)
    dropped = _names("drop", drop)

    problems: list[str] = []
    roles = {"--targets": wanted, "--inputs": given or [], "--drop": dropped}
    for option, names in (roles | {f"--{kind}": list(names) for kind, names in kinds.items()}).items():
        problems += unknown_columns(option, names, known)
        if twice := doubled(names):
            problems.append(f"{option} names a column twice: {listed(twice)}. Name each once.")
    if not wanted:
        problems.append(f"--targets is empty. Name two or more columns. Columns: {some(known)}.")
    for (first, first_names), (second, second_names) in itertools.combinations(roles.items(), 2):
        others = set(second_names)
        if both := [name for name in dict.fromkeys(first_names) if name in others]:
            problems.append(f"Named in {first} and in {second}: {listed(both)}. Keep each in one of them.")
    chosen = set(wanted)
    unused = [name for name in raw.declared if name not in chosen]
    if forbidden := [name for name in given or [] if name in unused]:
        problems.append(
            f"{listed(forbidden)} belong to the declared targets of this set ({some(raw.declared)}) and are never "
            "inputs: they would give the answer away. Take them out of --inputs."
        )
    refuse(about, problems)
    if given is None:
        outside = {*wanted, *unused, *dropped}
        given = [name for name in known if name not in outside]
    return wanted, given, unused


def _names(option: str, names: Sequence[str]) -> list[str]:
    if isinstance(names, str):
        example = [clean_name(part) for part in names.split(",")]
        raise DataError(f"{option} must be a list of column names, found one text {names!r}: write {option}={example}.")
    return [clean_name(name) for name in names]


def unknown_columns(option: str, names: Sequence[str], known: Sequence[str]) -> list[str]:
    """One sentence for each name that is no column, with the closest ones."""
    found = set(known)
    unknown = [name for name in dict.fromkeys(names) if name not in found]
    columns = f"Columns: {some(known)}."
    if len(unknown) > _GUESSED:
        return [f"{option} names {len(unknown)} columns that do not exist: {some(unknown)}. {columns}"]
    return [
        f"{option} names {name!r}, which is no column. {f'Closest: {listed(near)}.' if near else columns}"
        for name in unknown
        for near in [closest(name, known)]
    ]
