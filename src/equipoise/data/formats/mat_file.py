"""MATLAB files (.mat, up to version 7.2): numeric matrices, one or several with the same number of rows.

SARCOS (a variable whose name begins with "sarcos" and has 28 columns; Vijayakumar and Schaal, 2000) is
recognised: 21 inputs (positions, velocities, accelerations of 7 joints) and 7 torques, called joint0 to
    joint6.
"""

import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ...errors import DataError, listed
from ..columns import clean_name, some
from ..raw import RawTable, refuse
from .text import read_bytes

__all__ = ["JOINT_INPUTS", "JOINT_TORQUES", "read_mat"]

JOINT_TORQUES = tuple(f"joint{joint}" for joint in range(7))
_MOTION = ("position", "velocity", "acceleration")
JOINT_INPUTS = tuple(f"{kind}{joint}" for kind in _MOTION for joint in range(7))
_OVERLAP = "The official test split of SARCOS overlaps its training split: no figure on it is an official result."


def read_mat(path: Path, *, names: Sequence[str] | None = None) -> RawTable:
    """Read the matrices of a MATLAB file side by side.

    Columns are called after their variable and counted from 0 ("X0", "X1", ...); a variable with one column
    keeps its own name. Variables with another number of rows than the longest are left out and said so.

    Args:
        path: Of the file.
        names: Names for all columns, instead of these.

    Returns:
        Numeric columns.

    Raises:
        DataError: Not a MATLAB file, version 7.3 (HDF5), no numeric matrix, or cells (one table a task).
    """
    from scipy.io import loadmat, matlab  # noqa: PLC0415 - slow to import, and only needed here

    _, sha256 = read_bytes(path)
    about = f"{path.name!r}"
    try:
        variables = loadmat(str(path))
    except NotImplementedError as error:
        raise DataError(f"{about} is of MATLAB version 7.3 (HDF5). Save it with save(..., '-v7').") from error
    except (ValueError, TypeError, OSError, EOFError, LookupError, zlib.error, matlab.MatReadError) as error:
        raise DataError(f"{about} is not a MATLAB file, or is damaged: {error}") from error
    matrices, others = _matrices(variables)
    if not matrices:
        cells = [text for text in others if "object" in text]
        hint = (
            "Cell arrays with one table a task have no shared rows, which an audit needs."
            if cells
            else "Save one matrix with a row for each observation."
        )
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
    columns = _names(used, names, sarcos, about)
    if sarcos:
        steps.append("Recognised as SARCOS: 21 inputs (position, velocity, acceleration), 7 torques.")
    return RawTable(
        pd.DataFrame(values, columns=columns),
        name=path.name,
        source=(
            f"file {path.name}, SARCOS arm inverse dynamics (Vijayakumar and Schaal, 2000); licence: none stated"
            if sarcos
            else f"file {path.name}; licence: not stated in the file"
        ),
        declared=tuple(columns[21:]) if sarcos else (),
        steps=tuple(steps),
        warnings=((_OVERLAP,) if sarcos and "test" in variable.lower() else ()),
        sha256=sha256,
    )


def _matrices(variables: dict[str, object]) -> tuple[dict[str, NDArray[np.float64]], list[str]]:
    """Numeric matrices with at least two rows, and the other variables in words."""
    from scipy.sparse import coo_array, issparse  # noqa: PLC0415 - slow to import, and only needed here

    matrices: dict[str, NDArray[np.float64]] = {}
    others: list[str] = []
    for name, value in variables.items():
        if name.startswith("__"):
            continue
        array = np.asarray(coo_array(value).toarray() if issparse(value) else value)  # type: ignore[call-overload]
        if array.ndim == 2 and array.dtype.kind in "biuf" and array.shape[0] > 1 and array.shape[1] > 0:
            matrices[name] = array.astype(np.float64)
        else:
            others.append(f"{name} {array.shape} {array.dtype}")
    return matrices, others


def _names(used: dict[str, NDArray[np.float64]], names: Sequence[str] | None, sarcos: bool, about: str) -> list[str]:
    if names is None and sarcos:
        return [*JOINT_INPUTS, *JOINT_TORQUES]
    own = [
        name if matrix.shape[1] == 1 else f"{name}{position}"
        for name, matrix in used.items()
        for position in range(matrix.shape[1])
    ]
    columns = own if names is None else [clean_name(name) for name in names]
    problems = []
    if len(columns) != len(own):
        problems.append(f"--names must name all {len(own)} columns, found {len(columns)}: {some(columns)}.")
    doubled = sorted({column for column in columns if columns.count(column) > 1})
    if doubled:
        problems.append(f"Column names must differ, found twice or more: {listed(doubled)}. Use --names.")
    refuse(about, problems)
    return columns
