"""The output folder: what is written there, in which order, and whose folder it is.

A run folder holds ``config.json`` (what was asked), ``record.json`` (what was found) and ``report.html``. Every file
is written under a temporary name beside it, forced to disk and renamed, so a reader sees the old file or the new
one, never half of one. The same command on the same folder finds its record and only renders again; another
configuration is refused; a folder that we did not write is never touched. Nothing here reads pickle.
"""

import re
import unicodedata
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from pydantic import ValidationError

from ..core.files import TEMPORARY, locked, read_file, refusing, replace_file
from ..core.our_folder import CONFIG, REPORT, Found, Kind, found_for, read_card, what_is_in
from ..core.records.as_json import records_from_json, records_to_json
from ..core.records.audit import AuditRecord
from ..core.records.json_text import first_fault
from ..errors import RunFolderError
from .parts import Parts
from .pictures.catalogue import check_pictures
from .run_config import RunConfig, differences

__all__ = ["KeptFolder", "RunConfig", "RunFolder", "read_config", "read_records", "replace_report", "slug"]

RECORD, TABLE, PARTS = "record.json", "table.md", "parts.jsonl"
_WRITTEN = (REPORT, RECORD, PARTS, TABLE)
"""What an earlier run of ours may have left."""
_INSTEAD = "Choose another folder with --out."


class KeptFolder(ABC):
    """A folder of one computed run, to be written by one process at a time, or a reason why not.

    It need not exist, nor its parents. With `overwrite` the files of another computed run are replaced; other files in
    the folder stay, and a recorded training is never replaced. A subclass says what ``config.json`` is to hold, and
    whether what was found there is the same run.
    """

    kind: ClassVar[Kind]

    def __init__(self, path: Path, card: str, *, overwrite: bool) -> None:
        self.path = path
        self._card = card
        self._overwrite = overwrite
        self._seen = self._look()
        self._fresh = self._seen.config is None or not self._goes_on(self._seen.config)

    @abstractmethod
    def _goes_on(self, found: dict[str, Any]) -> bool:
        """Whether this run goes on in a folder with this ``config.json``; False where it replaces what is there.

        Raises:
            RunFolderError: Another run is there, and must not be replaced.
        """

    def parts(self, patience: float = 0.0) -> Parts:
        """Finished parts of the same run: what an interruption left is taken up again.

        With the first part, after `patience` seconds of work, the folder is this run's.
        """
        return Parts(self.path / PARTS, self._claim if self._fresh else None, patience=patience)

    def _claim(self) -> None:
        self.path.mkdir(parents=True, exist_ok=True)
        with locked(self.path):
            self._remove_older()
            replace_file(self.path / CONFIG, self._card)
        self._fresh = False

    def _write(self, files: Mapping[str, str]) -> None:
        """Write config and files, each whole or not at all.

        Older files are removed first: a crash in between leaves a folder without a record, which the same command
        completes, never a record under another run's configuration. Two processes take turns, and the second refuses if
        the first wrote another configuration meanwhile.

        Raises:
            RunFolderError: The disk refused, or another run wrote there since this object was made.
        """
        with refusing(self.path, _INSTEAD):
            self.path.mkdir(parents=True, exist_ok=True)
            with locked(self.path):
                meanwhile = self._look()
                if not self._overwrite and meanwhile.config is not None and meanwhile != self._seen:
                    self._goes_on(meanwhile.config)
                for leftover in self.path.glob(f".*{TEMPORARY}"):
                    leftover.unlink()
                if self._fresh:
                    self._remove_older()
                for name, text in {CONFIG: self._card, **files}.items():
                    replace_file(self.path / name, text)
                (self.path / PARTS).unlink(missing_ok=True)
                self._fresh = False

    def _look(self) -> Found:
        return found_for(self.path, self.kind, overwrite=self._overwrite, instead=_INSTEAD)

    def _remove_older(self) -> None:
        for name in _WRITTEN:
            (self.path / name).unlink(missing_ok=True)


class RunFolder(KeptFolder):
    """The folder of an audit or a demo.

    Raises:
        RunFolderError: The folder is not ours, holds another configuration or a recorded training, or cannot be
            written. Nothing was changed on disk.

    Example:
        >>> from tempfile import mkdtemp
        >>> folder = RunFolder(Path(mkdtemp()) / "out", RunConfig(command="demo", version="0.1.0", data="built in"))
        >>> folder.records() is None
        True
    """

    kind = "audit"

    def __init__(self, path: Path, config: RunConfig, *, overwrite: bool = False) -> None:
        self.config = config
        super().__init__(path, config.model_dump_json(indent=2) + "\n", overwrite=overwrite)

    def _goes_on(self, found: dict[str, Any]) -> bool:
        if self._overwrite:
            return False
        if differing := differences(_valid(self.path, found), self.config):
            raise RunFolderError(
                f"The folder {str(self.path)!r} holds a run of another configuration. It differs in\n  "
                + "\n  ".join(differing)
                + "\nChoose another folder with --out, or replace that run with --overwrite."
            )
        return True

    @property
    def report(self) -> Path:
        """Where the report is, or will be."""
        return self.path / REPORT

    def records(self) -> tuple[AuditRecord, ...] | None:
        """The records of an earlier run of the same configuration, or None.

        Raises:
            RunFolderError: There is a record, but not one that can be read.
        """
        return None if self._fresh or not (self.path / RECORD).exists() else read_records(self.path)

    def write(self, records: Sequence[AuditRecord], report: str) -> None:
        """Write config, record (one, or several cases) and the HTML page; see `KeptFolder`."""
        self._write({RECORD: records_to_json(records), REPORT: report})

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
            f"{first_fault(error) if isinstance(error, ValidationError) else error}. Run its command again with "
            "--overwrite."
        ) from error
    return records


def read_config(path: Path) -> RunConfig:
    """The configuration of a run folder.

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
    """Write the HTML page of a run folder again; returns its path.

    Raises:
        RunFolderError: The disk refused.
    """
    with refusing(path):
        replace_file(path / REPORT, report)
    return path / REPORT


def _valid(path: Path, found: dict[str, Any]) -> RunConfig:
    return read_card(path, RunConfig, found, f"{_INSTEAD[:-1]}, or replace the run with --overwrite.")
