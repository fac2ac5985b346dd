"""Where a table comes from -> its bytes: a file, a pipe, a web address; packed or not, never without a limit."""

import bz2
import gzip
import hashlib
import io
import lzma
import stat
import sys
import urllib.error
import urllib.request
import zipfile
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING, Any, BinaryIO, cast
from urllib.parse import unquote, urlsplit

from ...errors import DataError
from ..columns import some
from ..raw import RawTable

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["LIMIT", "PACKED", "TEXT_ENDINGS", "Source", "fetch", "is_stream"]

LIMIT = 2**30
"""Bytes that a packed file, a pipe or a web address may hold once unpacked (1 GiB); plain files have no limit."""

TEXT_ENDINGS = (".csv", ".tsv", ".txt", ".data", ".dat", ".tab")
PACKED = (".gz", ".bz2", ".xz", ".zip")
_UNPACK: dict[bytes, tuple[str, Callable[[IO[bytes]], IO[bytes]]]] = {
    b"\x1f\x8b": ("gzip", lambda file: cast("IO[bytes]", gzip.GzipFile(fileobj=file))),
    b"BZh": ("bzip2", bz2.BZ2File),
    b"\xfd7zXZ": ("xz", lzma.LZMAFile),
}
_ZIP = b"PK\x03\x04"
_BLOCK = 2**20
_SECONDS = 60  # that a web address may keep silent


@dataclass(frozen=True)
class Source:
    """The bytes of a table, unpacked."""

    name: str  # as it is shown
    suffix: str  # ending of the unpacked name in lower case, such as ".csv", or ""
    sha256: str  # of the bytes as they were found, packed or not
    content: bytes | Path  # the bytes, or the plain file that holds them
    steps: tuple[str, ...] = ()  # how it was unpacked

    def open(self) -> BinaryIO:
        """The bytes from their start."""
        return io.BytesIO(self.content) if isinstance(self.content, bytes) else self.content.open("rb")

    def head(self, size: int = 4096) -> bytes:
        """The first bytes."""
        with self.open() as file:
            return file.read(size)

    def table(
        self,
        frame: "pd.DataFrame",
        steps: Sequence[str] = (),
        *,
        about: str = "",
        licence: str = "not stated in the file",
        **facts: Any,
    ) -> RawTable:
        """The columns read from this file, with its name, origin and checksum; `facts` are further attributes."""
        return RawTable(
            frame,
            name=self.name,
            source=f"file {self.name}{about}; licence: {licence}",
            steps=(*self.steps, *steps),
            sha256=self.sha256,
            **facts,
        )


def is_stream(source: str) -> bool:
    """Whether a source is read from a pipe or the web rather than from a plain file."""
    return source == "-" or "://" in source


def fetch(source: str | Path) -> Source:
    """Open a path, ``-`` for standard input, or an http(s) address, and unpack it where it is packed.

    Raises:
        DataError: It cannot be read, is empty, damaged, or unpacks to more than `LIMIT`.
    """
    text = str(source)
    try:
        if "://" in text:
            found = _from_web(text)
        elif text == "-":
            found = _held("stdin", sys.stdin.buffer)
        else:
            found = _from_file(Path(source))
        if not _has_content(found):
            raise DataError(f"{text!r} is empty: it must hold a table, found only blanks.")
        return _unpacked(found)
    except (urllib.error.URLError, TimeoutError) as error:
        raise DataError(f"{text!r} cannot be reached: {getattr(error, 'reason', error)}. Download it first.") from error
    except OSError as error:
        raise DataError(f"{text!r} cannot be read: {error.strerror or error}.") from error


def _has_content(source: Source) -> bool:
    with source.open() as file:
        return any(block.removeprefix(b"\xef\xbb\xbf").strip() for block in iter(lambda: file.read(_BLOCK), b""))


def _from_web(address: str) -> Source:
    if urlsplit(address).scheme not in ("http", "https"):
        raise DataError(f"{address!r} must begin with http:// or https://, or be a path. Download it first.")
    request = urllib.request.Request(address, headers={"User-Agent": "equipoise"})  # noqa: S310 - http(s), see above
    with urllib.request.urlopen(request, timeout=_SECONDS) as answer:  # noqa: S310
        return _held(PurePosixPath(unquote(urlsplit(address).path)).name or address, answer)


def _from_file(path: Path) -> Source:
    piped = not stat.S_ISREG(path.stat().st_mode) or path.is_relative_to("/dev") or path.is_relative_to("/proc")
    if piped:  # as <(...) and /dev/stdin are
        with path.open("rb") as file:
            return _held(path.name, file)
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    return Source(path.name, path.suffix.lower(), sha256, path)


def _held(name: str, file: IO[bytes]) -> Source:
    content = _bounded(file, name)
    return Source(name, PurePosixPath(name).suffix.lower(), hashlib.sha256(content).hexdigest(), content)


def _bounded(file: IO[bytes], name: str) -> bytes:
    held = io.BytesIO()  # grows in place, and returns its bytes without a copy
    while held.tell() <= LIMIT and (block := file.read(_BLOCK)):
        held.write(block)
    if held.tell() > LIMIT:
        raise DataError(
            f"{name!r} holds more than {LIMIT:,} bytes once unpacked, the most that is read from a packed file, a pipe "
            "or a web address. Save it as a plain file and name that."
        )
    return held.getvalue()


def _unpacked(source: Source) -> Source:
    head = source.head(8)
    with source.open() as file:
        for magic, (kind, unpack) in _UNPACK.items():
            if head.startswith(magic):
                name = source.name[: -len(source.suffix)] if source.suffix in PACKED else source.name
                try:
                    content = _bounded(unpack(file), source.name)
                except (OSError, EOFError, zlib.error, lzma.LZMAError) as error:
                    raise DataError(
                        f"{source.name!r} is a damaged {kind} file: {error}. Pack or download it again."
                    ) from error
                return _renamed(source, name, content)
        if head.startswith(_ZIP):
            return _from_zip(source, file)
    return source


def _from_zip(source: Source, file: IO[bytes]) -> Source:
    """The one table in an archive; a workbook is an archive too and stays as it is."""
    try:
        with zipfile.ZipFile(file) as archive:
            members = [info.filename for info in archive.infolist() if not info.is_dir()]
            if any(name.startswith("xl/") for name in members):
                return replace(source, suffix=".xlsx")
            members = [name for name in members if not name.startswith("__MACOSX/")]
            tables = [
                name for name in members if not name.lower().endswith((".md", ".names", ".pdf", ".html", ".docx"))
            ]
            if len(tables) != 1:
                raise DataError(
                    f"{source.name!r} must hold one table, found {len(tables)} files: {some(tables, 5)}. "
                    "Unpack it and name one of them."
                )
            with archive.open(tables[0]) as member:
                content = _bounded(member, source.name)
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError) as error:
        raise DataError(f"{source.name!r} is a zip file that cannot be unpacked: {error}.") from error
    return _renamed(replace(source, steps=(f"Read from {tables[0]!r} in the archive.",)), tables[0], content)


def _renamed(source: Source, name: str, content: bytes) -> Source:
    if not content.strip():
        raise DataError(f"{source.name!r} is empty: it must hold a table, found only blanks.")
    return replace(source, suffix=PurePosixPath(name).suffix.lower(), content=content)
