"""The output folder: what is written there, in which order, and whose folder it is.

A run folder holds ``config.json`` (what was asked), ``record.json`` (what was found) and ``report.html``. Every file
is written under a temporary name beside it, forced to disk and renamed, so a reader sees the old file or the new
one, never half of one. The same command on the same folder finds its record and only renders again; another
configuration is refused; a folder that we did not write is never touched. Nothing here reads pickle.
"""

import json
import re
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ..core.files import TEMPORARY, locked, read_file, replace_file
from ..core.our_folder import CONFIG, REPORT, Found, found_for, what_is_in
from ..core.records.as_json import records_from_json, records_to_json
from ..core.records.audit import AuditRecord
from ..core.records.json_text import first_fault
from ..errors import RunFolderError
from .parts import Parts
from .pictures.catalogue import check_pictures
from .run_config import RunConfig, differences

__all__ = [
    "RunConfig",
    "RunFolder",
    "read_config",
    "read_records",
    "replace_report",
    "slug",
]

RECORD, PARTS = "record.json", "parts.jsonl"
_WRITTEN = (REPORT, RECORD, PARTS, "table.md")
"""What an earlier run of ours may have left, a reproduction's table among it."""
_INSTEAD = "Choose another folder with --out."


class RunFolder:
    """A folder that may be written, or a reason why not.

    Args:
        path: The folder. It need not exist, nor its parents.
        config: What is asked now.
        overwrite: Replace the files of another audit or reproduction. Other files in the folder stay; a recorded
            training is never replaced.

    Raises:
        RunFolderError: The folder is not ours, holds another configuration or a recorded training, or cannot be
            written. Nothing was changed on disk.

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
        self._seen = self._look()
        if self._seen.config is not None and not overwrite:
            _check_same(path, self._seen.config, config)
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

    def parts(self, patience: float) -> Parts:
        """Finished parts of the same configuration: what an interruption left is taken up again.

        Args:
            patience: Seconds of work before anything is written. With the first part the folder is this run's.
        """
        return Parts(self.path / PARTS, self._claim if self._fresh else None, patience=patience)

    def _claim(self) -> None:
        self.path.mkdir(parents=True, exist_ok=True)
        with locked(self.path):
            self._remove_older()
            replace_file(self.path / CONFIG, self.config.model_dump_json(indent=2) + "\n")
        self._fresh = False

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
            self.path.mkdir(parents=True, exist_ok=True)
            with locked(self.path):
                meanwhile = self._look()
                if not self._overwrite and meanwhile.config is not None and meanwhile != self._seen:
                    _check_same(self.path, meanwhile.config, self.config)
                self._write(records, report)
        except OSError as error:
            raise RunFolderError(
                f"The folder {str(self.path)!r} must be writable; the system says: {error.strerror or error}. "
                "Choose another with --out."
            ) from error

    def _look(self) -> Found:
        return found_for(self.path, "audit", overwrite=self._overwrite, instead=_INSTEAD)

    def _write(self, records: Sequence[AuditRecord], report: str) -> None:
        for leftover in self.path.glob(f".*{TEMPORARY}"):
            leftover.unlink()
        if self._fresh:
            self._remove_older()
        replace_file(self.path / CONFIG, self.config.model_dump_json(indent=2) + "\n")
        replace_file(self.path / RECORD, records_to_json(records))
        replace_file(self.path / REPORT, report)
        (self.path / PARTS).unlink(missing_ok=True)

    def _remove_older(self) -> None:
        for name in _WRITTEN:
            (self.path / name).unlink(missing_ok=True)

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
        records = records_from_json(read_file(path / RECORD).decode())
        for record in records:
            check_pictures(record)
    except FileNotFoundError as error:
        raise RunFolderError(
            f"The run in {str(path)!r} did not finish: it has no {RECORD}. Run its command again; it goes on there."
        ) from error
    except (OSError, ValueError) as error:
        raise RunFolderError(
            f"{str(path / RECORD)!r} must be a record of this version of equipoise; it cannot be read: "
            f"{_first_line(error)}. Run its command again with --overwrite."
        ) from error
    return records


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
    found = what_is_in(path)
    if found.kind == "nothing":
        raise RunFolderError(f"{str(path)!r} is empty. Make a run with: equipoise audit DATA --targets a,b")
    if found.kind != "audit" or found.config is None:
        whose = "was not written by equipoise: it" if found.kind == "foreign" else "is no audit's folder: it"
        raise RunFolderError(f"{str(path)!r} {whose} holds {found.words}.")
    return _valid(path, found.config)


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


def _valid(path: Path, found: dict[str, Any]) -> RunConfig:
    try:
        return RunConfig.model_validate_json(json.dumps(found))
    except ValidationError as error:
        raise RunFolderError(
            f"{str(path / CONFIG)!r} is of another version of equipoise, or was changed: {first_fault(error)}. "
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
        return first_fault(error)
    return str(error).splitlines()[0] if str(error) else type(error).__name__
