"""The output folder: what is written there, in which order, and whose folder it is.

A run folder holds ``config.json`` (what was asked), ``record.json`` (what was found) and ``report.html``. Every file
is written under a temporary name beside it, forced to disk and renamed, so a reader sees the old file or the new
one, never half of one. The same command on the same folder finds its record and only renders again; another
configuration is refused; a folder that we did not write is never touched. Nothing here reads pickle.
"""

import json
import os
import re
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ..core.files import TEMPORARY, locked, replace_file
from ..core.records.as_json import records_from_json, records_to_json
from ..core.records.audit import AuditRecord
from ..errors import RunFolderError
from .run_config import RunConfig, differences

__all__ = [
    "RunConfig",
    "RunFolder",
    "read_config",
    "read_records",
    "replace_report",
    "slug",
]

CONFIG, RECORD, REPORT = "config.json", "record.json", "report.html"


class RunFolder:
    """A folder that may be written, or a reason why not.

    Args:
        path: The folder. It need not exist; its parent must.
        config: What is asked now.
        overwrite: Replace the files of another run of ours. Other files in the folder stay.

    Raises:
        RunFolderError: The folder is not ours, holds another configuration, or cannot be written. Nothing was
            changed on disk.

    Example:
        >>> from tempfile import mkdtemp
        >>> folder = RunFolder(Path(mkdtemp()) / "out", RunConfig(command="demo", version="0.1.0", data="built in"))
        >>> folder.records() is None
        True
    """

    def __init__(self, path: Path, config: RunConfig, *, overwrite: bool = False) -> None:
        self.path = path
        self.config = config
        self._fresh = True
        self._overwrite = overwrite
        _check_place(path)
        self._seen = _found_config(path)
        if self._seen is not None and not overwrite:
            _check_same(path, self._seen, config)
            self._fresh = False

    @property
    def report(self) -> Path:
        """Where the report is, or will be."""
        return self.path / REPORT

    def records(self) -> tuple[AuditRecord, ...] | None:
        """The records of an earlier run of the same configuration, or None.

        Raises:
            RunFolderError: There is a record, but not one that can be read.
        """
        if self._fresh or not (self.path / RECORD).exists():
            return None
        return read_records(self.path)

    def write(self, records: Sequence[AuditRecord], report: str) -> None:
        """Write config, record and report, each whole or not at all.

        An older report and record are removed first: a crash in between leaves a folder without a record, which
        the same command completes, never a record under another run's configuration. Two processes take turns, and
        the second refuses if the first wrote another configuration meanwhile.

        Args:
            records: One, or several cases.
            report: The HTML page.

        Raises:
            RunFolderError: The disk refused, or another run wrote there since this object was made.
        """
        try:
            self.path.mkdir(exist_ok=True)
            with locked(self.path):
                meanwhile = _found_config(self.path)
                if not self._overwrite and meanwhile not in (None, self._seen):
                    _check_same(self.path, meanwhile, self.config)
                self._write(records, report)
        except OSError as error:
            raise RunFolderError(
                f"The folder {str(self.path)!r} must be writable; the system says: {error.strerror or error}. "
                "Choose another with --out."
            ) from error

    def _write(self, records: Sequence[AuditRecord], report: str) -> None:
        for leftover in self.path.glob(f".*{TEMPORARY}"):
            leftover.unlink()
        if self._fresh:
            for name in (REPORT, RECORD):
                (self.path / name).unlink(missing_ok=True)
        replace_file(self.path / CONFIG, self.config.model_dump_json(indent=2) + "\n")
        replace_file(self.path / RECORD, records_to_json(records))
        replace_file(self.path / REPORT, report)

    @staticmethod
    def default(*parts: str) -> Path:
        """The folder in the current one that is used where none is named.

        Example:
            >>> RunFolder.default("audit", "enb.arff", "Y1,Y2").as_posix()
            'equipoise-audit-enb-arff-y1-y2'
        """
        return Path("-".join(["equipoise", *filter(None, map(slug, parts))]))


def slug(text: str, length: int = 60) -> str:
    """Text as part of a file name: lower-case letters, digits and single dashes.

    Example:
        >>> slug("Größe, m²"), slug("../../etc"), slug("joint0,joint4")
        ('grosse-m2', 'etc', 'joint0-joint4')
    """
    plain = unicodedata.normalize("NFKD", text.replace("ß", "ss")).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]+", "-", plain.lower()).strip("-")[:length].rstrip("-")


