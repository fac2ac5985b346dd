"""The pieces of which the feasible set's boundary is made, at width 1 and rank - 1.

At width 1 a model is one direction v of length 1, task i captures e_i = s_i^2 with s = R^T v, and for independent
predictions s^T Q s = 1, Q = G^-1. At width rank - 1 one direction v is left out, and the same holds for the residuals
rho_i = s_i^2 above each task's own best loss. So in both cases, with x the captured energies or the residuals, the
attainable points lie on 2^(k-1) surfaces, one a pattern of signs (a pattern and its opposite are the same):

    S_sigma = { x >= 0 : f_sigma(x) = 1 },    f_sigma(x) = sqrt(x)^T D_sigma Q D_sigma sqrt(x).

(Hu et al., NeurIPS 2023, section 3; the form with Q covers both widths.) Two surfaces that differ in the signs of A
meet where sum over i in A, j not in A of sigma_i sigma_j Q_ij sqrt(x_i x_j) vanishes: see `creases`.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...errors import SettingError
from ..minmax.problem import Array
from ..problem.gramian import checked_gramian, checked_vector, checked_width, effective_rank, factor

__all__ = [
    "Signs",
    "SurfaceKind",
    "Surfaces",
    "inverse_gramian",
    "sign_patterns",
    "surface_gradient",
    "surface_kind",
    "surface_points",
    "surface_value",
]

SurfaceKind = Literal["captured", "residual"]
Signs = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Surfaces:
    """Points of the feasible set, each with the piece that it lies on.

    Attributes:
        kind: ``captured`` (width 1: x = e) or ``residual`` (width rank - 1: x = diag(G) - e).
        captured: (n, k) captured energies e.
        points: Coordinates x of the models, (n, k).
        signs: (n, k) +1 or -1, the first entry +1; 0 where x is 0.
        pieces: (n,) number of the piece: positions of the tasks with sign -1 read as binary digits, task 1 the lowest.
    """

    kind: SurfaceKind
    captured: Array
    points: Array
    signs: Signs
    pieces: NDArray[np.int64]


def surface_kind(gramian: Array, width: int) -> SurfaceKind:
    """Which x the surfaces are equations in at this width; see `Surfaces`.

    Raises:
        SettingError: Another width than 1 and rank - 1.
    """
    rank = effective_rank(gramian)
    if width == 1 and rank > 1:
        return "captured"
    if width == rank - 1:
        return "residual"
    raise SettingError(
        f"surfaces are known for width 1 and for the rank of the predictions less 1, {rank - 1}; found width {width}. "
        "Between them, sample models instead"
    )


def sign_patterns(roots: Array) -> tuple[Signs, NDArray[np.int64]]:
    """Sign patterns (n, k) of signed roots with the first task positive, and their numbers (n,) as in `Surfaces`.

    Example:
        >>> signs, pieces = sign_patterns(np.array([[-1.0, 2.0, 0.5]]))
        >>> signs.tolist(), pieces.tolist()
        ([[1, -1, -1]], [3])
    """
    signs = np.sign(np.where(np.abs(roots) > 1e-12, roots, 0.0)).astype(np.int64)
    first = signs[np.arange(len(signs)), np.argmax(signs != 0, axis=1)]
    signs = signs * np.where(first == 0, 1, first)[:, None]
    return signs, np.asarray((signs[:, 1:] < 0) @ (1 << np.arange(signs.shape[1] - 1)), dtype=np.int64)


def surface_points(gramian: ArrayLike, width: int, count: int = 2000, *, seed: int = 0) -> Surfaces:
    """Models of width 1 or rank - 1, spread evenly over the directions, with the surface that each lies on.

    For three independent tasks the directions are a Fibonacci spiral on the half sphere, otherwise seeded normal
    vectors. In the coordinates x themselves a grid would not do: the surfaces' slopes are infinite at x_i = 0.

    Args:
        gramian: (k, k) G of any rank of at least 2.
        width: 1 or rank - 1. Where both are the same (rank 2), the captured energies are used.
        count: Number of models.
        seed: Seed of the directions, used beyond three dimensions.

    Raises:
        GramianError: Not a Gramian.
        SettingError: Another width.

    Example:
        >>> found = surface_points([[1.0, 0.5], [0.5, 1.0]], 1, 50)
        >>> bool(np.allclose(surface_value([[1.0, 0.5], [0.5, 1.0]], found.points[7], found.signs[7]), 1.0))
        True
    """
    matrix, width = checked_gramian(gramian), checked_width(width)
    kind = surface_kind(matrix, width)
    forward, _ = factor(matrix)
    rank = len(forward)
    if rank == 3:
        height = (np.arange(count) + 0.5) / count
        turn = np.pi * (3 - np.sqrt(5)) * np.arange(count)
        ring = np.sqrt(1 - height**2)
        vectors = np.column_stack([ring * np.cos(turn), ring * np.sin(turn), height])
    elif rank == 2:
        angle = np.pi * (np.arange(count) + 0.5) / count
        vectors = np.column_stack([np.cos(angle), np.sin(angle)])
    else:
        vectors = np.random.default_rng(seed).normal(size=(count, rank))
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    roots = vectors @ forward
    signs, pieces = sign_patterns(roots)
    points = roots**2
    captured = points if kind == "captured" else np.diag(matrix) - points
    return Surfaces(kind, captured, points, signs, pieces)


def inverse_gramian(gramian: Array) -> Array:
    """Q = G^-1, symmetric.

    Raises:
        SettingError: The predictions are dependent.
    """
    if effective_rank(gramian) < len(gramian):
        raise SettingError(
            "surfaces as equations need independent predictions; the rank of the Gramian is "
            f"{effective_rank(gramian)} of {len(gramian)}. `surface_points` works for any rank"
        )
    inverse = np.linalg.inv(gramian)
    return np.asarray((inverse + inverse.T) / 2.0)


def _checked(gramian: ArrayLike, point: ArrayLike, signs: ArrayLike) -> tuple[Array, Array, Array]:
    matrix = checked_gramian(gramian)
    where = checked_vector(point, len(matrix), "point")
    pattern = checked_vector(signs, len(matrix), "signs")
    if where.min() < 0 or not np.isin(pattern, (-1.0, 0.0, 1.0)).all():
        raise SettingError(f"point must not be negative and signs must be 1 or -1; found {where} and {pattern}")
    return inverse_gramian(matrix), np.sqrt(where), pattern


def surface_value(gramian: ArrayLike, point: ArrayLike, signs: ArrayLike) -> float:
    """f_sigma(x) = sqrt(x)^T D Q D sqrt(x), Q = G^-1: 1 on the surface of this sign pattern, below 1 inside.

    Args:
        gramian: (k, k) G of full rank.
        point: (k,) x >= 0: captured energies at width 1, residuals at width k - 1.
        signs: Signs of the surface, (k,), 1 and -1.

    Raises:
        GramianError, SettingError: Not a Gramian, rank-deficient, or out of range.

    Example:
        >>> surface_value([[2.0, 0.0], [0.0, 1.0]], [1.0, 0.5], [1, 1])
        1.0
    """
    inverse, roots, pattern = _checked(gramian, point, signs)
    signed = roots * pattern
    return float(signed @ inverse @ signed)


def surface_gradient(gramian: ArrayLike, point: ArrayLike, signs: ArrayLike) -> Array:
    r"""The gradient of f_sigma at x, :math:`Q_{ii} + \sum_{j \ne i} \sigma_i \sigma_j Q_{ij} \sqrt{x_j / x_i}`.

    Args:
        gramian: (k, k) G of full rank.
        point: (k,) x >= 0. Where x_i = 0 the entry is infinite or, if the sum vanishes, Q_ii.
        signs: Signs of the surface, (k,), 1 and -1.

    Example:
        >>> surface_gradient([[2.0, 0.0], [0.0, 1.0]], [1.0, 0.5], [1, 1]).tolist()
        [0.5, 1.0]
    """
    inverse, roots, pattern = _checked(gramian, point, signs)
    cross = pattern * (inverse @ (pattern * roots)) - np.diag(inverse) * roots
    safe = np.where(roots > 0, roots, 1.0)
    sloped = np.where(roots > 0, cross / safe, np.where(cross == 0, 0.0, np.copysign(np.inf, cross)))
    return np.asarray(np.diag(inverse) + sloped)
