"""Finished parts of a long computation, one line each, so that an interrupted run can resume."""

import json
import os
import time
from collections import UserDict
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from ..core.files import replace_file
from ..core.progress import Progress
from ..core.records.json_text import parsed_json

__all__ = ["Parts", "unfinished"]

Item = TypeVar("Item")


class Parts(UserDict[str, Any]):
    """A mapping from the name of a part to its plain result; what is put in is on disk when the call returns.

    A line of the file that a crash tore, and lines after it, are dropped. `first` is called before the first part is
    written, to make its place; then what lies there is not read. Work shorter than `patience` seconds leaves no trace.

    Example:
        >>> from tempfile import mkdtemp
        >>> path = Path(mkdtemp()) / "parts.jsonl"
        >>> Parts(path)["a b, width 1"] = {"lead": 0.5}
        >>> dict(Parts(path))
        {'a b, width 1': {'lead': 0.5}}
    """

    def __init__(self, path: Path, first: Callable[[], None] | None = None, *, patience: float = 0.0) -> None:
        super().__init__()
        self.path = path
        self._first = first
        self._due = time.monotonic() + patience
        self._waiting: list[bytes] = []
        if first is not None:
            return
        try:
            text = path.read_bytes().decode("utf-8", errors="replace")
        except FileNotFoundError:
            return
        whole = []
        for line in text.split("\n")[:-1]:
            try:
                name, value = parsed_json(line)
            except (ValueError, TypeError):
                break
            self.data[str(name)] = value
            whole.append(line + "\n")
        kept = "".join(whole)
        if kept != text:
            replace_file(path, kept)

    def __setitem__(self, name: str, value: Any) -> None:
        self._waiting.append((json.dumps([name, value], allow_nan=False) + "\n").encode())
        self.data[name] = value
        if time.monotonic() >= self._due:
            self._write()

    def _write(self) -> None:
        if self._first is not None:
            self._first()
            self._first = None
        lines = b"".join(self._waiting)
        descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            written = os.write(descriptor, lines)
        finally:
            os.close(descriptor)
        if written != len(lines):
            raise OSError(f"only {written} of {len(lines)} bytes of a part fit into {str(self.path)!r}")
        self._waiting.clear()


def unfinished(
    work: Mapping[str, Item], kept: Mapping[str, Any], progress: Progress | None, words: Callable[[Item], str]
) -> Iterator[tuple[str, Item]]:
    """The items of some work whose result is not kept yet, with progress; the caller puts each result in."""
    rest = {name: item for name, item in work.items() if name not in kept}
    for number, (name, item) in enumerate(rest.items(), start=len(work) - len(rest)):
        if progress:
            progress(number, len(work), words(item))
        yield name, item
    if progress:
        progress(len(work), len(work), "done")
