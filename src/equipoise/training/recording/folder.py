"""The folder of a recorded training: ``config.json``, ``records.jsonl`` and, once rendered, ``report.html``.

The same training goes on in its folder; another one is refused with the keys that differ; a folder that we did not
write is never touched. A line is one write, so a crash tears at most the last. Nothing here reads pickle or imports
torch.
"""

import json
import os
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ...core.files import TEMPORARY, replace_file
from ...core.records.training import StepLine, TrainingConfig, TrainingRecord, read_lines
from ...errors import RunFolderError

__all__ = [
    "LineFile",
    "check_folder",
    "is_training_folder",
    "read_neighbours",
    "read_training",
    "write_config",
    "write_report",
]

CONFIG, RECORDS, REPORT = "config.json", "records.jsonl", "report.html"
MOST_NEIGHBOURS = 100
"""Most folders beside a run that are looked at."""
_FIRST_BYTES = 65_536


class LineFile:
    """``records.jsonl``, open for appending by one process at a time.

    Args:
        folder: An existing folder.
        fresh: Remove the lines of an earlier recording, and its report.

    Raises:
        RunFolderError: Another recording has it open, or the disk refuses.
    """

    def __init__(self, folder: Path, *, fresh: bool = False) -> None:
        self.path = folder / RECORDS
        try:
            self._descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        except OSError as error:
            raise _refused(folder, error) from error
        self._open = True
        _lock(self._descriptor, folder)
        if fresh:
            os.ftruncate(self._descriptor, 0)
            (folder / REPORT).unlink(missing_ok=True)
        _cut_torn_line(self._descriptor)

    def append(self, line: StepLine) -> None:
        """Adds a line in one write; nothing waits for the disk.

        Raises:
            RunFolderError: The disk refuses; the line may be torn.
        """
        encoded = line.model_dump_json().encode() + b"\n"
        try:
            written = os.write(self._descriptor, encoded)
        except OSError as error:
            raise _refused(self.path.parent, error) from error
        if written != len(encoded):
            raise RunFolderError(f"only {written} of {len(encoded)} bytes of a line fit into {str(self.path)!r}.")

    def close(self) -> None:
        """Closes the file; a second call does nothing."""
        if self._open:
            self._open = False
            os.close(self._descriptor)

    def __del__(self) -> None:
        if getattr(self, "_open", False):
            self.close()


def check_folder(folder: Path) -> TrainingConfig | None:
    """The configuration of the training that a folder holds, None where it holds nothing.

    Args:
        folder: It need not exist; its parent must.

    Raises:
        RunFolderError: The folder is not ours, or cannot be written. Nothing is ever changed here.
    """
    shown = str(folder)
    if folder.is_symlink() and not folder.exists():
        raise RunFolderError(f"{shown!r} is a link to something that is not there. Give another folder.")
    if folder.exists() and not folder.is_dir():
        raise RunFolderError(f"eq.record needs a folder; {shown!r} is a file. Give another name.")
    place = folder if folder.exists() else folder.absolute().parent
    if not place.is_dir():
        raise RunFolderError(f"the folder {shown!r} cannot be made: {str(place)!r} does not exist. Make that first.")
    if not os.access(place, os.W_OK | os.X_OK):
        raise RunFolderError(f"{str(place)!r} is read-only for you. Give another folder.")
    names = sorted(path.name for path in folder.iterdir()) if folder.exists() else []
    names = [name for name in names if not name.endswith(TEMPORARY)]
    if not names:
        return None
    if not is_training_folder(folder):
        listing = ", ".join(names[:4]) + (", ..." if len(names) > 4 else "")
        raise RunFolderError(
            f"the folder {shown!r} holds no recorded training (it holds {listing}) and is left alone. Give a new or "
            "empty folder; overwrite=True does not apply to it."
        )
    return _read_config(folder)


def write_config(folder: Path, config: TrainingConfig) -> None:
    """Makes the folder and writes its configuration, whole or not at all.

    Raises:
        RunFolderError: The disk refuses.
    """
    try:
        folder.mkdir(exist_ok=True)
        replace_file(folder / CONFIG, config.model_dump_json(indent=2) + "\n")
    except OSError as error:
        raise _refused(folder, error) from error


