"""The exact optimum of a weighted sum of the losses, for any weights and any shared width."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ...core.numbers import Array
from ...errors import SettingError
from ..problem.gramian import checked_gramian, checked_vector, checked_width, effective_rank, energies, factor
from ..problem.linear_problem import LinearProblem

__all__ = ["Scalarized", "scalarized", "scalarized_model"]


TIE = 1e-8
"""Relative eigengap below which the optimum is called a set."""

_ZERO = 1e-13
"""Eigenvalues below this share of the largest are rounding."""


@dataclass(frozen=True, eq=False)
class Scalarized:
    """One optimum of a weighted sum, and whether there are others.

    Attributes:
        captured: (k,) captured energies e_i in the units of the Gramian; the loss of task i is c_i + G_ii -
            e_i.
        value: sum_i w_i e_i = h_q(w), the largest over all models of this width.
        eigengap: (lambda_q - lambda_{q+1}) / lambda_1, relative; near 0 the optimum is a set.
        directions: (k, m), m <= q: the shared layer as combinations of the tasks' predictions, X W = Ŷ @
            directions, with directions^T G directions = identity. So captured_i = sum_j (G @
            directions)_ij^2.
        tied: Whether the optimum is a non-trivial set (relative eigengap below 1e-8, eigenvalues not 0).
        fixed: Number of leading columns of `directions` that all optima share (all m where nothing is tied).
        tied_directions: (k, t) basis of the tied eigenspace, in the same form, empty where nothing is tied:
            the optima are the first `fixed` directions with any subspace of m - fixed dimensions of it.
        unused: Width that these weights leave free (some weights are 0, or all the rest is rounding):
            `captured` counts nothing for it, and any use of it leaves `value` unchanged.
    """

    captured: Array
    value: float
    eigengap: float
    directions: Array
    tied: bool
    fixed: int
    tied_directions: Array
    unused: int


def scalarized(gramian: ArrayLike, weights: ArrayLike, width: int) -> Scalarized:
    """The model of shared width q that minimises sum_i w_i L_i, exactly.

    Minimising the weighted loss is maximising sum_i w_i e_i(P) over projections P of rank at most q; its
    value h_q(w) is the sum of the q largest eigenvalues of D G D with D = diag(sqrt(w)), and with eigenpairs
    (lambda_j, u_j)

        e_i = sum_{j <= q} (G D u_j)_i^2 / lambda_j,

    also where some w_i = 0. Weights with negative entries are legal (a support function asks for them): then
    the q largest positive eigenvalues of R diag(w) R^T count, G = R^T R. Baldi and Hornik (1989) for equal
    weights.

    Args:
        gramian: (k, k) G of the least-squares predictions.
        weights: (k,) any real weights, not all 0. Scaling them scales `value` alone.
        width: Shared width q >= 1.

    Returns:
        A member of the set of optima, and how to find the others.

    Raises:
        GramianError: Not a Gramian.
        SettingError: Weights or width out of range.

    Example:
        >>> point = scalarized([[1.0, 0.0], [0.0, 1.0]], [2.0, 1.0], width=1)
        >>> point.captured.round(6).tolist(), point.value, point.tied
        ([1.0, 0.0], 2.0, False)
        >>> scalarized([[1.0, 0.0], [0.0, 1.0]], [1.0, 1.0], width=1).tied
        True
    """
    matrix = checked_gramian(gramian)
    factors = checked_vector(weights, len(matrix), "weights")
    if not factors.any():
        raise SettingError("weights must not all be 0. Pass ones for equal weights")
    return optimum(matrix, factors, checked_width(width))


def optimum(gramian: Array, weights: Array, width: int) -> Scalarized:
    """`scalarized` without its checks, for searches. Cost O(k^3)."""
    if weights.min() >= 0:
        roots = np.sqrt(weights)
        values, vectors = np.linalg.eigh(roots[:, None] * gramian * roots)
        spread = roots[:, None] * vectors[:, ::-1]
    else:
        forward, backward = factor(gramian)
        values, vectors = np.linalg.eigh((forward * weights) @ forward.T)
        spread = backward @ vectors[:, ::-1]
    values = values[::-1]
    top = float(values[0]) if len(values) else 0.0
    positive = int((values > _ZERO * top).sum()) if top > 0 else 0
    used = min(width, positive)
    last = values[width - 1] if width <= len(values) else 0.0
    after = values[width] if width < len(values) else 0.0
    gap = float((max(last, 0.0) - max(after, 0.0)) / top) if top > 0 else 0.0
    # in the form of square roots u_j is scaled by 1/sqrt(lambda_j); R's right inverse has done so already
    if weights.min() >= 0:
        spread = spread[:, :positive] / np.sqrt(values[:positive])
    directions = spread[:, :used]
    tied = bool(gap < TIE and 0 < width < positive)
    fixed, group = used, spread[:, :0]
    if tied:
        near = np.abs(values[:positive] - values[width - 1]) <= TIE * top
        fixed = int(np.argmax(near))
        group = spread[:, :positive][:, near]
    # weights of 0, or so far apart that what some ask for is rounding beside the rest, leave dimensions to nobody
    rest = max(min(width, effective_rank(gramian)) - used, 0) if used < width else 0
    return Scalarized(
        captured=energies(gramian, directions),
        value=float(values[:used].sum()),
        eigengap=gap,
        directions=directions,
        tied=tied,
        fixed=fixed,
        tied_directions=group,
        unused=rest,
    )


def scalarized_model(problem: LinearProblem, weights: ArrayLike, width: int | None = None) -> tuple[Array, Array]:
    """The shared layer and the heads that minimise a weighted sum of the losses.

    W = C^+ B @ directions, so the q shared features have second moments = identity, and heads A = W^T B.

    Args:
        problem: The table as a linear problem.
        weights: Weights of the tasks, (k,), as in `scalarized`.
        width: Shared width; default that of the problem.

    Returns:
        W (p, q) and A (q, k), for inputs and targets centred and scaled as the problem says. Width that the
        tasks cannot use is filled with zeros.

    Raises:
        SettingError: No width given and none in the problem, or weights out of range.

    Example:
        >>> problem = LinearProblem(np.array([[0.0], [1.0], [2.0]]), np.array([[0.0, 1], [1, 0], [2, 0]]), 1)
        >>> shared, heads = scalarized_model(problem, [1, 1])
        >>> np.allclose(problem.losses(shared, heads), problem.unexplained)
        True
    """
    size = problem.width if width is None else width
    if size is None:
        raise SettingError("a width is needed: scalarized_model(problem, weights, width=1)")
    point = scalarized(problem.gramian, weights, size)
    shared = np.zeros((problem.inputs, checked_width(size)))
    shared[:, : point.directions.shape[1]] = problem.coefficients @ point.directions
    return shared, shared.T @ problem.cross_moments
