"""Whether a table would fit into memory, asked before it is read."""

from pathlib import Path

from ...core.memory import available_memory
from ...core.text import in_words
from ...errors import DataError
from .source import PACKED, TEXT_ENDINGS

__all__ = ["refuse_beyond_memory"]

_COPIES = 2  # columns are held in blocks, then joined
_NUMBER = 8  # bytes
_HEAD = 2**16


def refuse_beyond_memory(path: Path) -> None:
    """Refuse a plain file whose columns would not fit into memory. Only its first 64 KiB are read.

    A text table takes 8 bytes a cell, twice while blocks are joined; the size of a cell in the file is estimated from
    its head. Another file takes twice its size. Packed files have a limit of their own (`source.LIMIT`).

    Raises:
        DataError: The estimate is larger than what is available.
    """
    available = available_memory()
    size = path.stat().st_size
    if available is None or path.suffix.lower() in PACKED or not path.is_file():
        return
    cell = float(_NUMBER)
    if path.suffix.lower() in TEXT_ENDINGS:
        try:
            with path.open("rb") as file:
                head = file.read(_HEAD)
        except OSError:
            return  # whoever reads it next says why it cannot be opened
        marks = max(head.count(mark) for mark in (b",", b";", b"\t", b" ")) + head.count(b"\n")
        cell = max(1.0, len(head) / max(1, marks))
    needed = _COPIES * _NUMBER * size / cell
    if needed > available:
        raise DataError(
            f"{path.name!r} must fit into memory: its {in_words(size)} would take about {in_words(needed)} as columns, "
            f"and {in_words(available)} are available. Take fewer rows, or columns, into a smaller "
            "file."
        )
