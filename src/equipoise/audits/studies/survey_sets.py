"""The sets of a survey: every table in a folder, and what its tasks are."""

import gzip
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field, TypeAdapter, ValidationError

from ...core.files import read_file
from ...core.records.json_text import first_fault
from ...data import load
from ...data.loading import EXTENSIONS
from ...errors import DataError, listed
from ...linear import LinearProblem

__all__ = ["KNOWN", "TARGETS", "SurveySet", "find_sets", "read_targets"]

TARGETS = "targets.json"
"""Names the targets of the tables beside it: ``{"wine.csv": ["fixed acidity", "pH", "alcohol"]}``."""

RIVER = tuple(
    f"{station}_48H__0" for station in ("CHSI2", "NASI2", "EADM7", "SCLM7", "CLKM7", "VALI2", "NAPM7", "DLDI4")
)
TICKETS = tuple(
    f"LBL+{carrier}+fut_001" for carrier in ("ALLminpA", "ALLminp0", "aDLminpA", "aCOminpA", "aFLminpA", "aUAminpA")
)
HASHED = 256
_TARGETS = TypeAdapter(dict[str, Annotated[tuple[str, ...], Field(min_length=1)]])


@dataclass(frozen=True)
class SurveySet:
    """One set."""

    name: str  # as the table shows it
    path: Path
    read: Callable[[Path], LinearProblem] | None  # path -> problem; None where there is nothing to survey
    why: str = ""  # why there is nothing


def _table(targets: tuple[str, ...] | None) -> Callable[[Path], LinearProblem]:
    def read(path: Path) -> LinearProblem:
        table = load(path, targets=targets)
        return LinearProblem(table.inputs, table.targets, tasks=table.tasks)

    return read


def _assays(path: Path) -> LinearProblem:
    """Twelve assays from hashed counts of the SMILES' character pairs and triples, molecules with all twelve labels."""
    frame = pd.read_csv(path)
    tasks = list(frame.columns[:12])
    frame = frame.dropna(subset=tasks)
    X = np.zeros((len(frame), HASHED))
    for row, text in enumerate(frame["SMILES"].astype(str)):
        for size in (2, 3):
            for start in range(len(text) - size + 1):
                X[row, zlib.crc32(text[start : start + size].encode()) % HASHED] += 1
    return LinearProblem(X, frame[tasks].to_numpy(dtype=np.float64), tasks=tasks)


def _digits(path: Path) -> LinearProblem:
    """Ten digits, one against the rest each, from pixels in blocks of 2 by 2."""
    labels = path.with_name("t10k-labels-idx1-ubyte.gz")
    images, numbers = _idx(path, 16), _idx(labels, 8)
    if len(images) != len(numbers) * 784:
        raise DataError(f"{path.name} must hold 28 x 28 images, one a label of {labels.name}")
    pixels = images.reshape(-1, 14, 2, 14, 2).astype(np.float64).mean(axis=(2, 4)).reshape(len(numbers), 196)
    return LinearProblem(pixels, np.eye(10)[numbers], tasks=[f"digit {d}" for d in range(10)])


def _idx(path: Path, header: int) -> NDArray[np.uint8]:
    return np.frombuffer(gzip.decompress(path.read_bytes()), dtype=np.uint8, offset=header)


_OWN_ROWS = "each row belongs to one task: there are no shared inputs to survey"
_UNNAMED = "no targets named"
_PAIR = "two tasks: the condition never fails (proved)"

Known = tuple[str, Callable[[Path], LinearProblem] | None, str]

KNOWN: dict[str, Known] = {
    "sarcos_inv_test.mat": ("SARCOS", _table(None), ""),
    "rf1.arff": ("rf1", _table(RIVER), ""),
    "atp1d.arff": ("atp1d", _table(TICKETS), ""),
    "enb.arff": ("enb", None, _PAIR),
    "tox21.csv.gz": ("Tox21, hashed SMILES", _assays, ""),
    "t10k-images-idx3-ubyte.gz": ("MNIST test, 2 x 2 blocks", _digits, ""),
    "adult-train.csv": ("Adult", None, _PAIR),
    "adult-test.csv": ("Adult, test", None, _PAIR),
    "LandmineData.mat": ("landmine", None, _OWN_ROWS),
    "school.mat": ("school", None, _OWN_ROWS),
}
"""Public sets whose tasks are known here, by the name of their file: name in the table, reader, why not."""


def find_sets(folder: Path, targets: Mapping[str, Sequence[str]]) -> list[SurveySet]:
    """Every table in a folder and the folders in it, in the order of their paths.

    Hidden files are left out. `targets` maps paths below the folder to target columns. A table that is neither named
    there nor a known public set is listed with a note that says so.

    Raises:
        DataError: There is no table, or targets are named for a file that is not there.
    """
    found: dict[str, SurveySet] = {}
    for path in sorted(folder.rglob("*")):
        place = path.relative_to(folder)
        if not path.is_file() or any(part.startswith(".") for part in place.parts):
            continue
        key = place.as_posix()
        if key in targets:
            found[key] = SurveySet(key, path, _table(tuple(targets[key])))
        elif path.name in KNOWN:
            name, read, why = KNOWN[path.name]
            found[key] = SurveySet(name, path, read, why)
        elif path.name.lower().removesuffix(".gz").endswith(EXTENSIONS):
            found[key] = SurveySet(key, path, None, f"{_UNNAMED}: add {key!r} to {TARGETS}")
    missing = sorted(set(targets) - set(found))
    if missing:
        raise DataError(f"targets are named for {listed(missing)}, which {str(folder)!r} does not hold.")
    if not found:
        raise DataError(f"{str(folder)!r} must hold tables ({', '.join(EXTENSIONS)}); there is none in it.")
    if all(entry.why.startswith(_UNNAMED) for entry in found.values()):
        first = next(iter(found))
        raise DataError(
            f"no table in {str(folder)!r} has targets named (found {listed(list(found)[:5])}): write a {TARGETS} "
            f'there, such as {{"{first}": ["a", "b", "c"]}}.'
        )
    return list(found.values())


def read_targets(path: Path) -> dict[str, tuple[str, ...]]:
    """The targets that a file such as `TARGETS` names.

    Raises:
        DataError: It cannot be read, or is no object of lists of names.
    """
    try:
        return _TARGETS.validate_json(read_file(path))
    except OSError as error:
        raise DataError(f"{str(path)!r} must be JSON that names targets; it cannot be read: {error}.") from error
    except ValidationError as error:
        raise DataError(
            f'{str(path)!r} must say which columns of which file are targets: {{"wine.csv": ["pH", "alcohol"]}}; '
            f"{first_fault(error)}."
        ) from error
