"""The table of file formats. A new one is a module with a `FormatReader`, and a line here."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Protocol

from ...errors import DataError
from ..raw import RawTable
from ..reading import Reading
from .arff_file import read_arff
from .csv_file import read_csv
from .frames import read_frame
from .json_lines import read_json_lines
from .mat_file import read_mat
from .source import PACKED, TEXT_ENDINGS, Source

__all__ = ["EXTENSIONS", "FORMATS", "FormatReader", "extension_of"]


class FormatReader(Protocol):
    """Reads one format; it refuses `header` and `names` where the format has no use for them."""

    def __call__(self, source: Source, reading: Reading, *, header: bool, names: Sequence[str] | None) -> RawTable:
        """The columns of a file."""


FORMATS: Mapping[str, FormatReader] = MappingProxyType(
    {
        **dict.fromkeys(TEXT_ENDINGS, read_csv),
        ".arff": read_arff,
        ".mat": read_mat,
        **dict.fromkeys((".jsonl", ".ndjson"), read_json_lines),
        **dict.fromkeys((".parquet", ".feather", ".dta", ".xlsx", ".xls", ".ods"), read_frame),
    }
)
"""File ending -> reader."""

EXTENSIONS = tuple(FORMATS)
_MAGIC = {b"PAR1": ".parquet", b"MATLAB": ".mat", b"\xd0\xcf\x11\xe0": ".xls"}


def extension_of(source: Source) -> str:
    """The key of a file in `FORMATS`: by its first bytes where these are conclusive, else by its name.

    Raises:
        DataError: Neither names a format.
    """
    head = source.head()
    for magic, extension in _MAGIC.items():
        if source.suffix not in TEXT_ENDINGS and head.startswith(magic):
            return extension
    if source.suffix in FORMATS:
        return source.suffix
    if isinstance(source.content, bytes) and source.suffix in ("", *PACKED):  # a pipe has no name
        lines = (line.strip().lower() for line in head.splitlines())
        first = next((line for line in lines if line and not line.startswith(b"%")), b"")
        if first.startswith(b"{"):
            return ".jsonl"
        return ".arff" if first.startswith(b"@relation") else ".csv"
    raise DataError(
        f"{source.name!r} must end in {', '.join(EXTENSIONS)} (each also {', '.join(PACKED)}), found "
        f"{source.suffix or 'no extension'!r}. Export the table as CSV."
    )
