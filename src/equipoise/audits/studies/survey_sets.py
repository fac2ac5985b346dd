"""The sets of the survey: where they lie in the data folder, and what their tasks are."""

import gzip
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ...data import load
from ...errors import DataError
from ...linear import LinearProblem

__all__ = ["SETS", "SurveySet"]

RIVER = tuple(
    f"{station}_48H__0" for station in ("CHSI2", "NASI2", "EADM7", "SCLM7", "CLKM7", "VALI2", "NAPM7", "DLDI4")
)
TICKETS = tuple(
    f"LBL+{carrier}+fut_001" for carrier in ("ALLminpA", "ALLminp0", "aDLminpA", "aCOminpA", "aFLminpA", "aUAminpA")
)
HASHED = 256


@dataclass(frozen=True)
class SurveySet:
    """One set.

    Attributes:
        name: In the table.
        path: Below the data folder.
        read: Path -> problem; None where there is nothing to survey, and
        why: says why.
    """

    name: str
    path: str
    read: Callable[[Path], LinearProblem] | None
    why: str = ""


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
_PAIR = "two tasks: the condition never fails (proved)"

SETS = (
    SurveySet("SARCOS", "sarcos/sarcos_inv_test.mat", _table(None)),
    SurveySet("rf1", "mulan/rf1.arff", _table(RIVER)),
    SurveySet("atp1d", "mulan/atp1d.arff", _table(TICKETS)),
    SurveySet("enb", "mulan/enb.arff", None, _PAIR),
    SurveySet("Tox21, hashed SMILES", "tox21/tox21.csv.gz", _assays),
    SurveySet("MNIST test, 2 x 2 blocks", "mnist_test/t10k-images-idx3-ubyte.gz", _digits),
    SurveySet("Adult", "adult/adult-train.csv", None, _PAIR),
    SurveySet("landmine", "landmine/LandmineData.mat", None, _OWN_ROWS),
    SurveySet("school", "malsar_school/school.mat", None, _OWN_ROWS),
)
