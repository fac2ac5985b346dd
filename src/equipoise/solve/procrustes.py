"""Gradients made orthogonal and equally long, as close to the given ones as can be."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ..errors import EquipoiseError
from .equilibrate import as_gramian, equilibrate
from .equilibrate import factor as root
from .lapack import lapack
from .solution import Solution, Status

__all__ = ["aligned_weights"]

_EPS = float(np.finfo(np.float64).eps)


def aligned_weights(
    gramian: object,
    preference: NDArray[np.float64],
    *,
    factor: NDArray[np.float64] | None = None,
    scale: Literal["min", "median", "rmse"] = "min",
    rank_tolerance: float = 1e-7,
) -> Solution:
    r"""Weights of the direction whose gradient matrix has all its singular values equal.

    .. math:: J = U \Sigma V^\top \text{ (tasks in U)},\quad \hat J = s\, U V^\top,\quad
              d = \hat J^\top w = J^\top a,\quad a = s\, U \Sigma^{-1} U^\top w

    over the singular values above `rank_tolerance` times the largest, w being the `preference`, (k,). By `scale`, s is
    the smallest kept singular value, the lower median of the kept ones, or their root mean square. With `factor` the
    weights are accurate to about eps times the condition number. Without it the condition of the cosines counts,
    squared, norms far apart cost nothing, and the tolerance is not below sqrt(8 k eps), because rounding in the Gramian
    alone makes such values.

    Returns:
        Weights (k,). All gradients zero: w itself, status ``STATIONARY``. ``certificate`` is the relative residual of
        :math:`a^\top G a = s^2 |U^\top w|^2`.

    Cost:
        One singular value decomposition, O(k^3).

    Source:
        Senushkin et al. (2023), arXiv:2305.19000.

    Example:
        >>> aligned_weights([[1.0, 0.0], [0.0, 9.0]], np.array([0.5, 0.5])).value  # both as long as the shorter
        array([0.5       , 0.16666667])
    """
    matrix = as_gramian(gramian)
    k = len(matrix)
    if factor is None:
        singular, vectors = _graded_spectrum(matrix)
        rank_tolerance = max(rank_tolerance, float(np.sqrt(8 * k * _EPS)))
    else:
        _, singular, rows = np.linalg.svd(factor, full_matrices=False)
        vectors = rows.T
    if not singular.any():
        return Solution(preference.copy(), Status.STATIONARY, certificate=0.0)
    kept = singular > rank_tolerance * singular[0]
    singular, vectors = singular[kept], vectors[:, kept]
    reference = {
        "min": singular[-1],
        "median": singular[len(singular) // 2],  # falling order: the lower of the two in the middle
        "rmse": np.sqrt((singular**2).mean()),
    }[scale]
    coefficients = vectors.T @ preference
    weights = vectors @ (reference / singular * coefficients)
    wanted = float(reference**2 * (coefficients @ coefficients))
    pulled = float(weights @ matrix @ weights if factor is None else ((factor @ weights) ** 2).sum())
    certificate = abs(pulled - wanted) / wanted if wanted > 0 else 0.0
    return Solution(weights, Status.SOLVED if kept.sum() == k else Status.RANK_DEFICIENT, certificate)


def _graded_spectrum(matrix: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Square roots of a Gramian's eigenvalues, falling, and its eigenvectors, with small ones as accurate as large.

    Gradients whose norms lie decades apart make a graded matrix, of which an ordinary eigendecomposition keeps only
    the large end. A factor R D of it (R from the cosines, D the norms) and the Jacobi method on that give every
    singular value to eps times the condition of R (Demmel & Veselic 1992; LAPACK's gejsv).
    """
    rows = np.flatnonzero(np.diagonal(matrix))
    if not rows.size:
        return np.zeros(1), np.eye(len(matrix), 1)
    cosines, norms = equilibrate(matrix[np.ix_(rows, rows)])
    found, _, right, scaling, _, info = lapack().dgejsv(root(cosines) * norms, joba=0, jobu=3, jobv=0)
    if info != 0:
        raise EquipoiseError(f"the Jacobi singular value decomposition did not converge (LAPACK gejsv: {info})")
    vectors = np.zeros((len(matrix), len(rows)))
    vectors[rows] = right
    return found * scaling[0] / scaling[1], vectors
