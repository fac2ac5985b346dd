"""cifar10: sixty thousand small photographs in ten classes, from a folder that the user has.

| | |
|---|---|
| rows | 50,000 for training in five files, 10,000 for testing in one |
| inputs | 3 x 32 x 32 bytes, red, green, blue |
| task | one of ten classes |
| licence | none stated by the source |
| source | A. Krizhevsky, Learning multiple layers of features from tiny images (2009) |

Only the binary version is read (``cifar-10-batches-bin``): the one for Python is a pickle, which runs code when read.
"""

from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError

__all__ = ["CLASSES", "Photographs", "read_cifar10"]

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
_FILES = {"train": tuple(f"data_batch_{number}.bin" for number in range(1, 6)), "test": ("test_batch.bin",)}
_SIDE, _CHANNELS = 32, 3
_RECORD = 1 + _CHANNELS * _SIDE * _SIDE  # a label, then the planes


class Photographs(NamedTuple):
    """Images and what they show."""

    images: NDArray[np.uint8]  # (rows, 3, 32, 32), 0 to 255
    labels: NDArray[np.int64]  # (rows,), positions in `CLASSES`


def read_cifar10(
    folder: str | Path, split: Literal["train", "test"] = "train", *, rows: int | None = None
) -> Photographs:
    """Read one split, or its first rows. Nothing is downloaded.

    Args:
        folder: ``cifar-10-batches-bin``, as unpacked from the binary version of the set.
        split: ``"train"`` or ``"test"``.
        rows: Most rows, in the order of the files; None for all. No more files are opened than these need.

    Raises:
        DataError: A file is missing, is no whole number of records long, or holds a label above 9.

    Cost:
        3 kB a row; the whole training split takes 150 MB.
    """
    if split not in _FILES or (rows is not None and rows < 1):
        raise DataError(f"`split` must be 'train' or 'test', `rows` None or positive; got {split!r} and {rows!r}.")
    parts: list[NDArray[np.uint8]] = []
    left = rows
    for name in _FILES[split]:
        if left == 0:
            break
        part = _records(Path(folder) / name, left)
        left = None if left is None else left - len(part)
        parts.append(part)
    table = np.concatenate(parts)
    images = table[:, 1:].reshape(-1, _CHANNELS, _SIDE, _SIDE)
    return Photographs(images, table[:, 0].astype(np.int64))


def _records(path: Path, most: int | None) -> NDArray[np.uint8]:
    if not path.is_file():
        raise DataError(
            f"{path} is not there. The folder must hold the BINARY version of CIFAR-10 ('cifar-10-batches-bin' with "
            "data_batch_1.bin to data_batch_5.bin and test_batch.bin); the version for Python is a pickle and is not "
            "read."
        )
    size = path.stat().st_size
    if not size or size % _RECORD:
        raise DataError(
            f"{path} must hold whole records of {_RECORD:,} bytes (a label and 3 x 32 x 32 pixels); it has {size:,} "
            "bytes. Was the download cut off?"
        )
    table = np.fromfile(path, dtype=np.uint8, count=-1 if most is None else most * _RECORD).reshape(-1, _RECORD)
    wrong = np.flatnonzero(table[:, 0] >= len(CLASSES))
    if wrong.size:
        raise DataError(
            f"labels in {path} must be 0 to 9; {wrong.size:,} of {len(table):,} are not, the first "
            f"{table[wrong[0], 0]} in record {wrong[0]}. Is it CIFAR-100, which has two labels a record?"
        )
    return table
