"""Rows to unit length before any solve, so that no method depends on the scale of a loss."""

import numpy as np
from numpy.typing import NDArray

from ..errors import GramianError

__all__ = ["as_gramian", "equilibrate", "factor"]

_ASYMMETRY = 1e-6
_INDEFINITE = 1e-5


def as_gramian(gramian: object, *, argument: str = "gramian") -> NDArray[np.float64]:
    """The matrix in float64, exactly symmetric, if it can be a Gramian; a message calls it `argument`.

    Raises:
        GramianError: Not square, not finite, not symmetric (relative 1e-6 of the row norms), or a negative diagonal.

    Example:
        >>> as_gramian([[2, 1], [1, 2]])
        array([[2., 1.],
               [1., 2.]])
    """
    matrix = np.asarray(gramian, dtype=np.float64)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or not matrix.shape[0]:
        raise GramianError(f"`{argument}` must be a (k, k) matrix, one row a task; got shape {matrix.shape}.")
    if not np.isfinite(matrix).all():
        raise GramianError(
            f"`{argument}` must be finite; rows {np.flatnonzero(~np.isfinite(matrix).all(axis=1))} hold NaN or inf."
        )
    squares = np.diagonal(matrix)
    if (squares < 0).any():
        raise GramianError(f"`{argument}` must have squared norms on its diagonal; got {squares.min():.3g}.")
    norms = np.sqrt(squares)
    bound = np.outer(norms, norms)
    if (np.abs(matrix - matrix.T) > _ASYMMETRY * bound).any():
        worst = np.abs(matrix - matrix.T).max()
        raise GramianError(f"`{argument}` must be symmetric; entries differ from their mirror by up to {worst:.3g}.")
    if (np.abs(matrix) > (1 + _INDEFINITE) * bound).any():
        raise GramianError(
            f"`{argument}` must be positive semidefinite; an inner product exceeds the product of its norms."
        )
    return matrix / 2 + matrix.T / 2  # a sum could overflow


def equilibrate(gramian: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    r"""Split a Gramian into cosines C (k, k), ones on the diagonal, and norms (k,), in units of a gradient.

    .. math:: G = D^{1/2} C D^{1/2}, \qquad D = \operatorname{diag} G

    Both keep full relative accuracy however far the norms are spread.

    Example:
        >>> cosines, norms = equilibrate(np.array([[4.0, 0.0], [0.0, 1e-12]]))
        >>> norms
        array([2.e+00, 1.e-06])
    """
    norms = np.sqrt(gramian.diagonal())
    cosines = gramian / norms[:, None] / norms
    cosines.ravel()[:: len(norms) + 1] = 1.0  # a view: the quotient is contiguous
    return cosines, norms


def factor(cosines: NDArray[np.float64]) -> NDArray[np.float64]:
    """A matrix R (k, k) with R^T R = C, rows by rising eigenvalue; its columns stand for the unit gradients.

    Negative eigenvalues, which rounding alone can make, count as zero; no other eigenvalue is dropped.

    Example:
        >>> R = factor(np.array([[1.0, 0.5], [0.5, 1.0]]))
        >>> np.allclose(R.T @ R, [[1.0, 0.5], [0.5, 1.0]])
        True
    """
    values, vectors = np.linalg.eigh(cosines)
    scaled: NDArray[np.float64] = np.sqrt(np.maximum(values, 0.0))[:, None] * vectors.T
    return scaled
