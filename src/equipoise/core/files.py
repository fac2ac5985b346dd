"""Files of a run folder: written whole or not at all, read only where they are plain files, one writer at a time."""

import errno
import logging
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import BaseFileLock, FileLock, Timeout

from ..errors import RunFolderError

__all__ = ["COUNT", "LOCK", "MOST_BYTES", "TEMPORARY", "locked", "read_file", "refusing", "replace_file", "take_lock"]

LOCK = ".equipoise-lock"
"""The file that is locked while somebody writes into the folder. It stays there: deleting it would let in a second."""
COUNT = ".equipoise-steps"
"""The file with the number of steps of a recorded training."""
TEMPORARY = ".equipoise-tmp"
"""How the names of half-written files end."""
MOST_BYTES = 2**30
"""Larger files are not read: a record of a million steps has half of that."""

_LOGGER = logging.getLogger("equipoise")
_NO_LOCKS = frozenset({errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP})
_PATIENCE = 60.0


def take_lock(folder: Path, wait: float = _PATIENCE) -> BaseFileLock:
    """Make this process the only one that writes into a folder until the lock is released or the process ends.

    Another writer is waited for `wait` seconds. On a disk without locks nothing is locked, and a warning is logged.

    Raises:
        RunFolderError: Another writer still has the folder, or the disk refuses.
    """
    lock: BaseFileLock = FileLock(folder / LOCK, thread_local=False)
    try:
        lock.acquire(timeout=wait)
    except Timeout as error:
        raise RunFolderError(
            f"{str(folder)!r} is being written by another recording or command. Give each run a folder of its own, "
            "or end the other one first (a recording ends with recorder.close())."
        ) from error
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            with refusing(folder):
                raise
        _LOGGER.warning("%s: this disk has no locks; take care that only one run at a time writes there.", folder)
    return lock


@contextmanager
def refusing(folder: Path, instead: str = "") -> Iterator[None]:
    """Inside a ``with`` block a disk that refuses is a `RunFolderError`; `instead` says what to do, as a sentence."""
    try:
        yield
    except OSError as error:
        said = f"the folder {str(folder)!r} must be writable; the system says: {error.strerror or error}."
        raise RunFolderError(f"{said} {instead}".rstrip()) from error


@contextmanager
def locked(folder: Path, wait: float = _PATIENCE) -> Iterator[None]:
    """Hold the folder's lock inside a ``with`` block; see `take_lock`."""
    lock = take_lock(folder, wait)
    try:
        yield
    finally:
        lock.release()


def read_file(path: Path, most: int = MOST_BYTES) -> bytes:
    """What a plain file holds. Pipes and devices, which may never end, are not opened; links to files are followed.

    Raises:
        OSError: There is no such file, it is no plain file, it is larger than `most`, or it cannot be read.
    """
    if not stat.S_ISREG(path.stat().st_mode):
        raise OSError(errno.EINVAL, "it is not a plain file", str(path))
    with path.open("rb") as file:
        found = file.read(most + 1)
    if len(found) > most:
        raise OSError(errno.EFBIG, f"it is larger than {most} bytes", str(path))
    return found


def replace_file(path: Path, text: str) -> None:
    """Write text: temporary name beside it, to disk, rename, and the folder's entry to disk."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}{TEMPORARY}")
    try:
        temporary.unlink(missing_ok=True)  # "x" then neither follows a link of that name nor opens a pipe
        with temporary.open("x", encoding="utf-8", newline="\n") as file:
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
