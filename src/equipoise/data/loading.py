"""`load`: a built-in name, a path, a pipe or an address -> `Table`."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Unpack

from ..errors import DataError, listed
from .builtin.catalogue import BUILTINS, READERS
from .columns import closest, some
from .encoding.encode import encode
from .encoding.prepare import prepared
from .formats.catalogue import EXTENSIONS, FORMATS, extension_of
from .formats.memory import refuse_beyond_memory
from .formats.source import PACKED, fetch, is_stream
from .raw import RawTable
from .reading import Reading, checked_reading
from .table import Table

__all__ = ["EXTENSIONS", "load", "read_columns"]


def load(
    source: str | os.PathLike[str],
    *,
    targets: Sequence[str] | None = None,
    inputs: Sequence[str] | None = None,
    drop: Sequence[str] = (),
    header: bool = True,
    names: Sequence[str] | None = None,
    group: str | None = None,
    time: str | None = None,
    incomplete: bool = False,
    **reading: Unpack[Reading],
) -> Table:
    """Read a table with several targets and encode it as numbers. Files are only ever read.

    Args:
        source: A built-in name (``arm``, ``diabetes``, ``linnerud``); the path or the http(s) address of a text table
            (.csv, .tsv, .tab, .txt, .data, .dat), a .jsonl, .arff, .mat or .dta file, or, with the extra ``tables``, a
            .parquet, .feather or .xlsx file; each also packed (.gz, .bz2, .xz, .zip with one file). ``-`` is standard
            input.
        targets: Names of two or more target columns, in the order wanted. None takes the declared target set
            of a built-in set or of SARCOS; other files have none.
        inputs: Names of the input columns; None takes all others. Columns of a declared target set are never
            inputs.
        drop: Names of columns not to use.
        header: Whether the first row of a text table holds the names.
        names: Names for all columns of a text table, sheet or .mat file, instead of its own.
        group: Column whose values say which rows belong together: it is no input, and losses on new rows leave out
            whole groups.
        time: Column of numbers or dates that orders the rows: it is no input, and losses on new rows leave out rows
            that follow each other.
        incomplete: Whether rows that miss some of the targets are kept; targets then hold NaN there. Otherwise only
            rows that are complete in all targets are used.
        **reading: ``sep``, ``decimal``, ``thousands``, ``na``, ``skip_rows``, ``encoding``, ``numeric``,
            ``categorical``, ``date``: see `equipoise.data.Reading`.

    Returns:
        The table; `steps` and `warnings` say what was done.

    Raises:
        DataError: The source, its format or its columns cannot be used; the message says what to type.

    Example:
        >>> load("linnerud")
        Table 'linnerud': 20 of 20 rows, 3 inputs, 3 tasks ('Weight', 'Waist', 'Pulse')
    """
    how = checked_reading(reading)
    raw = prepared(read_columns(source, header, names, how), how)
    return encode(
        raw, targets=targets, inputs=inputs, drop=drop, group=group, time=time, incomplete=incomplete, reading=how
    )


def read_columns(
    source: str | os.PathLike[str], header: bool, names: Sequence[str] | None, reading: Reading
) -> RawTable:
    """The columns of a source as they are written; the arguments are those of `load`.

    Raises:
        DataError: There is no such source, it cannot be read, or it would not fit into memory.
    """
    if isinstance(names, str):
        raise DataError(f"names must be a list of column names, found one text {names!r}.")
    if not isinstance(source, str | os.PathLike):
        raise DataError(
            f"the source must be a built-in name ({listed(BUILTINS)}) or a path, found {type(source).__name__}. "
            "A table in memory: give a data frame to eq.audit, or two arrays, eq.audit(X, Y)."
        )
    if source in READERS:
        if not header or names is not None:
            raise DataError(f"{source!r} names its own columns: --no-header and --names are for files that do not.")
        return READERS[str(source)]()
    text = os.fspath(source)
    if not is_stream(text):
        _refuse_missing(Path(text))
        refuse_beyond_memory(Path(text))
    found = fetch(text if is_stream(text) else Path(text))
    return FORMATS[extension_of(found)](found, reading, header=header, names=names)


def _refuse_missing(path: Path) -> None:
    try:
        found_folder, found_file = path.is_dir(), path.exists()
    except OSError as error:  # a name longer than the system allows
        raise DataError(f"{str(path)[:60]!r}... cannot be a file: {error.strerror}.") from error
    if found_folder:
        tables = sorted(child.name for child in path.iterdir() if child.suffix.lower() in (*EXTENSIONS, *PACKED))
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
            f"files end in {', '.join(EXTENSIONS)}; - is standard input."
        )
    if not path.parent.is_dir():
        raise DataError(f"There is no file {text!r}: its folder {str(path.parent)!r} does not exist.")
    near = closest(path.name, sorted(child.name for child in path.parent.iterdir()))
    raise DataError(f"There is no file {text!r}." + (f" Closest in its folder: {listed(near)}." if near else ""))
