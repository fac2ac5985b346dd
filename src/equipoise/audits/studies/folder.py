"""The folder of ``equipoise reproduce``: what was asked, the parts that are finished, the record and its table."""

import hashlib
import json
from pathlib import Path
from typing import Any

from ...core.files import locked, replace_file
from ...core.our_folder import CONFIG, REPORT, found_for
from ...errors import RunFolderError
from ..parts import Parts

__all__ = ["ReproduceFolder", "read_reproduce", "replace_table"]

RECORD, TABLE, PARTS = "record.json", "table.md", "parts.jsonl"
_WRITTEN = (CONFIG, RECORD, TABLE, PARTS, REPORT)
"""What an earlier run of ours may have left, an audit's report among it."""


class ReproduceFolder:
    """A folder with the same question (then what it holds is used), an empty one, or a reason why not.

    Args:
        path: It need not exist, nor its parents.
        asked: Whatever decides the result.
        overwrite: Replace another question's files, or an audit's. A recorded training is never replaced.

    Raises:
        RunFolderError: Not ours, or it answers another question. Nothing was changed on disk.
    """

    def __init__(self, path: Path, asked: dict[str, Any], *, overwrite: bool = False) -> None:
        self.path = path
        self._question = hashlib.sha256(json.dumps(asked, sort_keys=True, default=list).encode()).hexdigest()
        instead = "Choose another folder with --out."
        card = found_for(path, "reproduction", overwrite=overwrite, instead=instead).config
        self._same = card is not None and card.get("question") == self._question
        if card is not None and not self._same and not overwrite:
            raise RunFolderError(f"{str(path)!r} answers another question: choose another --out, or pass --overwrite.")

    def found(self) -> str | None:
        """The record of the same question, or None."""
        try:
            return (self.path / RECORD).read_text(encoding="utf-8") if self._same else None
        except FileNotFoundError:
            return None

    def parts(self) -> Parts:
        """The finished parts of the same question. With the first new one the folder becomes this question's."""
        return Parts(self.path / PARTS, None if self._same else self._claim)

    def write(self, record: str, table: str) -> None:
        """Record and table, each whole or not at all; the parts are not needed any more."""
        if not self._same:
            self._claim()
        replace_file(self.path / RECORD, record)
        replace_file(self.path / TABLE, table)
        (self.path / PARTS).unlink(missing_ok=True)

    def _claim(self) -> None:
        self.path.mkdir(parents=True, exist_ok=True)
        card = {"written_by": "equipoise reproduce", "format": 1, "question": self._question}
        with locked(self.path):
            for name in _WRITTEN:
                (self.path / name).unlink(missing_ok=True)
            replace_file(self.path / CONFIG, json.dumps(card, indent=1) + "\n")
        self._same = True


def read_reproduce(path: Path) -> str:
    """The record of such a folder, as JSON.

    Raises:
        RunFolderError: It is not finished.
    """
    try:
        return (path / RECORD).read_text(encoding="utf-8")
    except FileNotFoundError as error:
        done = len(Parts(path / PARTS))
        raise RunFolderError(
            f"The computation in {str(path)!r} did not finish; {done} of its parts are kept. Run its command again "
            "with the same --out; it goes on there."
        ) from error


def replace_table(path: Path, table: str) -> Path:
    """Write the table of such a folder again; returns its path."""
    replace_file(path / TABLE, table)
    return path / TABLE
