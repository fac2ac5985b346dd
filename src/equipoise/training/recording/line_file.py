"""The files of a recording while they are written.

In ``records.jsonl`` a line is one write, and the file ends with a whole line whatever happens. The count of steps is a
file of eight bytes that is replaced in every step, so that it outlives a killed process.
"""

import os
import stat
from pathlib import Path

from filelock import BaseFileLock

from ...errors import RunFolderError

__all__ = ["LineFile", "StepCount", "read_count"]

_FLAGS = os.O_RDWR | os.O_CREAT | os.O_APPEND
# neither is there on Windows: a link is then followed, and there are no pipes in folders
_FLAGS |= getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
_BLOCK = 65_536
_COUNT_FLAGS = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
_COUNT_BYTES = 8


class LineFile:
    """A file of lines, open for appending, in a folder whose lock this process holds; closing it gives the lock back.

    Raises:
        RunFolderError: What has this name is no plain file.
        OSError: The disk refuses, or a link has this name.
    """

    def __init__(self, path: Path, lock: BaseFileLock) -> None:
        self.path = path
        self._lock = lock
        self._process = os.getpid()
        self._descriptor = os.open(path, _FLAGS, 0o644)
        self._open = True
        self.moved = False  # whether the file had another name when the last line was added to it
        found = os.fstat(self._descriptor)
        if not stat.S_ISREG(found.st_mode):
            self._open = False
            os.close(self._descriptor)
            raise RunFolderError(f"{str(path)!r} is not a plain file. Remove it, or give another folder.")
        self._is = (found.st_dev, found.st_ino)
        self._torn = True  # perhaps: by whoever wrote there before
        self._cut_torn_line()

    def append(self, encoded: bytes) -> None:
        """Add a line in one write; nothing waits for the disk.

        Args:
            encoded: The line, which ends with a line break.

        Raises:
            RunFolderError: The file was deleted, or the disk refuses. The line is then not in the file, nor is a part
                of it in front of the next line.
        """
        try:
            self._look_for_itself()
            self._cut_torn_line()
            self._torn = True  # until it is known to be whole
            written = os.write(self._descriptor, encoded)
            self._torn = written != len(encoded)
            if self._torn:
                self._cut_torn_line()
                raise RunFolderError(f"only {written} of {len(encoded)} bytes of a line fit into {str(self.path)!r}.")
        except OSError as error:
            raise RunFolderError(f"{str(self.path)!r} cannot be written: {error.strerror or error}.") from error

    def _look_for_itself(self) -> None:
        """Whether the file that was opened still has its name, or at least another one."""
        try:
            found = self.path.lstat()
            self.moved = (found.st_dev, found.st_ino) != self._is
        except FileNotFoundError:
            self.moved = True
        if self.moved and os.fstat(self._descriptor).st_nlink == 0:
            raise RunFolderError(f"{str(self.path)!r} was deleted while the recording ran.")

    def keep(self, size: int) -> None:
        """Cut off everything behind the first `size` bytes.

        Raises:
            RunFolderError: The file is shorter.
            OSError: The disk refuses.
        """
        there = os.lseek(self._descriptor, 0, os.SEEK_END)
        if there < size:
            raise RunFolderError(
                f"{str(self.path)!r} holds {there} bytes; the checkpoint beside it was written when there were {size}. "
                "Lines were removed. Train into a new folder, or overwrite this one."
            )
        os.ftruncate(self._descriptor, size)

    def kept(self) -> int:
        """Bytes in the file, once the disk has them."""
        os.fsync(self._descriptor)
        return os.lseek(self._descriptor, 0, os.SEEK_END)

    def close(self) -> None:
        """Close the file and gives the folder back; a second call does nothing.

        Raises:
            OSError: The disk did not keep what was written (network disks say so here).
        """
        if not self._open:
            return
        self._open = False
        try:
            os.close(self._descriptor)
        finally:
            if self._process == os.getpid():  # a forked process must not open the folder that its parent writes
                self._lock.release()

    def __del__(self) -> None:
        if getattr(self, "_open", False):
            self.close()

    def _cut_torn_line(self) -> None:
        """End the file behind its last whole line, so that the next one does not continue a torn one."""
        if not self._torn:
            return
        size = os.lseek(self._descriptor, 0, os.SEEK_END)
        keep = size
        while keep:
            start = max(0, keep - _BLOCK)
            os.lseek(self._descriptor, start, os.SEEK_SET)
            newline = os.read(self._descriptor, keep - start).rfind(b"\n")
            if newline >= 0:
                keep = start + newline + 1
                break
            keep = start
        if keep < size:
            os.ftruncate(self._descriptor, keep)
        self._torn = False


class StepCount:
    """A file that holds one number. Cost of `set`: a write of eight bytes, about a microsecond; nothing waits for disk.

    Raises:
        OSError: The disk refuses, or a link has this name.
    """

    def __init__(self, path: Path) -> None:
        self._descriptor: int | None = os.open(path, _COUNT_FLAGS, 0o644)

    def set(self, steps: int) -> None:
        """Replace the number; after `close` it does nothing."""
        if self._descriptor is not None:
            found = steps.to_bytes(_COUNT_BYTES, "little")
            if hasattr(os, "pwrite"):
                os.pwrite(self._descriptor, found, 0)
            else:  # Windows
                os.lseek(self._descriptor, 0, os.SEEK_SET)
                os.write(self._descriptor, found)

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        if self._descriptor is not None:
            descriptor, self._descriptor = self._descriptor, None
            os.close(descriptor)

    def __del__(self) -> None:
        self.close()


def read_count(path: Path) -> int:
    """The number in the file; 0 where there is none (records of earlier versions), or half of one."""
    try:
        with path.open("rb") as file:
            found = file.read(_COUNT_BYTES)
    except OSError:
        return 0
    return int.from_bytes(found, "little") if len(found) == _COUNT_BYTES else 0
