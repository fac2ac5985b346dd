"""The folder of ``equipoise reproduce``: its settings, the finished parts, the record and its table."""

import hashlib
import json
from pathlib import Path
from typing import Any

from ...core.files import refusing, replace_file
from ...errors import RunFolderError
from ..parts import Parts
from ..run_folder import PARTS, RECORD, TABLE, KeptFolder

__all__ = ["ReproduceFolder", "read_reproduce", "replace_table"]


class ReproduceFolder(KeptFolder):
    """The folder of a reproduction; what it holds for the same settings is used again.

    `asked` holds every setting that decides the result.

    Raises:
        RunFolderError: The folder is not ours, or holds the results of other settings. Nothing was changed on disk.
    """

    kind = "reproduction"

    def __init__(self, path: Path, asked: dict[str, Any], *, overwrite: bool = False) -> None:
        self._question = hashlib.sha256(json.dumps(asked, sort_keys=True, default=list).encode()).hexdigest()
        card = {"written_by": "equipoise reproduce", "format": 1, "question": self._question}
        super().__init__(path, json.dumps(card, indent=1) + "\n", overwrite=overwrite)

    def _goes_on(self, found: dict[str, Any]) -> bool:
        same = found.get("question") == self._question
        if not same and not self._overwrite:
            raise RunFolderError(
                f"{str(self.path)!r} holds results for other settings: choose another --out, or pass --overwrite."
            )
        return bool(same)

    def found(self) -> str | None:
        """The record for the same settings, or None."""
        try:
            return None if self._fresh else (self.path / RECORD).read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return None

    def write(self, record: str, table: str) -> None:
        """Write record and table; the parts are not needed any more."""
        self._write({RECORD: record, TABLE: table})


def read_reproduce(path: Path) -> str:
    """The record of such a folder, as JSON.

    Raises:
        RunFolderError: It is not finished.
    """
    try:
        return (path / RECORD).read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError as error:
        done = len(Parts(path / PARTS))
        raise RunFolderError(
            f"The computation in {str(path)!r} did not finish; {done} of its parts are kept. Run its command again "
            "with the same --out; it goes on there."
        ) from error


def replace_table(path: Path, table: str) -> Path:
    """Write the table of such a folder again; returns its path."""
    with refusing(path):
        replace_file(path / TABLE, table)
    return path / TABLE
