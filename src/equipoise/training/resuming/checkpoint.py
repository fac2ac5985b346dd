"""The folder ``checkpoint/``: tensors as safetensors, everything else as JSON; valid whenever a process is killed.

``state.json`` is replaced last, in one rename, and names the files that belong to it with their SHA-256. Files of an
earlier checkpoint go afterwards.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as tensors_as_bytes
from torch import Tensor

from ...core.files import TEMPORARY, read_file, replace_file
from ...core.records.json_text import first_fault, parsed_json
from ...errors import RunFolderError
from .plain_data import packed, unpacked

__all__ = [
    "CHECKPOINT",
    "TensorFile",
    "read_checkpoint",
    "read_tensors",
    "remove_checkpoint",
    "write_checkpoint",
    "write_tensors",
]

CHECKPOINT, _STATE = "checkpoint", "state.json"
_MOST_STATE = 2**28


class TensorFile(BaseModel):
    """A safetensors file, by its name in the folder and the SHA-256 of its bytes."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    name: str
    sha256: str


class _State(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    format: Literal[1] = 1
    step: int
    state: Any
    tensors: TensorFile
    models: dict[str, TensorFile]


def write_checkpoint(
    folder: Path, step: int, state: Mapping[str, Any], models: Mapping[int, dict[str, Tensor]]
) -> None:
    """Write a checkpoint in place of the last one.

    Args:
        folder: Folder of the run.
        step: Steps so far.
        state: Everything but the models that were selected.
        models: Step -> state dict of the models that were selected; they are written once.

    Raises:
        OSError: The disk refuses; the last checkpoint stays valid.
        StateError: Something in the state is no plain data.
    """
    place = folder / CHECKPOINT
    place.mkdir(exist_ok=True)
    before = _files_of(place)
    plain, tensors = packed(state)
    main = write_tensors(place, f"step-{step}", tensors)
    kept = {}
    for number, model in models.items():
        known = before.get(str(number))
        usable = known is not None and (place / known.name).is_file()
        kept[str(number)] = known if usable and known else write_tensors(place, f"model-{number}", packed(model)[1])
    record = _State(step=step, state=plain, tensors=main, models=kept)
    replace_file(place / _STATE, json.dumps(record.model_dump(), allow_nan=False) + "\n")
    named = {_STATE, main.name, *(file.name for file in kept.values())}
    for path in place.iterdir():
        if path.name not in named and (path.suffix == ".safetensors" or path.name.endswith(TEMPORARY)):
            path.unlink(missing_ok=True)


def read_checkpoint(folder: Path) -> tuple[int, dict[str, Any], dict[int, dict[str, Tensor]]] | None:
    """The last checkpoint: steps, state, selected models; None where there is none.

    Raises:
        RunFolderError: It is damaged, incomplete, or of another version.
    """
    place = folder / CHECKPOINT
    try:
        text = read_file(place / _STATE, _MOST_STATE).decode()
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise _damaged(place / _STATE, str(error)) from error
    try:
        found = parsed_json(text)
        if isinstance(found, dict) and isinstance(found.get("format"), int) and found["format"] > 1:
            raise RunFolderError(
                f"{str(place)!r} was written by a newer version of equipoise (format {found['format']}; this version "
                "knows 1). Update equipoise, or train into another folder."
            )
        record = _State.model_validate(found)
    except ValidationError as error:
        raise _damaged(place / _STATE, first_fault(error)) from error
    except ValueError as error:
        if isinstance(error, RunFolderError):
            raise
        raise _damaged(place / _STATE, str(error)) from error
    state = unpacked(record.state, read_tensors(place, record.tensors))
    models = {int(step): read_tensors(place, file) for step, file in record.models.items()}
    return record.step, state, models


def remove_checkpoint(folder: Path) -> None:
    """Remove a run's checkpoint; what others put beside it stays. A link goes, and not what it points to."""
    place = folder / CHECKPOINT
    if place.is_symlink():
        place.unlink()
    elif place.is_dir():
        (place / _STATE).unlink(missing_ok=True)  # first: what is half removed is then no checkpoint
        for path in [*place.glob("*.safetensors"), *place.glob(f".*{TEMPORARY}")]:
            path.unlink()


def _files_of(place: Path) -> dict[str, TensorFile]:
    """The selected models that the last checkpoint names."""
    try:
        return _State.model_validate(parsed_json(read_file(place / _STATE, _MOST_STATE).decode())).models
    except FileNotFoundError:
        return {}
    except ValueError as error:  # pydantic's among them
        raise _damaged(place / _STATE, str(error)) from error


def write_tensors(place: Path, stem: str, tensors: Mapping[str, Tensor]) -> TensorFile:
    """Write tensors under a name that no other content has.

    Raises:
        OSError: The disk refuses.
    """
    encoded = tensors_as_bytes({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()})
    digest = hashlib.sha256(encoded).hexdigest()
    name = f"{stem}-{digest[:12]}.safetensors"  # never the name of another content, which the last state may still need
    temporary = place / f".{name}.{os.getpid()}{TEMPORARY}"
    try:
        temporary.unlink(missing_ok=True)
        with temporary.open("xb") as file:
            file.write(encoded)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(place / name)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    return TensorFile(name=name, sha256=digest)


def read_tensors(place: Path, file: TensorFile) -> dict[str, Tensor]:
    """The tensors of a file.

    Raises:
        RunFolderError: It is missing or another file.
    """
    path = place / file.name
    if Path(file.name).name != file.name:
        raise _damaged(path, "it names a file of another folder")
    try:
        encoded = read_file(path, path.stat().st_size)
    except OSError as error:
        raise _damaged(path, error.strerror or str(error)) from error
    if hashlib.sha256(encoded).hexdigest() != file.sha256:
        raise _damaged(path, "its content is not what was written (its SHA-256 differs)")
    try:
        return load_tensors(encoded)
    except SafetensorError as error:
        raise _damaged(path, str(error)) from error


def _damaged(path: Path, why: str) -> RunFolderError:
    return RunFolderError(
        f"the checkpoint cannot be read at {str(path)!r}: {why}. Copy the folder again, or start anew with "
        "overwrite=True."
    )
