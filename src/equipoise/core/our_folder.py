"""Whether a folder is ours: the one test that audits, recordings, reproductions and reports share.

A folder is ours if its ``config.json`` says so. Computed runs (audits and reproductions) may replace each other, since
their command computes them again; a recorded training is replaced by nothing but another recording, and a training of
`eq.fit` or what ``equipoise fit`` or ``equipoise explore`` wrote by nothing but another of its kind.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from ..errors import RunFolderError
from .files import COUNT, LOCK, TEMPORARY, read_file
from .records.json_text import Model, first_fault, model_of, parsed_json

__all__ = ["CONFIG", "REPORT", "Found", "Kind", "check_place", "found_for", "our_config", "read_card", "what_is_in"]

Kind = Literal["nothing", "audit", "reproduction", "training", "log", "run", "fit", "explore", "unknown", "foreign"]

CONFIG, REPORT = "config.json", "report.html"
_MOST_CONFIG = 2**26
_KINDS: dict[str, Kind] = {
    "audit": "audit",
    "demo": "audit",
    "record": "training",
    "rewards": "log",
    "runs": "log",
    "train": "run",
    "fit": "fit",
    "explore": "explore",
}
_WORDS: dict[Kind, str] = {
    "audit": "an audit",
    "reproduction": "what 'equipoise reproduce' wrote",
    "training": "a recorded training",
    "log": "what 'equipoise rewards' or 'equipoise runs' wrote",
    "run": "a training of eq.fit",
    "fit": "what 'equipoise fit' wrote",
    "explore": "what 'equipoise explore' wrote",
    "unknown": "a run of another version of equipoise",
}
_REPLACED_BY: dict[Kind, frozenset[Kind]] = {
    "audit": frozenset({"audit", "reproduction", "log"}),
    "reproduction": frozenset({"audit", "reproduction", "log"}),
    "log": frozenset({"audit", "reproduction", "log"}),
    "training": frozenset({"training"}),
    "run": frozenset({"run"}),
    "fit": frozenset({"fit"}),
    "explore": frozenset({"explore"}),
}


@dataclass(frozen=True)
class Found:
    """The content of a folder."""

    # ``nothing`` for an empty or absent folder, ``foreign`` for files that we did not write, ``unknown`` for a run of
    # ours that this version does not know
    kind: Kind
    # what ``config.json`` holds, where it is ours; not yet checked against a model
    config: dict[str, Any] | None = None
    names: tuple[str, ...] = ()  # its files, where they are not ours

    @property
    def words(self) -> str:
        """The content as part of a sentence."""
        if self.kind == "foreign":
            return "files of others (" + ", ".join(self.names[:4]) + (", ...)" if len(self.names) > 4 else ")")
        return _WORDS.get(self.kind, "nothing")


def what_is_in(folder: Path) -> Found:
    """Look into a folder and change nothing. Our lock and half-written files of ours count as nothing.

    The names are listed before ``config.json`` is read: another process may write it between the two looks, and a run
    of ours that has just begun must not be taken for files of others.

    Raises:
        RunFolderError: The folder cannot be read.
    """
    if not folder.is_dir():
        return Found("nothing")
    try:
        names = sorted(entry.name for entry in folder.iterdir())
        names = [name for name in names if name not in (LOCK, COUNT) and not name.endswith(TEMPORARY)]
        config = our_config(folder)
        if config is None:
            return Found("foreign", names=tuple(names)) if names else Found("nothing")
    except OSError as error:
        raise RunFolderError(f"The folder {str(folder)!r} cannot be read: {error.strerror or error}.") from error
    if config["written_by"] == "equipoise reproduce":
        return Found("reproduction", config)
    command = config.get("command")
    return Found(_KINDS.get(command, "unknown") if isinstance(command, str) else "unknown", config)


def our_config(folder: Path) -> dict[str, Any] | None:
    """What ``config.json`` in a folder holds, None where there is none of ours.

    Raises:
        OSError: It cannot be read, or is no plain file.
    """
    try:
        found = parsed_json(read_file(folder / CONFIG, _MOST_CONFIG).decode())
    except (FileNotFoundError, ValueError):  # absent, or not JSON
        return None
    ours = isinstance(found, dict) and found.get("written_by") in ("equipoise", "equipoise reproduce")
    return found if ours else None


def read_card(folder: Path, kind: type[Model], found: dict[str, Any], instead: str) -> Model:
    """What ``config.json`` holds as a model of its `kind`.

    Raises:
        RunFolderError: It does not fit; the message ends with `instead`.
    """
    try:
        return model_of(kind, found)
    except ValidationError as error:
        fault = f"is of another version of equipoise, or was changed: {first_fault(error)}."
        raise RunFolderError(f"{str(folder / CONFIG)!r} {fault} {instead}") from error


def found_for(folder: Path, wanted: Kind, *, overwrite: bool, instead: str) -> Found:
    """Check a folder, which need not exist, before a run of the `wanted` kind is written into it.

    Returns:
        Nothing, a run of the wanted kind (whose configuration the caller compares), or with `overwrite` one that may be
        replaced.

    Raises:
        RunFolderError: The folder is not ours, or holds what must not be replaced, or cannot be written. Nothing was
            changed; the message ends with `instead`, what to do as a sentence.
    """
    check_place(folder, instead)
    found = what_is_in(folder)
    if found.kind in ("nothing", wanted):
        return found
    shown = f"The folder {str(folder)!r}"
    if found.kind == "foreign":
        raise RunFolderError(
            f"{shown} was not written by equipoise and is left alone: it holds {found.words}. {instead} Overwriting "
            "does not apply to it."
        )
    if found.kind not in _REPLACED_BY[wanted]:
        raise RunFolderError(
            f"{shown} holds {found.words}, which {_WORDS[wanted]} never replaces, and is left alone. {instead}"
        )
    if not overwrite:
        raise RunFolderError(f"{shown} holds {found.words}. {instead} Or replace it with --overwrite.")
    return found


def check_place(folder: Path, instead: str) -> None:
    """Whether files could be written there, without trying.

    Raises:
        RunFolderError: They could not; the message ends with `instead`.
    """
    shown = str(folder)
    if folder.is_symlink() and not folder.exists():
        raise RunFolderError(f"{shown!r} is a link to something that is not there. {instead}")
    if folder.exists() and not folder.is_dir():
        raise RunFolderError(f"The output must be a folder; {shown!r} is a file. {instead}")
    place = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not place.is_dir():
        raise RunFolderError(f"The folder {shown!r} cannot be made: {str(place)!r} is a file. {instead}")
    if not os.access(place, os.W_OK | os.X_OK):
        raise RunFolderError(f"The folder {str(place)!r} is read-only for you. {instead}")
