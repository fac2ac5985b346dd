"""Among weights that give the same direction, those of least Euclidean norm."""

import numpy as np

from ..core.numbers import Array
from .lapack import lapack
from .nnls import Complementarity

__all__ = ["least_norm_weights"]

_EPS = float(np.finfo(np.float64).eps)
_KEPT = 1e-12  # how much, of the terms' size, a direction may move when its weights are exchanged


def least_norm_weights(
    kernel: Complementarity, inverse: Array, weights: Array, floor: Array, null: Array | None = None
) -> Array | None:
    r"""The shortest weights with the same direction as `weights`, a, which are at least `floor`, l.

    .. math:: \min |a'|^2 \quad\text{subject to}\quad a' - a \in D^{-1/2} \ker M, \quad a' \ge l

    A least-distance problem in the coordinates of the null space, solved as one non-negative least-squares problem
    (Lawson & Hanson 1974, ch. 23). `kernel` holds M: the cosines C, or C + s s^T where the sum of the weights is to
    stay as well; `inverse` is s_i = 1/|g_i| up to a common factor. The columns of `null` (k, r) span the null space of
    M, where it is known better than from M.

    Returns:
        The shortest weights, or None where M is regular (the weights are unique) or the norms lie so far apart that
        rounding would move the direction.

    Example:
        >>> kernel = Complementarity(np.ones((2, 2)))
        >>> least_norm_weights(kernel, np.ones(2), np.array([1.0, 0.0]), np.zeros(2))
        array([0.5, 0.5])
    """
    k = len(weights)
    if null is None:
        null = _null_space(kernel)
    if not null.size:
        return None
    basis, _ = np.linalg.qr(null * inverse[:, None])
    base = weights - basis @ (basis.T @ weights)
    missing = floor - base
    if (missing > 4 * k * _EPS * float(np.abs(weights).max())).any():  # less is rounding, and no condition to solve for
        from scipy.optimize import nnls  # noqa: PLC0415 - slow to import, and hardly ever needed

        system = np.vstack([basis.T, missing])
        target = np.zeros(len(system))
        target[-1] = 1.0
        try:
            pulls, _ = nnls(system, target, maxiter=30 * k)
        except RuntimeError:  # SciPy's word for its iteration limit
            return None
        residual = system @ pulls - target
        if residual[-1] >= 0:
            return None
        base = base - basis @ (residual[:-1] / residual[-1])
    shortest: Array = np.maximum(base, floor)
    moved = (shortest - weights) / inverse
    drift = float(np.abs(kernel.matrix @ moved).max())
    size = float(np.abs(weights / inverse).sum())
    return shortest if drift <= _KEPT * k * size else None


def _null_space(kernel: Complementarity) -> Array:
    """Columns that span what M maps to zero, to rounding."""
    upper, order, rank = kernel.factored()
    k = len(upper)
    null = np.zeros((k, k - rank))
    if rank < k:
        dependence, _ = lapack().dtrtrs(upper[:rank, :rank], upper[:rank, rank:])
        null[order[:rank]] = -dependence
        null[order[rank:]] = np.eye(k - rank)
    return null
