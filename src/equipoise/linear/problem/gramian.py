"""The Gramian of a linear problem: a checked copy, its correlations, its rank, a thin factor.

The Gramian of a linear problem is G = Ŷ^T Ŷ / n, the second moments of the tasks' best linear predictions.
Tasks may come in any unit, so rank and factor are those of the correlations and do not change when one task
is rescaled.
"""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ...core.numbers import Array, is_whole, real_numbers
from ...errors import GramianError, SettingError

__all__ = [
    "RANK_TOLERANCE",
    "checked_gramian",
    "checked_vector",
    "checked_width",
    "correlations",
    "effective_rank",
    "energies",
    "factor",
]

RANK_TOLERANCE = 1e-12
"""Eigenvalues of the correlations below this share of the largest are rounding, not a dimension."""

_ABSENT = 1e-28
"""A task whose energy is below this share of the largest has nothing that can be predicted."""

_SYMMETRY = 1e-9
_NEGATIVE = 1e-9


def checked_gramian(gramian: ArrayLike) -> Array:
    """A symmetric float64 copy of a Gramian, or an error that says what is wrong with it.

    Raises:
        GramianError: Not real numbers, another shape, NaN or inf, not symmetric to 1e-9, or not positive semidefinite
            to 1e-9 of its correlations.

    Example:
        >>> checked_gramian([[2, 1], [1, 2]]).dtype
        dtype('float64')
    """
    matrix = real_numbers(gramian, "a Gramian", GramianError, "pass a (k, k) array, predictions.T @ predictions / rows")
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or not matrix.size:
        raise GramianError(
            f"a Gramian must be a square (k, k) matrix; found shape {matrix.shape}. "
            "Pass predictions.T @ predictions / rows"
        )
    if not np.all(np.isfinite(matrix)):
        where = [(int(i), int(j)) for i, j in np.argwhere(~np.isfinite(matrix))[:5]]
        raise GramianError(f"a Gramian must be finite; found NaN or inf at {where}")
    largest = float(np.abs(matrix).max())
    if float(np.abs(matrix - matrix.T).max()) > _SYMMETRY * largest:
        raise GramianError(
            "a Gramian must be symmetric; the largest difference to its transpose is "
            f"{np.abs(matrix - matrix.T).max():.3g}"
        )
    matrix = (matrix + matrix.T) / 2
    if matrix.diagonal().min() < -_SYMMETRY * largest:
        raise GramianError(f"a Gramian's diagonal must not be negative; found {matrix.diagonal().min():.3g}")
    lowest = float(np.linalg.eigvalsh(correlations(matrix))[0])
    if lowest < -_NEGATIVE * len(matrix):
        raise GramianError(
            "a Gramian must be positive semidefinite; the least eigenvalue of its correlations is "
            f"{lowest:.3g}. Pass the second moments of the predictions, predictions.T @ predictions / rows"
        )
    return matrix


def checked_width(width: Any) -> int:
    """The width as an int of at least 1.

    Raises:
        SettingError: Not a whole number, or below 1.

    Example:
        >>> checked_width(2)
        2
    """
    if not is_whole(width, least=1):
        raise SettingError(f"width must be a whole number of at least 1; found {width!r}. Pass for example width=1")
    return int(width)


def checked_vector(value: ArrayLike, tasks: int, name: str, *, positive: bool = False) -> Array:
    """`value` as a finite float64 vector of one entry a task.

    Raises:
        SettingError: The shape is not (tasks,), an entry is not finite, or `positive` and one is not above zero.

    Example:
        >>> checked_vector([1, 2], 2, "scale").tolist()
        [1.0, 2.0]
    """
    vector = real_numbers(value, name, SettingError, f"pass {tasks} numbers, one a task")
    if vector.shape != (tasks,):
        raise SettingError(
            f"{name} must have shape ({tasks},); found shape {vector.shape}. Pass {tasks} numbers, one a task"
        )
    if not np.all(np.isfinite(vector)):
        raise SettingError(f"{name} must be finite; found {vector.tolist()}. Pass {tasks} finite numbers, one a task")
    if positive and not np.all(vector > 0):
        raise SettingError(
            f"{name} must be above 0 for every task; found {vector.tolist()}. Leave it out for the default, or "
            "drop tasks that do not count"
        )
    return vector


def _roots(gramian: Array) -> Array:
    """Square roots of the diagonal, exactly 0 for tasks without energy."""
    energy = gramian.diagonal()
    return np.sqrt(np.where(energy > _ABSENT * max(float(energy.max()), 0.0), energy, 0.0))


def correlations(gramian: Array) -> Array:
    """G_ij / sqrt(G_ii G_jj), with 0 for tasks without energy, the diagonal included.

    Example:
        >>> correlations(np.array([[4.0, 1.0], [1.0, 1.0]])).tolist()
        [[1.0, 0.5], [0.5, 1.0]]
    """
    roots = _roots(gramian)
    inverse = np.divide(1.0, roots, out=np.zeros_like(roots), where=roots > 0)
    matrix: Array = inverse[:, None] * gramian * inverse[None, :]
    np.fill_diagonal(matrix, (roots > 0).astype(np.float64))
    return matrix


def effective_rank(gramian: Array) -> int:
    """Number of eigenvalues of the correlations above `RANK_TOLERANCE` of the largest: the effective tasks.

    Example:
        >>> effective_rank(np.array([[1.0, 1.0], [1.0, 1.0]]))
        1
    """
    values = np.linalg.eigvalsh(correlations(gramian))
    return int((values > RANK_TOLERANCE * values[-1]).sum()) if values[-1] > 0 else 0


def energies(gramian: Array, directions: Array) -> Array:
    """Captured energies (..., k) of shared layers (..., k, q), combinations of the predictions as in `Scalarized`.

    Example:
        >>> energies(np.eye(2), np.array([[1.0], [0.0]])).tolist()
        [1.0, 0.0]
    """
    return np.asarray(np.sum((gramian @ directions) ** 2, axis=-1), dtype=np.float64)


def factor(gramian: Array) -> tuple[Array, Array]:
    """R (r, k) with G = R^T R and r the effective rank, and its right inverse (k, r): R @ inverse = identity.

    Column i of R is task i in an orthonormal basis of the span of the predictions, so a projection P there
    captures the energy r_i^T P r_i. Cost O(k^3).

    Example:
        >>> R, inverse = factor(np.array([[4.0, 0.0], [0.0, 1.0]]))
        >>> np.allclose(R.T @ R, [[4, 0], [0, 1]]), np.allclose(R @ inverse, np.eye(2))
        (True, True)
    """
    roots = _roots(gramian)
    values, vectors = np.linalg.eigh(correlations(gramian))
    keep = values > RANK_TOLERANCE * values[-1] if values[-1] > 0 else np.zeros(len(values), dtype=bool)
    values, vectors = values[keep][::-1], vectors[:, keep][:, ::-1]
    inverse_roots = np.divide(1.0, roots, out=np.zeros_like(roots), where=roots > 0)
    forward = (vectors * np.sqrt(values)).T * roots
    backward = inverse_roots[:, None] * vectors / np.sqrt(values)
    return forward, backward