def read_records(path: Path) -> tuple[AuditRecord, ...]:
    """The records of a run folder.

    Args:
        path: The folder.

    Raises:
        RunFolderError: There is none, or it cannot be read.
    """
    read_config(path)
    try:
        return records_from_json((path / RECORD).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise RunFolderError(
            f"The run in {str(path)!r} did not finish: it has no {RECORD}. Run its command again; it goes on there."
        ) from error
    except (OSError, ValueError) as error:
        raise RunFolderError(
            f"{str(path / RECORD)!r} must be a record of this version of equipoise; it cannot be read: "
            f"{_first_line(error)}. Run its command again with --overwrite."
        ) from error


def read_config(path: Path) -> RunConfig:
    """The configuration of a run folder.

    Args:
        path: The folder.

    Raises:
        RunFolderError: There is none, or it cannot be read.
    """
    if not path.is_dir():
        found_there = "a file" if path.exists() else "not there"
        raise RunFolderError(f"A run folder must be a folder that equipoise wrote; {str(path)!r} is {found_there}.")
    found = _found_config(path)
    if found is None:
        raise RunFolderError(f"{str(path)!r} is empty. Make a run with: equipoise audit DATA --targets a,b")
    return _valid(path, found)


def replace_report(path: Path, report: str) -> Path:
    """Write the report of a folder again.

    Args:
        path: A run folder.
        report: The HTML page.

    Returns:
        The report's path.

    Raises:
        RunFolderError: The disk refused.
    """
    try:
        replace_file(path / REPORT, report)
    except OSError as error:
        raise RunFolderError(
            f"The report must be writable in {str(path)!r}; the system says: {error.strerror or error}."
        ) from error
    return path / REPORT


def _check_place(path: Path) -> None:
    """Whether files could be written there, without trying."""
    shown = str(path)
    if path.is_symlink() and not path.exists():
        raise RunFolderError(f"{shown!r} is a link to something that is not there. Choose another folder with --out.")
    if path.exists() and not path.is_dir():
        raise RunFolderError(f"The output must be a folder; {shown!r} is a file. Choose another name with --out.")
    if path.exists():
        if not os.access(path, os.W_OK | os.X_OK):
            raise RunFolderError(f"The folder {shown!r} is read-only for you. Choose another with --out.")
        return
    parent = path.absolute().parent
    if not parent.is_dir():
        raise RunFolderError(
            f"The folder {shown!r} cannot be made: its parent {str(parent)!r} does not exist. "
            f"Make it first (mkdir -p), or choose another with --out."
        )
    if not os.access(parent, os.W_OK | os.X_OK):
        raise RunFolderError(
            f"The folder {shown!r} cannot be made: {str(parent)!r} is read-only for you. Choose another with --out."
        )


def _found_config(path: Path) -> dict[str, Any] | None:
    """The configuration in a folder, None for an empty or absent one.

    Raises:
        RunFolderError: The folder holds files and no configuration of ours.
    """
    if not path.is_dir():
        return None
    try:
        entries = sorted(entry.name for entry in path.iterdir() if not entry.name.endswith(TEMPORARY))
        text = (path / CONFIG).read_text(encoding="utf-8") if CONFIG in entries else None
    except (OSError, UnicodeDecodeError) as error:
        raise RunFolderError(f"The folder {str(path)!r} cannot be read: {error}. Choose another with --out.") from error
    if not entries:
        return None
    found = _parsed(text) if text is not None else None
    if found is None:
        shown = ", ".join(entries[:4]) + (", ..." if len(entries) > 4 else "")
        raise RunFolderError(
            f"The folder {str(path)!r} was not written by equipoise (it holds {shown}) and is left alone. "
            "Choose a new or empty folder with --out; --overwrite does not apply to it."
        )
    return found


def _parsed(text: str) -> dict[str, Any] | None:
    try:
        found = json.loads(text)
    except json.JSONDecodeError:
        return None
    return found if isinstance(found, dict) and found.get("written_by") == "equipoise" else None


def _valid(path: Path, found: dict[str, Any]) -> RunConfig:
    try:
        return RunConfig.model_validate_json(json.dumps(found))
    except ValidationError as error:
        raise RunFolderError(
            f"{str(path / CONFIG)!r} is of another version of equipoise, or was changed: {_first_line(error)}. "
            "Choose another folder with --out, or replace the run with --overwrite."
        ) from error


def _check_same(path: Path, found: dict[str, Any], config: RunConfig) -> None:
    differing = differences(_valid(path, found), config)
    if differing:
        raise RunFolderError(
            f"The folder {str(path)!r} holds a run of another configuration. It differs in\n  "
            + "\n  ".join(differing)
            + "\nChoose another folder with --out, or replace that run with --overwrite."
        )


def _first_line(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False, include_input=False)[0]
        return f"{'.'.join(map(str, first['loc'])) or 'the file'}: {first['msg']}"
    return str(error).splitlines()[0] if str(error) else type(error).__name__