def is_training_folder(folder: Path) -> bool:
    """Whether a folder holds a recorded training (an audit's folder does not)."""
    found = _config_of(folder)
    return found is not None and found.get("command") == "record"


def read_training(folder: Path) -> TrainingRecord:
    """What was recorded.

    Raises:
        RunFolderError: The folder holds no recorded training, or it cannot be read.
    """
    config = _read_config(folder)
    try:
        text = (folder / RECORDS).read_bytes()
    except FileNotFoundError:
        text = b""
    except OSError as error:
        raise RunFolderError(f"{str(folder / RECORDS)!r} cannot be read: {error.strerror or error}.") from error
    return read_lines(config, text)


def read_neighbours(folder: Path, like: TrainingRecord) -> dict[str, TrainingRecord]:
    """Trainings recorded beside this one that might be the same under another name.

    Args:
        folder: At most `MOST_NEIGHBOURS` folders in the folder above it are looked at, in the order of their names.
        like: What it holds. Others are read whole only if their tasks are the same, their method is another, and
            their first lines agree; what cannot be read is left out.

    Returns:
        Folder name -> record.
    """
    own, found = folder.resolve(), {}
    try:
        beside = sorted(path for path in own.parent.iterdir() if path != own and (path / CONFIG).is_file())
    except OSError:  # a parent that may be entered but not listed
        return {}
    losses = {line.step: line.raw_losses for line in like.lines}
    for path in beside[:MOST_NEIGHBOURS]:
        try:
            if not is_training_folder(path):
                continue
            config = _read_config(path)
            if config.tasks != like.config.tasks or config.method == like.config.method:
                continue
            with (path / RECORDS).open("rb") as file:
                first = read_lines(config, file.read(_FIRST_BYTES))
            if all(losses.get(line.step, line.raw_losses) == line.raw_losses for line in first.lines):
                found[path.name] = read_training(path)
        except (OSError, RunFolderError):
            continue
    return found


def write_report(folder: Path, page: str) -> Path:
    """Writes ``report.html`` whole or not at all.

    Returns:
        Its path.

    Raises:
        RunFolderError: The disk refuses.
    """
    try:
        replace_file(folder / REPORT, page)
    except OSError as error:
        raise _refused(folder, error) from error
    return folder / REPORT


def _config_of(folder: Path) -> dict[str, Any] | None:
    try:
        found = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError):  # absent, unreadable or not JSON: not ours
        return None
    return found if isinstance(found, dict) and found.get("written_by") == "equipoise" else None


def _read_config(folder: Path) -> TrainingConfig:
    found = _config_of(folder)
    if found is None:
        raise RunFolderError(f"{str(folder)!r} must be a folder that eq.record wrote; it has no config.json of ours.")
    try:
        return TrainingConfig.model_validate_json(json.dumps(found))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise RunFolderError(
            f"{str(folder / CONFIG)!r} is of another version of equipoise, or was changed: "
            f"{'.'.join(map(str, first['loc']))}: {first['msg']}. Record into a new folder."
        ) from error


def _lock(descriptor: int, folder: Path) -> None:
    if os.name != "posix":
        return
    import fcntl  # noqa: PLC0415 - exists on POSIX only

    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        raise RunFolderError(
            f"{str(folder)!r} is being written by another recording. Give each run a folder of its own, or close the "
            "other one first (recorder.close())."
        ) from error


def _cut_torn_line(descriptor: int) -> None:
    """Ends the file behind its last whole line, so that the next one does not continue a torn one."""
    size = os.lseek(descriptor, 0, os.SEEK_END)
    keep, block = size, 65_536
    while keep:
        start = max(0, keep - block)
        os.lseek(descriptor, start, os.SEEK_SET)
        newline = os.read(descriptor, keep - start).rfind(b"\n")
        if newline >= 0:
            keep = start + newline + 1
            break
        keep = start
    if keep < size:
        os.ftruncate(descriptor, keep)


def _refused(folder: Path, error: OSError) -> RunFolderError:
    return RunFolderError(f"the folder {str(folder)!r} must be writable; the system says: {error.strerror or error}.")
