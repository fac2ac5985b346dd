"""Bytes of a text table -> text: the encoding is found without holding the file; whatever was not UTF-8 is said."""

import codecs
import io
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, islice
from typing import TextIO

from ...errors import DataError
from .source import Source

__all__ = ["FileText", "as_text"]

_UTF8_MARK = b"\xef\xbb\xbf"
_UTF16 = (b"\xff\xfe", b"\xfe\xff")
_BLOCK = 2**20
_MARKUP = (b"<!doctype", b"<html", b"<?xml")


@dataclass(frozen=True)
class FileText:
    """A text table, to be read as often as needed."""

    source: Source
    encoding: str  # as Python names it
    steps: tuple[str, ...]  # how it was read, where that was not plain UTF-8
    warnings: tuple[str, ...]  # what the reader should doubt

    def open(self, skip: int = 0) -> TextIO:
        """The text behind its first `skip` lines, line ends as they are."""
        text = io.TextIOWrapper(self.source.open(), encoding=self.encoding, newline="")
        for _ in range(skip):
            text.readline()
        return text

    def lines(self, count: int) -> list[str]:
        """The first lines, each with a line feed at its end."""
        with self.open() as text:
            return [line.rstrip("\r\n") + "\n" for line in islice(iter(text.readline, ""), count)]

    @property
    def text(self) -> str:
        """All of it, lines ended by a line feed."""
        with self.open() as text:
            return text.read().replace("\r\n", "\n").replace("\r", "\n")


def as_text(source: Source, encoding: str | None = None) -> FileText:
    """Find the encoding, unless the caller names it: UTF-8, UTF-16 with its mark, or else Windows-1252 or Latin-1.

    Latin-1 gives every byte a letter, so it never fails; that it was taken is a warning, since names may look odd.

    Raises:
        DataError: Not text, or not in the encoding named.
    """
    head = source.head()
    if head.removeprefix(_UTF8_MARK).lstrip().lower().startswith(_MARKUP):
        raise DataError(f"{source.name!r} is not a table but a page of HTML or XML. Download the file itself.")
    if encoding is not None:
        _read_through(source, encoding)
        return FileText(source, encoding, (f"Read as {encoding}, as asked.",), ())
    if head.startswith(_UTF16):
        _read_through(source, "utf-16")
        return FileText(source, "utf-16", ("Read as UTF-16.",), ())
    place, letter = _first_foreign(source)
    if place is None:
        marked = head.startswith(_UTF8_MARK)
        steps = ("A byte order mark at the start of the file was left out.",) if marked else ()
        return FileText(source, "utf-8-sig" if marked else "utf-8", steps, ())
    found, name = (
        ("cp1252", "Windows-1252") if 0x80 <= letter < 0xA0 and _fits(source, "cp1252") else ("latin-1", "Latin-1")
    )
    warning = (
        f"The file is not UTF-8; it was read as {name} (byte {place} as {bytes([letter]).decode(found)!r}). Where "
        "names look wrong, name the right one with --encoding, or save it as UTF-8."
    )
    return FileText(source, found, (), (warning,))


def _blocks(source: Source) -> Iterator[bytes]:
    with source.open() as file:
        yield from iter(lambda: file.read(_BLOCK), b"")


def _first_foreign(source: Source) -> tuple[int | None, int]:
    """Place and value of the first byte that is not UTF-8; (None, 0) where all are."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    before = 0
    for block in chain(_blocks(source), (b"",)):
        if b"\x00" in block:
            raise DataError(f"{source.name!r} is not a text file: it holds zero bytes. Export the table as CSV.")
        kept = len(decoder.getstate()[0])
        try:
            decoder.decode(block, final=not block)
        except UnicodeDecodeError as error:
            return before - kept + error.start, error.object[error.start]
        before += len(block)
    return None, 0


def _fits(source: Source, encoding: str) -> bool:
    try:
        _read_through(source, encoding)
    except DataError:
        return False
    return True


def _read_through(source: Source, encoding: str) -> None:
    decoder = codecs.getincrementaldecoder(encoding)()
    try:
        for block in chain(_blocks(source), (b"",)):
            decoder.decode(block, final=not block)
    except (UnicodeError, ValueError) as error:
        reason = f"{error.reason} at byte {error.start}" if isinstance(error, UnicodeDecodeError) else str(error)
        raise DataError(f"{source.name!r} is damaged {encoding}: {reason}.") from error
