"""The folder of a fit: ``config.json``, ``record.json``, ``networks/``, and in ``runs/`` a folder for each training.

``networks/networks.json`` says what each network is, and names the safetensors file with their parameters. Nothing is
pickled, and each file is written under another name and renamed.
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, cast

import pandas as pd
import torch
from pydantic import BaseModel, ConfigDict, ValidationError

from ...core.files import locked, read_file, replace_file
from ...core.our_folder import CONFIG, REPORT, found_for, what_is_in
from ...core.records.fitted import FitRecord, fit_record_from_json, fit_record_to_json
from ...core.records.json_text import first_fault
from ...data.reading import Reading
from ...errors import RunFolderError
from ..resuming.checkpoint import CHECKPOINT, TensorFile, read_tensors, remove_checkpoint, write_tensors
from .networks.recipe import Recipe
from .predictor import Network, Predictor
from .preparing.preparation import Preparation

__all__ = ["RUNS", "FitTableConfig", "frame_sha256", "held_folder", "load_predictor", "read_fit", "save_fit"]

RECORD, NETWORKS, RUNS = "record.json", "networks", "runs"
_JSON = "networks.json"
_INSTEAD = "Choose another folder with --out."


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class FitTableConfig(_Strict):
    """What was asked of `fit_table`: whatever decides the result.

    Attributes:
        written_by, format, command: Mark the folder as one of a fit.
        version: Version of equipoise that began the fit.
        data, sha256: Name of the table, and SHA-256 of its bytes or, of a data frame, of its values.
        settings: The arguments, as texts, numbers and lists.
    """

    written_by: Literal["equipoise"] = "equipoise"
    format: Literal[1] = 1
    command: Literal["fit"] = "fit"
    version: str
    data: str
    sha256: str
    settings: dict[str, Any]

    def differences(self, now: "FitTableConfig") -> list[str]:
        """The arguments in which a new call differs, each with both values."""
        plain = (config.model_dump(mode="json") for config in (self, now))  # tuples as lists, as they were read
        mine, theirs = (
            {"data": c["data"], "content of the data (sha256)": c["sha256"][:12], **c["settings"]} for c in plain
        )
        keys = [key for key in {**mine, **theirs} if mine.get(key) != theirs.get(key)]
        return [f"{key}: {mine.get(key)!r} there, {theirs.get(key)!r} now" for key in keys]


class _Network(_Strict):
    preparation: Preparation
    recipe: Recipe
    tasks: tuple[str, ...]
    serves: tuple[str, ...]


class _Networks(_Strict):
    format: Literal[1] = 1
    reading: dict[str, Any]
    networks: tuple[_Network, ...]
    tensors: TensorFile


@contextmanager
def held_folder(folder: Path | None, config: FitTableConfig, *, overwrite: bool) -> Iterator[bool]:
    """Hold the folder of a fit: no other process writes there meanwhile. Without a folder nothing is done.

    Yields:
        Whether it holds the finished fit already.

    Raises:
        RunFolderError: It is not ours, is being written, or holds another fit and `overwrite` is not asked for. Nothing
            was changed.
    """
    if folder is None:
        yield False
        return
    _look(folder, config, overwrite=overwrite)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _refused(folder, error) from error
    with locked(folder, wait=0.0):
        if not _look(folder, config, overwrite=overwrite):
            try:
                _clear(folder)
                replace_file(folder / CONFIG, config.model_dump_json(indent=2) + "\n")
            except OSError as error:
                raise _refused(folder, error) from error
        yield (folder / RECORD).is_file()


def _look(folder: Path, config: FitTableConfig, *, overwrite: bool) -> bool:
    """Whether the folder holds the same fit; False where it is empty or may be replaced."""
    found = found_for(folder, "fit", overwrite=overwrite, instead=_INSTEAD)
    if found.kind != "fit":
        return False
    try:
        there = FitTableConfig.model_validate(found.config)
    except ValidationError as error:
        raise _damaged(folder, f"{CONFIG}: {first_fault(error)}") from error
    differing = there.differences(config)
    if differing and not overwrite:
        raise RunFolderError(
            f"The folder {str(folder)!r} holds a fit of something else. It differs in\n  "
            + "\n  ".join(differing)
            + f"\n{_INSTEAD} Or replace it with --overwrite."
        )
    return not differing


def _clear(folder: Path) -> None:
    """Remove what an earlier fit of ours left; what others put beside it stays."""
    for name in (RECORD, REPORT, f"{NETWORKS}/{_JSON}"):
        (folder / name).unlink(missing_ok=True)
    for run in (folder / RUNS).glob("seed-*"):
        if what_is_in(run).kind == "run":
            remove_checkpoint(run)
            if (run / CHECKPOINT).is_dir() and not any((run / CHECKPOINT).iterdir()):
                (run / CHECKPOINT).rmdir()
            for name in ("records.jsonl", CONFIG):
                (run / name).unlink(missing_ok=True)


def save_fit(folder: Path, record: FitRecord, predictor: Predictor) -> None:
    """Write the networks, then the record: a folder with a record is complete.

    Raises:
        RunFolderError: The disk refuses.
    """
    place = folder / NETWORKS
    tensors = {
        f"{number}/{name}": torch.tensor(value)  # a copy: networks of one step share memory, which no file may
        for number, network in enumerate(predictor.networks)
        for name, value in network.state.items()
    }
    try:
        place.mkdir(exist_ok=True)
        described = _Networks(
            reading=dict(predictor.reading),
            networks=tuple(
                _Network(preparation=each.preparation, recipe=each.recipe, tasks=each.tasks, serves=each.serves)
                for each in predictor.networks
            ),
            tensors=write_tensors(place, "networks", tensors),
        )
        replace_file(place / _JSON, described.model_dump_json() + "\n")
        for path in place.glob("*.safetensors"):
            if path.name != described.tensors.name:
                path.unlink()
        replace_file(folder / RECORD, fit_record_to_json(record))
    except OSError as error:
        raise _refused(folder, error) from error


def load_predictor(folder: Path) -> Predictor:
    """The networks of a fit.

    Raises:
        RunFolderError: The folder holds none that this version can read.
    """
    place = folder / NETWORKS
    try:
        described = _Networks.model_validate_json(_text(folder, place / _JSON))
    except ValidationError as error:
        raise _damaged(folder, f"{_JSON}: {first_fault(error)}") from error
    tensors = read_tensors(place, described.tensors)
    networks = []
    for number, network in enumerate(described.networks):
        start = f"{number}/"
        state = {name.removeprefix(start): value.numpy() for name, value in tensors.items() if name.startswith(start)}
        networks.append(Network(network.preparation, network.recipe, network.tasks, network.serves, state))
    return Predictor(tuple(networks), cast("Reading", described.reading))


def read_fit(folder: Path) -> FitRecord:
    """The record of a fit.

    Raises:
        RunFolderError: The folder holds none that this version can read.
    """
    try:
        return fit_record_from_json(_text(folder, folder / RECORD))
    except ValidationError as error:
        raise _damaged(folder, f"{RECORD}: {first_fault(error)}") from error
    except ValueError as error:
        raise _damaged(folder, f"{RECORD}: {error}") from error


def _text(folder: Path, path: Path) -> str:
    try:
        return read_file(path).decode()
    except FileNotFoundError as error:
        raise RunFolderError(
            f"{str(folder)!r} holds no finished fit: {path.name} is missing. Run equipoise fit with --out={folder}."
        ) from error
    except (OSError, UnicodeError) as error:
        raise _damaged(folder, f"{path.name}: {error}") from error


def _damaged(folder: Path, why: str) -> RunFolderError:
    return RunFolderError(f"The fit in {str(folder)!r} is damaged, or of another version: {why}. Fit again.")


def _refused(folder: Path, error: OSError) -> RunFolderError:
    return RunFolderError(
        f"the folder {str(folder)!r} must be writable; the system says: {error.strerror or error}. What was written "
        "before stays valid."
    )


def frame_sha256(frame: pd.DataFrame) -> str:
    """SHA-256 of the names and values of a data frame."""
    found = hashlib.sha256(repr([(str(name), str(column.dtype)) for name, column in frame.items()]).encode())
    for _, column in frame.items():
        values = column.astype(str) if column.dtype == object else column  # cells of several types have no hash
        found.update(pd.util.hash_pandas_object(values, index=False).to_numpy().tobytes())
    return found.hexdigest()
