"""The folder of a run: ``config.json``, ``records.jsonl`` and ``checkpoint/``. One process at a time writes there."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from ...core.files import read_file, replace_file, take_lock
from ...core.our_folder import CONFIG, REPORT, found_for, read_card
from ...core.records.fit_runs import FitConfig, FitLine, read_fit_lines
from ...errors import RunFolderError
from ..recording.line_file import LineFile
from .checkpoint import read_checkpoint, remove_checkpoint, write_checkpoint

__all__ = ["RunFiles", "read_fit_config"]

RECORDS = "records.jsonl"
_INSTEAD = "Give a new or empty folder."


class RunFiles:
    """A run's folder, held by this process until `close`.

    Args:
        folder: New, empty, or of the same run, which then goes on.
        config: Configuration of the run that is about to begin.
        overwrite: Replace an earlier run that `eq.fit` wrote.

    Raises:
        RunFolderError: The folder is not ours, holds another run, a damaged or newer one, is being written by another
            process, or the disk refuses. What was there is unchanged.
    """

    def __init__(self, folder: Path, config: FitConfig, *, overwrite: bool) -> None:
        self.folder = folder
        _look(folder, overwrite=overwrite)
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise _refused(folder, error) from error
        lock, lines = take_lock(folder, wait=0.0), None
        try:
            there = _look(folder, overwrite=overwrite)
            if there is None or overwrite:
                remove_checkpoint(folder)
                for name in (RECORDS, REPORT):
                    (folder / name).unlink(missing_ok=True)
                replace_file(folder / CONFIG, config.model_dump_json(indent=2) + "\n")
                there = config
            elif differing := there.differences(config):
                raise RunFolderError(
                    f"the folder {str(folder)!r} holds another run. It differs in\n  "
                    + "\n  ".join(differing)
                    + "\nGive another folder, or overwrite=True to replace that run."
                )
            self.config = there
            lines = LineFile(folder / RECORDS, lock)
        except OSError as error:
            raise _refused(folder, error) from error
        finally:
            if lines is None:
                lock.release()
        self._lines = lines

    def load(self) -> tuple[dict[str, Any], dict[int, dict[str, Tensor]], tuple[FitLine, ...]] | None:
        """State, selected models and lines of the last checkpoint; None, and no lines, where there is none.

        Raises:
            RunFolderError: They cannot be read.
        """
        found = read_checkpoint(self.folder)
        try:
            self._lines.keep(0 if found is None else int(found[1]["bytes"]))
            lines = read_fit_lines(read_file(self.folder / RECORDS))
        except OSError as error:
            raise _refused(self.folder, error) from error
        return None if found is None else (found[1], found[2], lines)

    def append(self, line: FitLine) -> None:
        """Add a line.

        Raises:
            RunFolderError: The disk refuses.
        """
        self._lines.append(line.model_dump_json().encode() + b"\n")

    def save(self, step: int, state: Mapping[str, Any], models: Mapping[int, dict[str, Tensor]]) -> None:
        """Write a checkpoint.

        Raises:
            RunFolderError: The disk refuses; the last checkpoint stays valid.
        """
        try:
            write_checkpoint(self.folder, step, {**state, "bytes": self._lines.kept()}, models)
        except OSError as error:
            raise _refused(self.folder, error) from error

    def close(self) -> None:
        """Give the folder back."""
        self._lines.close()


def read_fit_config(folder: Path) -> FitConfig:
    """The configuration of a run's folder.

    Raises:
        RunFolderError: There is none that this version can read.
    """
    found = _look(folder, overwrite=False)
    if found is None:
        raise RunFolderError(f"{str(folder)!r} holds no run of eq.fit.")
    return found


def _look(folder: Path, *, overwrite: bool) -> FitConfig | None:
    found = found_for(folder, "run", overwrite=overwrite, instead=_INSTEAD).config
    if found is None:
        return None
    if isinstance(found.get("format"), int) and found["format"] > 1:
        raise RunFolderError(
            f"the folder {str(folder)!r} was written by a newer version of equipoise (format {found['format']}; this "
            "version knows 1). Update equipoise, or give another folder."
        )
    try:
        return read_card(folder, FitConfig, found, "Give another folder, or overwrite=True to replace that run.")
    except RunFolderError:
        if overwrite:
            return None
        raise


def _refused(folder: Path, error: OSError) -> RunFolderError:
    return RunFolderError(
        f"the folder {str(folder)!r} must be writable; the system says: {error.strerror or error}. What was written "
        "before stays valid: the same call goes on from there."
    )
