"""The folder of ``equipoise rewards`` and ``equipoise runs``: what was asked, the record, the report."""

import hashlib
import json
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ...core.files import locked, read_file, replace_file
from ...core.our_folder import CONFIG, REPORT, found_for
from ...core.records.json_text import first_fault, parsed_json
from ...core.records.rewards import RewardsRecord
from ...core.records.run_table import RunTableRecord
from ...errors import RunFolderError

__all__ = ["LogFolder", "LogRecord", "read_log_record", "replace_log_report"]

LogRecord = RewardsRecord | RunTableRecord

RECORD = "record.json"
_WRITTEN = (CONFIG, RECORD, REPORT, "table.md", "parts.jsonl")
"""What an earlier run of ours may have left."""


class LogFolder:
    """A folder that may be written, or a reason why not.

    Args:
        path: It need not exist, nor its parents.
        asked: Whatever decides the result; ``command`` is among it.
        overwrite: Replace another run's files. A recorded training is never replaced.

    Raises:
        RunFolderError: Not ours, or it answers another question. Nothing was changed on disk.
    """

    def __init__(self, path: Path, asked: dict[str, Any], *, overwrite: bool = False) -> None:
        self.path = path
        text = json.dumps(asked, sort_keys=True, default=str)
        self._card = {
            "written_by": "equipoise", "format": 1, "command": asked["command"],
            "question": hashlib.sha256(text.encode()).hexdigest(), "asked": json.loads(text),
        }  # fmt: skip
        instead = "Choose another folder with --out."
        found = found_for(path, "log", overwrite=overwrite, instead=instead).config
        if found is not None and found.get("question") != self._card["question"] and not overwrite:
            before = found.get("asked", {})
            now = self._card["asked"]
            differing = [key for key in sorted({*before, *now}) if before.get(key) != now.get(key)]
            raise RunFolderError(
                f"The folder {str(path)!r} holds the answer to another question; it differs in {', '.join(differing)}. "
                f"{instead} Or replace it with --overwrite."
            )

    @property
    def report(self) -> Path:
        """Where the report will be."""
        return self.path / REPORT

    def write(self, record: LogRecord, page: str) -> None:
        """Write configuration, record and report, each whole or not at all.

        Raises:
            RunFolderError: The disk refused.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            with locked(self.path):
                for name in _WRITTEN:
                    (self.path / name).unlink(missing_ok=True)
                replace_file(self.path / CONFIG, json.dumps(self._card, indent=2, ensure_ascii=False) + "\n")
                replace_file(self.path / RECORD, record.model_dump_json(indent=1) + "\n")
                replace_file(self.path / REPORT, page)
        except OSError as error:
            raise _refused(self.path, error) from error


def read_log_record(path: Path) -> LogRecord:
    """The record of such a folder.

    Raises:
        RunFolderError: There is none, or it cannot be read.
    """
    try:
        found = parsed_json(read_file(path / RECORD).decode())
        kind: type[LogRecord] = RewardsRecord if found.get("kind") == "rewards" else RunTableRecord
        return kind.model_validate_json(json.dumps(found))
    except FileNotFoundError as error:
        raise RunFolderError(f"The run in {str(path)!r} did not finish: it has no {RECORD}. Run it again.") from error
    except (OSError, ValueError, AttributeError) as error:
        words = first_fault(error) if isinstance(error, ValidationError) else str(error)
        raise RunFolderError(
            f"{str(path / RECORD)!r} must be a record of this version of equipoise; it cannot be read: {words}. Run "
            "its command again with --overwrite."
        ) from error


def replace_log_report(path: Path, page: str) -> Path:
    """Write the report of such a folder again; returns its path.

    Raises:
        RunFolderError: The disk refused.
    """
    try:
        replace_file(path / REPORT, page)
    except OSError as error:
        raise _refused(path, error) from error
    return path / REPORT


def _refused(path: Path, error: OSError) -> RunFolderError:
    return RunFolderError(f"The folder {str(path)!r} must be writable; the system says: {error.strerror or error}.")
