"""`load`: a built-in name or a path -> `Table`."""

import os
from collections.abc import Sequence
from pathlib import Path

from ..errors import DataError, listed
from .builtin.catalogue import BUILTINS, READERS
from .columns import closest, some
from .encoding.encode import encode
from .formats.arff_file import read_arff
from .formats.csv_file import read_csv
from .formats.mat_file import read_mat
from .raw import RawTable
from .table import Table

__all__ = ["EXTENSIONS", "load"]

EXTENSIONS = (".csv", ".tsv", ".txt", ".arff", ".mat")


def load(
    source: str | os.PathLike[str],
    *,
    targets: Sequence[str] | None = None,
    inputs: Sequence[str] | None = None,
    drop: Sequence[str] = (),
    header: bool = True,
    names: Sequence[str] | None = None,
) -> Table:
    """Read a table with several targets and encode it as numbers. Files are only ever read.

    Args:
        source: A built-in name (``arm``, ``diabetes``, ``linnerud``), or the path of a .csv, .tsv or .txt
            file (any of comma, semicolon, tab, vertical bar or blanks between columns), an .arff file (each
            of these also .gz), or a .mat file.
        targets: Names of two or more target columns, in the order wanted. None takes the declared target set
            of a built-in set or of SARCOS; other files have none.
        inputs: Names of the input columns; None takes all others. Columns of a declared target set are never
            inputs.
        drop: Names of columns not to use.
        header: Whether the first row of a text table holds the names.
        names: Names for all columns of a text table or .mat file, instead of its own.

    Returns:
        The table; `steps` and `warnings` say what was done.

    Raises:
        DataError: The source, its format or its columns cannot be used; the message says what to type.

    Example:
        >>> load("linnerud")
        Table 'linnerud': 20 of 20 rows, 3 inputs, 3 tasks ('Weight', 'Waist', 'Pulse')
    """
    return encode(_read(source, header, names), targets=targets, inputs=inputs, drop=drop)


def _read(source: str | os.PathLike[str], header: bool, names: Sequence[str] | None) -> RawTable:
    if isinstance(names, str):
        raise DataError(f"names must be a list of column names, found one text {names!r}.")
    if not isinstance(source, str | os.PathLike):
        raise DataError(
            f"the source must be a built-in name ({listed(BUILTINS)}) or a path, found {type(source).__name__}. "
            "A table in memory: give a data frame to eq.audit."
        )
    if source in READERS:
        _refuse_naming(str(source), header, names)
        return READERS[str(source)]()
    path = Path(source)
    _refuse_missing(path)
    extension = _extension(path)
    if extension == ".arff":
        _refuse_naming(path.name, header, names)
        return read_arff(path)
    if extension == ".mat":
        if not header:
            raise DataError(f"{path.name!r}: --no-header is for text tables; a .mat file has no header row.")
        return read_mat(path, names=names)
    return read_csv(path, header=header, names=names)


def _refuse_naming(name: str, header: bool, names: Sequence[str] | None) -> None:
    if not header or names is not None:
        raise DataError(f"{name!r} names its own columns: --no-header and --names are for files that do not.")


def _refuse_missing(path: Path) -> None:
    try:
        found_folder, found_file = path.is_dir(), path.is_file()
    except OSError as error:  # a name longer than the system allows
        raise DataError(f"{str(path)[:60]!r}... cannot be a file: {error.strerror}.") from error
    if found_folder:
        tables = sorted(child.name for child in path.iterdir() if child.name.lower().endswith(_endings()))
        inside = f"It holds {some(tables, 5)}: name one of them." if tables else "It holds no table that can be read."
        raise DataError(f"DATA must be a file, found the folder {str(path)!r}. {inside}")
    if found_file:
        return
    text = str(path)
    if path.suffix == "" and path.parent == Path():
        near = closest(text, list(BUILTINS))
        hint = f"Closest built-in set: {listed(near)}. " if near else ""
        raise DataError(
            f"{text!r} is neither a built-in set nor a file here. {hint}Built-in sets: {listed(BUILTINS)}; "
            f"files end in {', '.join(EXTENSIONS)}."
        )
    if not path.parent.is_dir():
        raise DataError(f"There is no file {text!r}: its folder {str(path.parent)!r} does not exist.")
    near = closest(path.name, sorted(child.name for child in path.parent.iterdir()))
    raise DataError(f"There is no file {text!r}." + (f" Closest in its folder: {listed(near)}." if near else ""))


def _extension(path: Path) -> str:
    suffixes = [suffix.lower() for suffix in path.suffixes]
    packed = bool(suffixes) and suffixes[-1] == ".gz"
    if packed:
        suffixes.pop()
    extension = suffixes[-1] if suffixes else ""
    if extension not in EXTENSIONS or (packed and extension == ".mat"):
        raise DataError(
            f"{path.name!r} must end in {', '.join(EXTENSIONS)} (text tables and .arff also .gz), found "
            f"{path.suffix or 'no extension'!r}. Export the table as CSV."
        )
    return extension


def _endings() -> tuple[str, ...]:
    return (*EXTENSIONS, *(f"{extension}.gz" for extension in EXTENSIONS if extension != ".mat"))
