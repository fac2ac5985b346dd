"""The folder of an exploration: what was asked, the runs, the record, the report."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ...audits.run_folder import RECORD, KeptFolder
from ...core.files import read_file
from ...core.records.explored import ExploreRecord
from ...core.records.json_text import first_fault
from ...errors import RunFolderError

__all__ = ["ExploreFolder", "read_exploration"]


class ExploreFolder(KeptFolder):
    """A folder whose runs are taken up again by the same question.

    Args:
        path: It need not exist, nor its parents.
        asked: Whatever decides the result.
        overwrite: Replace another exploration; runs of the same configuration are used again all the same.

    Raises:
        RunFolderError: The folder is not ours, or holds another exploration. Nothing was changed on disk.
    """

    kind = "explore"

    def __init__(self, path: Path, asked: Mapping[str, Any], *, overwrite: bool = False) -> None:
        text = json.dumps(asked, sort_keys=True, default=str)
        self._asked: dict[str, Any] = json.loads(text)
        card = {
            "written_by": "equipoise", "format": 1, "command": "explore",
            "question": hashlib.sha256(text.encode()).hexdigest(), "asked": self._asked,
        }  # fmt: skip
        self._question = card["question"]
        super().__init__(path, json.dumps(card, indent=1) + "\n", overwrite=overwrite)

    def _goes_on(self, found: dict[str, Any]) -> bool:
        same = found.get("question") == self._question
        if not same and not self._overwrite:
            before = found.get("asked", {})
            keys = [key for key in sorted({*before, *self._asked}) if before.get(key) != self._asked.get(key)]
            differing = "\n  ".join(f"{key}: {before.get(key)!r} there, {self._asked.get(key)!r} now" for key in keys)
            raise RunFolderError(
                f"The folder {str(self.path)!r} holds another exploration. It differs in\n  {differing}\nChoose "
                "another folder with --out, or replace that one with --overwrite."
            )
        return bool(same)

    def begin(self) -> None:
        """Claim the folder, so that runs may be written into it."""
        if self._fresh:
            self._claim()

    def found(self) -> ExploreRecord | None:
        """The record of the same question, or None."""
        return None if self._fresh or not (self.path / RECORD).is_file() else read_exploration(self.path)

    def write(self, record: ExploreRecord) -> None:
        """Write the record; the report is the caller's."""
        self._write({RECORD: record.model_dump_json(indent=1) + "\n"})


def read_exploration(path: Path) -> ExploreRecord:
    """The record of such a folder.

    Raises:
        RunFolderError: There is none, or it cannot be read.
    """
    try:
        return ExploreRecord.model_validate_json(read_file(path / RECORD).decode())
    except FileNotFoundError as error:
        raise RunFolderError(
            f"The exploration in {str(path)!r} did not finish: it has no {RECORD}. Run its command again; it goes on "
            "from the runs that are there."
        ) from error
    except (OSError, ValueError) as error:
        words = first_fault(error) if isinstance(error, ValidationError) else str(error)
        raise RunFolderError(
            f"{str(path / RECORD)!r} must be a record of this version of equipoise; it cannot be read: {words}. Run "
            "its command again with --overwrite."
        ) from error
