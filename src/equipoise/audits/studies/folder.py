"""The folder of ``equipoise reproduce``: what was asked, the parts that are finished, the record and its table."""

import hashlib
import json
from pathlib import Path
from typing import Any

from ...core.files import replace_file
from ...core.records.json_text import parsed_json
from ...errors import RunFolderError
from ..parts import Parts

__all__ = ["REPRODUCE", "REPRODUCE_FILES", "ReproduceFolder", "is_reproduce_folder", "read_reproduce", "replace_table"]

REPRODUCE = "equipoise reproduce"
"""Who wrote such a folder, as its configuration says."""
CONFIG, RECORD, TABLE, PARTS = "config.json", "record.json", "table.md", "parts.jsonl"
REPRODUCE_FILES = (CONFIG, RECORD, TABLE, PARTS)
_OF_AN_AUDIT = ("report.html",)


class ReproduceFolder:
    """A folder with the same question (then what it holds is used), an empty one, or a reason why not.

    Args:
        path: It need not exist; its parent must.
        asked: Whatever decides the result.
        overwrite: Replace another question's files, or an audit's. A recorded training is never replaced.

    Raises:
        RunFolderError: Not ours, or it answers another question. Nothing was changed on disk.
    """

    def __init__(self, path: Path, asked: dict[str, Any], *, overwrite: bool = False) -> None:
        self.path = path
        self._question = hashlib.sha256(json.dumps(asked, sort_keys=True, default=list).encode()).hexdigest()
        self._same = False
        if path.exists() and not path.is_dir():
            raise RunFolderError(f"--out must be a folder; {str(path)!r} is a file.")
        if not path.is_dir() or not any(path.iterdir()):
            return
        card = _card(path)
        if card is None or card.get("command") == "record":
            held = "a recorded training" if card else "files that we did not write"
            raise RunFolderError(f"{str(path)!r} holds {held} and is left alone: choose another --out.")
        self._same = card.get("written_by") == REPRODUCE and card.get("question") == self._question
        if not self._same and not overwrite:
            held = "answers another question" if card.get("written_by") == REPRODUCE else "holds an audit"
            raise RunFolderError(f"{str(path)!r} {held}: choose another --out, or pass --overwrite.")

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
        self.path.mkdir(exist_ok=True)
        for name in (*REPRODUCE_FILES, *_OF_AN_AUDIT):
            (self.path / name).unlink(missing_ok=True)
        card = {"written_by": REPRODUCE, "format": 1, "question": self._question}
        replace_file(self.path / CONFIG, json.dumps(card, indent=1) + "\n")
        self._same = True


def is_reproduce_folder(path: Path) -> bool:
    """Whether ``equipoise reproduce`` wrote a folder."""
    card = _card(path)
    return card is not None and card.get("written_by") == REPRODUCE


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


def _card(path: Path) -> dict[str, Any] | None:
    try:
        card = parsed_json((path / CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError):  # absent, unreadable or not JSON: not ours
        return None
    return card if isinstance(card, dict) and card.get("written_by") in {REPRODUCE, "equipoise"} else None
