"""Bytes of a file -> text: compression and encoding; whatever was not plain UTF-8 is said."""

import gzip
import hashlib
import zlib
from dataclasses import dataclass
from pathlib import Path

from ...errors import DataError

__all__ = ["FileText", "read_bytes", "read_text"]

_GZIP = b"\x1f\x8b"
_UTF16 = (b"\xff\xfe", b"\xfe\xff")


@dataclass(frozen=True)
class FileText:
    """A text file as read.

    Attributes:
        text: Its text, without byte order mark, lines ended by a line feed.
        sha256: Of the bytes on disk.
        steps: How it was read, where that was not plain UTF-8.
        warnings: What the reader should doubt.
    """

    text: str
    sha256: str
    steps: tuple[str, ...]
    warnings: tuple[str, ...]


def read_bytes(path: Path) -> tuple[bytes, str]:
    """Content and sha256 of a file that holds something.

    Raises:
        DataError: It cannot be opened, or is empty.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"{str(path)!r} cannot be read: {error.strerror or error}.") from error
    if not content.strip():
        raise DataError(f"{str(path)!r} is empty: it must hold a table, found {len(content)} bytes.")
    return content, hashlib.sha256(content).hexdigest()


def read_text(path: Path) -> FileText:
    """Read a text file, gzip-compressed or not, in UTF-8, UTF-16 with its mark, or else Latin-1.

    Latin-1 gives every byte a letter, so it never fails; that it was taken is a warning, since names may look
    odd.

    Args:
        path: Of the file.

    Returns:
        Text and how it was read.

    Raises:
        DataError: It cannot be opened or unpacked, is empty, or is not text.
    """
    content, sha256 = read_bytes(path)
    steps: list[str] = []
    warnings: list[str] = []
    if content.startswith(_GZIP):
        try:
            content = gzip.decompress(content)
        except (OSError, EOFError, zlib.error) as error:
            raise DataError(f"{str(path)!r} is a damaged gzip file: {error}. Pack or download it again.") from error
    if content.startswith(_UTF16):
        text = _decode(path, content, "utf-16")
        steps.append("Read as UTF-16.")
    elif b"\x00" in content:
        raise DataError(f"{str(path)!r} is not a text file: it holds zero bytes. Export the table as CSV.")
    else:
        try:
            text = content.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            text = content.decode("latin-1")
            letter = content[error.start : error.start + 1].decode("latin-1")
            warnings.append(
                f"The file is not UTF-8; it was read as Latin-1 (byte {error.start} as {letter!r}). Where "
                f"names look wrong, save it as UTF-8."
            )
        if content.startswith(b"\xef\xbb\xbf"):
            steps.append("A byte order mark at the start of the file was left out.")
    if not text.strip():
        raise DataError(f"{str(path)!r} is empty: it must hold a table, found only blanks.")
    return FileText(text.replace("\r\n", "\n").replace("\r", "\n"), sha256, tuple(steps), tuple(warnings))


def _decode(path: Path, content: bytes, encoding: str) -> str:
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        raise DataError(f"{str(path)!r} is damaged {encoding}: {error.reason} at byte {error.start}.") from error
