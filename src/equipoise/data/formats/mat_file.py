"""MATLAB files (.mat, up to version 7.2): numeric matrices, one or several with the same number of rows.

SARCOS (a variable whose name begins with "sarcos" and has 28 columns; Vijayakumar and Schaal, 2000) is recognised: 21
inputs (positions, velocities, accelerations of 7 joints) and 7 torques, called joint0 to joint6.
"""

import math
import struct
import zlib
from collections.abc import Sequence
from typing import BinaryIO

import numpy as np
import pandas as pd

from ...core.numbers import Array
from ...errors import DataError
from ..columns import column_names
from ..raw import RawTable
from ..reading import Reading
from .source import LIMIT, Source

__all__ = ["read_mat"]

_SARCOS = [f"{kind}{joint}" for kind in ("position", "velocity", "acceleration", "joint") for joint in range(7)]
_OVERLAP = "The official test split of SARCOS overlaps its training split: no figure on it is an official result."

_INTEGERS = (f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64))
_NUMERIC = {"double", "single", "logical", "sparse", *_INTEGERS}
_KINDS = {"cell": "object"}
_COMPRESSED = 15  # type of a packed element in files of version 5 to 7.2
_STEP = 2**24
_DAMAGE = (ValueError, TypeError, OSError, EOFError, LookupError, MemoryError, zlib.error)


def read_mat(source: Source, reading: Reading, *, header: bool = True, names: Sequence[str] | None = None) -> RawTable:
    """Read the matrices of a MATLAB file side by side.

    Columns are called after their variable and counted from 0 ("X0", "X1", ...), unless the caller names them all; a
    variable with one column keeps its own name. Variables with fewer rows than the longest are left out, with a note.

    Raises:
        DataError: Not a MATLAB file, version 7.3 (HDF5), no numeric matrix, or cells (one table a task).
    """
    from scipy.io import loadmat, matlab, whosmat  # noqa: PLC0415 - slow to import, and only needed here

    del reading
    about = f"{source.name!r}"
    if not header:
        raise DataError(f"{about}: --no-header is for text tables; a .mat file has no header row.")
    try:
        with source.open() as file:
            _refuse_large(file, about)
            file.seek(0)
            listing = whosmat(file)  # type: ignore[arg-type]
            _refuse_wide(listing, max(LIMIT, 8 * file.seek(0, 2)), about)
            file.seek(0)
            names_read = [name for name, _, kind in listing if kind in _NUMERIC]
            variables = loadmat(file, variable_names=names_read)  # type: ignore[arg-type]
    except NotImplementedError as error:
        raise DataError(f"{about} is of MATLAB version 7.3 (HDF5). Save it with save(..., '-v7').") from error
    except DataError:
        raise
    except (*_DAMAGE, matlab.MatReadError) as error:
        raise DataError(f"{about} is not a MATLAB file, or is damaged: {error}") from error
    try:
        matrices, others = _matrices(variables)
    except ValueError as error:
        raise DataError(f"{about} is damaged: a sparse matrix {error}") from error
    others += [f"{name} {shape} {_KINDS.get(kind, kind)}" for name, shape, kind in listing if kind not in _NUMERIC]
    if not matrices:
        hint = "Save one matrix with a row for each observation."
        if any("object" in text for text in others):
            hint = "Cell arrays with one table a task have no shared rows, which an audit needs."
        raise DataError(
            f"{about} must hold a numeric matrix with two rows or more, found {', '.join(others) or 'nothing'}. {hint}"
        )
    rows = max(len(matrix) for matrix in matrices.values())
    left_out = [f"{name} {matrix.shape}" for name, matrix in matrices.items() if len(matrix) != rows]
    used = {name: matrix for name, matrix in matrices.items() if len(matrix) == rows}
    steps = [f"Variables used: {', '.join(f'{name} {matrix.shape}' for name, matrix in used.items())}."]
    if left_out or others:
        steps.append(f"Variables left out: {', '.join([*left_out, *others])}.")

    values = np.hstack(list(used.values()))
    variable = next(iter(used))
    sarcos = len(used) == 1 and variable.lower().startswith("sarcos") and values.shape[1] == 28
    own = [
        name if matrix.shape[1] == 1 else f"{name}{position}"
        for name, matrix in used.items()
        for position in range(matrix.shape[1])
    ]
    columns = column_names(source.name, _SARCOS if sarcos else own, names)
    frame = pd.DataFrame(values, columns=columns)
    if not sarcos:
        return source.table(frame, steps)
    return source.table(
        frame,
        [*steps, "Recognised as SARCOS: 21 inputs (position, velocity, acceleration), 7 torques."],
        about=", SARCOS arm inverse dynamics (Vijayakumar and Schaal, 2000)",
        licence="none stated",
        declared=tuple(columns[21:]),
        warnings=(_OVERLAP,) if "test" in variable.lower() else (),
    )


def _refuse_large(file: BinaryIO, about: str) -> None:
    """Unpack every packed element without keeping it, up to the limit: a small file may hold gigabytes of zeros."""
    header = file.read(128)
    order = "<" if header[126:128] == b"IM" else ">"
    total = 0
    while len(tag := file.read(8)) == 8:
        kind, size = struct.unpack(f"{order}ii", tag)
        if kind != _COMPRESSED or size < 0:
            file.seek(max(size, 0), 1)
            continue
        unpack, packed = zlib.decompressobj(), file.read(size)
        while packed and not unpack.eof:
            total += len(unpack.decompress(packed, _STEP))
            packed = unpack.unconsumed_tail
            if total > LIMIT:
                raise DataError(
                    f"{about} unpacks to more than {LIMIT:,} bytes, the most that is read. Save the table as CSV."
                )


def _refuse_wide(listing: Sequence[tuple[str, tuple[int, ...], str]], limit: int, about: str) -> None:
    """Sparse matrices are made dense: refuse those that would fill the memory."""
    wide = [f"{name} {shape}" for name, shape, kind in listing if kind in _NUMERIC and 8 * math.prod(shape) > limit]
    if wide:
        raise DataError(
            f"{about}: every matrix must fit into {limit:,} bytes as numbers in double precision, found "
            f"{', '.join(wide)}. Save fewer columns or rows."
        )


def _matrices(variables: dict[str, object]) -> tuple[dict[str, Array], list[str]]:
    """Numeric matrices with at least two rows, and a description of the other variables."""
    from scipy.sparse import csc_array, issparse  # noqa: PLC0415 - slow to import, and only needed here

    matrices: dict[str, Array] = {}
    others: list[str] = []
    for name, value in variables.items():
        if name.startswith("__"):
            continue
        if issparse(value):
            matrix = csc_array(value)  # type: ignore[call-overload]
            matrix.check_format(full_check=True)  # an index outside would be written to memory that is not ours
            array = matrix.toarray()
        else:
            array = np.asarray(value)
        if array.ndim == 2 and array.dtype.kind in "biuf" and array.shape[0] > 1 and array.shape[1] > 0:
            matrices[name] = array.astype(np.float64)
        else:
            others.append(f"{name} {array.shape} {array.dtype}")
    return matrices, others
