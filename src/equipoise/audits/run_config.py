"""The configuration of a run, and the differences between two configurations."""

from typing import Literal

from pydantic import BaseModel, ConfigDict

__all__ = ["RunConfig", "differences"]

_LABELS = {"sha256": "content of the data (sha256)", "version": "version of equipoise"}
_LONG, _SHORT = 60, 13


class RunConfig(BaseModel):
    """Everything that decides the result of a run, and nothing else."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    written_by: Literal["equipoise"] = "equipoise"  # marks the folder as ours
    format: Literal[1] = 1  # version of the folder's layout
    command: Literal["audit", "demo"]
    version: str  # version of equipoise
    data: str  # name of the set or file
    sha256: str = ""  # of the data, or "" for generated tables
    # column names as given; None where not given
    targets: tuple[str, ...] | None = None
    inputs: tuple[str, ...] | None = None
    drop: tuple[str, ...] = ()
    names: tuple[str, ...] | None = None
    width: int | None = None  # of the shared layer; None for all
    header: bool = True  # whether the file's first line holds names
    bootstraps: int | None = None  # resamples asked for; None for the default
    group: str | None = None  # column of groups that are left out whole
    time: str | None = None  # column that orders the rows
    new_rows: bool | None = None  # whether remedies are measured on new rows; None where the table allows it
    seed: int = 0  # of everything random
    title: str | None = None  # of the report, where it is not the record's own
    # options about how cells are read, those that were given (`equipoise.data.Reading`)
    reading: dict[str, str | int | tuple[str, ...]] = {}


def differences(there: RunConfig, now: RunConfig) -> list[str]:
    """The keys in which two configurations differ, each with both values in words; empty where they agree.

    Example:
        >>> config = RunConfig(command="audit", version="0.1.0", data="toy.csv", width=1)
        >>> differences(config, config.model_copy(update={"width": 2}))
        ['width: 1 there, 2 now']
    """
    before, after = there.model_dump(mode="json"), now.model_dump(mode="json")
    return [
        f"{_LABELS.get(key, key)}: {_shown(before[key])} there, {_shown(after[key])} now"
        for key in after
        if before[key] != after[key]
    ]


def _shown(value: object) -> str:
    """A value in a message; a long one, such as a checksum, by its start."""
    text = repr(value)
    return text if len(text) <= _LONG else f"{text[:_SHORT]}...{text[-1]}"
