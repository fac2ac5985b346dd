"""Writing a file whole or not at all."""

import os
from pathlib import Path

__all__ = ["TEMPORARY", "replace_file"]

TEMPORARY = ".equipoise-tmp"
"""How the names of half-written files end."""


def replace_file(path: Path, text: str) -> None:
    """Writes text: temporary name beside it, to disk, rename, and the folder's entry to disk."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}{TEMPORARY}")
    try:
        with temporary.open("w", encoding="utf-8", newline="\n") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    if os.name == "posix":
        directory = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
