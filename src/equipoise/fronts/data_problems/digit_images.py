"""Images of digits: scikit-learn's, or files in the format of MNIST."""

import gzip
import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...errors import DataError

__all__ = ["digit_images"]

_IMAGES, _LABELS = 2051, 2049  # the first number of a file says what it holds


def digit_images(source: str | os.PathLike[str] | None) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Grey images (n, height, width) between 0 and 1, and their digits (n,).

    Args:
        source: Folder with files in the format of MNIST, ``*images-idx3-ubyte`` and ``*labels-idx1-ubyte``, as they are
            or with ``.gz``; each pair has one beginning of its name, and all pairs are used. None for the 1,797 digits
            of 8 by 8 that come with scikit-learn.

    Raises:
        DataError: No such files, a file of another format, or pairs that do not fit.
    """
    if source is None:
        from sklearn.datasets import load_digits  # noqa: PLC0415 - not needed for files

        digits = load_digits()
        return (digits.images / 16).astype(np.float32), digits.target.astype(np.int64)
    folder = Path(source)
    files = sorted(folder.glob("*images*idx3*")) if folder.is_dir() else []
    if not files:
        raise DataError(
            f"{str(folder)!r} must be a folder with files like t10k-images-idx3-ubyte.gz and "
            f"t10k-labels-idx1-ubyte.gz; {'it has none' if folder.is_dir() else 'there is no such folder'}."
        )
    images, labels = [], []
    for file in files:
        partner = file.with_name(file.name.replace("images", "labels").replace("idx3", "idx1"))
        if not partner.exists():
            raise DataError(f"{file.name} needs {partner.name} beside it, which is missing.")
        pixels, digits = _read(file, _IMAGES, 3), _read(partner, _LABELS, 1)
        if len(pixels) != len(digits):
            raise DataError(f"{file.name} has {len(pixels)} images, and {partner.name} has {len(digits)} labels.")
        images.append(pixels)
        labels.append(digits)
    if len({one.shape[1:] for one in images}) > 1:
        raise DataError(f"all images in {str(folder)!r} must have one size; found {[one.shape[1:] for one in images]}.")
    return np.concatenate(images).astype(np.float32) / np.float32(255), np.concatenate(labels).astype(np.int64)


def _read(file: Path, kind: int, axes: int) -> NDArray[np.uint8]:
    """The array of an IDX file: a number for its kind, the length of each axis, and bytes."""
    content = gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()
    head = np.frombuffer(content[: 4 * (axes + 1)], dtype=">i4")
    if len(head) != axes + 1 or head[0] != kind or len(content) != 4 * (axes + 1) + int(np.prod(head[1:])):
        raise DataError(f"{file.name} is no file of {axes}-dimensional bytes in the format of MNIST, or is cut off.")
    return np.frombuffer(content, dtype=np.uint8, offset=4 * (axes + 1)).reshape(head[1:])
