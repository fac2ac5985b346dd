"""The folder of a recorded training: ``config.json``, ``records.jsonl`` and, once rendered, ``report.html``.

The same training continues in its folder; another is refused with the keys that differ; a folder that we did not
write is never touched. A line is one write, so a crash tears at most the last. Nothing here reads pickle or imports
torch.
"""

from pathlib import Path

from ...core.files import COUNT, read_file, refusing, replace_file, take_lock
from ...core.our_folder import CONFIG, REPORT, found_for, our_config, read_card
from ...core.records.training import TrainingConfig, TrainingRecord, read_lines
from ...errors import RunFolderError, TaskError
from .line_file import LineFile, read_count

__all__ = ["check_folder", "open_training", "read_neighbours", "read_training", "write_config", "write_report"]

RECORDS = "records.jsonl"
MOST_NEIGHBOURS = 100
"""Most folders beside a run that are looked at."""
MOST_OF_A_NEIGHBOUR = 2**26
"""Longer records of others are not compared."""
_FIRST_BYTES = 65_536
_ANOTHER = "Record into a new folder."


def check_folder(folder: Path) -> TrainingConfig | None:
    """The configuration of the training that a folder holds, None where it holds nothing or does not exist.

    Raises:
        RunFolderError: The folder is not ours, or cannot be written. Nothing is ever changed here.
    """
    found = found_for(folder, "training", overwrite=True, instead="Give a new or empty folder.")
    return None if found.config is None else read_card(folder, TrainingConfig, found.config, _ANOTHER)


def open_training(folder: Path, config: TrainingConfig, *, overwrite: bool) -> tuple[TrainingConfig, LineFile]:
    """Take a folder that is new, empty or of the same training, or with `overwrite` of another one, for a recording.

    Returns:
        The configuration that stands there now, and the file of its lines.

    Raises:
        RunFolderError: The folder is not ours, holds another training or one that cannot be read, is being written, or
            the disk refuses.
    """
    check_folder(folder)
    with refusing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    lock, lines = take_lock(folder, wait=0.0), None
    try:
        with refusing(folder):
            kept = _taken(folder, config, overwrite)
            lines = LineFile(folder / RECORDS, lock)
    finally:
        if lines is None:
            lock.release()
    return kept, lines


def _taken(folder: Path, config: TrainingConfig, overwrite: bool) -> TrainingConfig:
    """The configuration of a folder whose lock we hold, written there if it is new."""
    found = check_folder(folder)
    if found is None or overwrite:
        for name in (RECORDS, REPORT, COUNT):
            (folder / name).unlink(missing_ok=True)  # a link goes, and not what it points to
        write_config(folder, config)
        return config
    if differing := found.differences(config):
        raise RunFolderError(
            f"the folder {str(folder)!r} holds another training. It differs in\n  "
            + "\n  ".join(differing)
            + "\nGive another folder, or overwrite=True to replace that recording."
        )
    if (folder / RECORDS).is_symlink():
        raise RunFolderError(
            f"{str(folder / RECORDS)!r} is a link, and a recording writes into files of its own folder only. Put the "
            "file in the place of the link, or give another folder."
        )
    read_training(folder)  # never goes on behind lines that cannot be read
    return found


def write_config(folder: Path, config: TrainingConfig) -> None:
    """Make the folder and write its configuration, whole or not at all.

    Raises:
        RunFolderError: The disk refuses.
        TaskError: A name that no file can hold.
    """
    unwritable = [task for task in config.tasks if any("\ud800" <= sign <= "\udfff" for sign in task)]
    if unwritable:
        raise TaskError(
            "task names must be text that a file can hold; found half of a surrogate pair in "
            f"{', '.join(map(ascii, unwritable))}. Rename these tasks."
        )
    with refusing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        replace_file(folder / CONFIG, config.model_dump_json(indent=2) + "\n")


def read_training(folder: Path) -> TrainingRecord:
    """What was recorded.

    Raises:
        RunFolderError: The folder holds no recorded training, or it cannot be read.
    """
    config = _read_config(folder)
    try:
        text = read_file(folder / RECORDS)
    except FileNotFoundError:
        text = b""
    except OSError as error:
        raise RunFolderError(f"{str(folder / RECORDS)!r} cannot be read: {error.strerror or error}.") from error
    return read_lines(config, text, read_count(folder / COUNT))


def read_neighbours(folder: Path, like: TrainingRecord) -> dict[str, TrainingRecord]:
    """Trainings recorded beside this one that might be the same under another name: folder name -> record.

    At most `MOST_NEIGHBOURS` folders beside it are looked at, in the order of their names. They are read whole only if
    their tasks are those of `like`, their method is another, and their first lines agree; what cannot be read is left
    out.
    """
    own, found = folder.resolve(), {}
    try:
        beside = sorted(path for path in own.parent.iterdir() if path != own and (path / CONFIG).is_file())
    except OSError:  # a parent that may be entered but not listed
        return {}
    losses = {line.step: line.raw_losses for line in like.lines}
    for path in beside[:MOST_NEIGHBOURS]:
        try:
            config = _read_config(path)
            if config.tasks != like.config.tasks or config.method == like.config.method:
                continue
            if not (path / RECORDS).is_file():  # a pipe or a device may never end
                continue
            with (path / RECORDS).open("rb") as file:
                first = read_lines(config, file.read(_FIRST_BYTES))
            if first.lines and all(losses.get(line.step, line.raw_losses) == line.raw_losses for line in first.lines):
                found[path.name] = read_lines(config, read_file(path / RECORDS, MOST_OF_A_NEIGHBOUR))
        except (OSError, RunFolderError):
            continue
    return found


def write_report(folder: Path, page: str) -> Path:
    """Write ``report.html`` whole or not at all; returns its path.

    Raises:
        RunFolderError: The disk refuses.
    """
    with refusing(folder):
        replace_file(folder / REPORT, page)
    return folder / REPORT


def _read_config(folder: Path) -> TrainingConfig:
    try:
        found = our_config(folder)
    except OSError as error:
        raise RunFolderError(f"{str(folder / CONFIG)!r} cannot be read: {error.strerror or error}.") from error
    if found is None:
        raise RunFolderError(f"{str(folder)!r} must be a folder that eq.record wrote; it has no config.json of ours.")
    return read_card(folder, TrainingConfig, found, _ANOTHER)
