"""The pieces of which the feasible set's boundary is made, at width 1 and rank - 1, and the creases where they meet.

At width 1 a model is one direction v of length 1, task i captures e_i = s_i^2 with s = R^T v, and for independent
predictions s^T Q s = 1, Q = G^-1. At width rank - 1 one direction v is left out, and the same holds for the residuals
rho_i = s_i^2 above each task's own best loss. So in both cases, with x the captured energies or the residuals, the
attainable points lie on 2^(k-1) surfaces, one a pattern of signs (a pattern and its opposite are the same):

    S_sigma = { x >= 0 : f_sigma(x) = 1 },    f_sigma(x) = sqrt(x)^T D_sigma Q D_sigma sqrt(x).

(Hu et al., NeurIPS 2023, section 3; the form with Q covers both widths.) Two surfaces that differ in the signs of A
meet where sum over i in A, j not in A of sigma_i sigma_j Q_ij sqrt(x_i x_j) vanishes. Their normals differ there, so
the union has a crease, and where it is re-entrant a plane that supports one side cuts off the other: weighted sums
cannot reach the crease, nor an open set of points around it.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import SettingError
from .gramians import checked_gramian, checked_width, effective_rank, factor
from .minmax import Array, checked_vector
from .pareto import pareto_test
from .reachability import SupportPool, reach_with

__all__ = [
    "Crease",
    "Surfaces",
    "crease_points",
    "judge_creases",
    "surface_gradient",
    "surface_points",
    "surface_value",
]

Kind = Literal["captured", "residual"]
Signs = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Surfaces:
    """Points of the feasible set, each with the piece that it lies on.

    Attributes:
        kind: ``captured`` (width 1: x = e) or ``residual`` (width rank - 1: x = diag(G) - e).
        captured: (n, k) energies e.
        points: (n, k) x.
        signs: (n, k) +1 or -1, the first entry +1; 0 where x is 0.
        pieces: (n,) number of the piece: positions of the tasks with sign -1 read as binary digits, task 1 the lowest.
    """

    kind: Kind
    captured: Array
    points: Array
    signs: Signs
    pieces: NDArray[np.int64]


def _kind(gramian: Array, width: int) -> Kind:
    rank = effective_rank(gramian)
    if width == 1 and rank > 1:
        return "captured"
    if width == rank - 1:
        return "residual"
    raise SettingError(
        f"surfaces are known for width 1 and for the rank of the predictions less 1, {rank - 1}; found width {width}. "
        "Between them, sample models instead"
    )


def _signs(roots: Array) -> tuple[Signs, NDArray[np.int64]]:
    """Sign patterns with the first task positive, and their numbers."""
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
        seed: Of the directions beyond three dimensions.

    Raises:
        GramianError: Not a Gramian.
        SettingError: Another width.

    Example:
        >>> found = surface_points([[1.0, 0.5], [0.5, 1.0]], 1, 50)
        >>> bool(np.allclose(surface_value([[1.0, 0.5], [0.5, 1.0]], found.points[7], found.signs[7]), 1.0))
        True
    """
    matrix, width = checked_gramian(gramian), checked_width(width)
    kind = _kind(matrix, width)
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
    signs, pieces = _signs(roots)
    points = roots**2
    captured = points if kind == "captured" else np.diag(matrix) - points
    return Surfaces(kind, captured, points, signs, pieces)


def _inverse(gramian: Array) -> Array:
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
    return _inverse(matrix), np.sqrt(where), pattern


def surface_value(gramian: ArrayLike, point: ArrayLike, signs: ArrayLike) -> float:
    """f_sigma(x) = sqrt(x)^T D Q D sqrt(x), Q = G^-1: 1 on the surface of this sign pattern, below 1 inside.

    Args:
        gramian: (k, k) G of full rank.
        point: (k,) x >= 0: captured energies at width 1, residuals at width k - 1.
        signs: (k,) of 1 and -1.

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
        signs: (k,) of 1 and -1.

    Example:
        >>> surface_gradient([[2.0, 0.0], [0.0, 1.0]], [1.0, 0.5], [1, 1]).tolist()
        [0.5, 1.0]
    """
    inverse, roots, pattern = _checked(gramian, point, signs)
    cross = pattern * (inverse @ (pattern * roots)) - np.diag(inverse) * roots
    safe = np.where(roots > 0, roots, 1.0)
    sloped = np.where(roots > 0, cross / safe, np.where(cross == 0, 0.0, np.copysign(np.inf, cross)))
    return np.asarray(np.diag(inverse) + sloped)


@dataclass(frozen=True, eq=False)
class Crease:
    """Points where two surfaces meet that differ in one task's sign.

    Attributes:
        task: Position of that task.
        kind: As in `Surfaces`.
        captured: (n, k) energies.
        points: (n, k) x.
        signs: (n, k) of one of the two surfaces; the other has the sign of `task` flipped.
        disagreement: (n,) angle between the two surfaces' normals, in radians; 0 where they touch smoothly.
        optimal: (n,) whether no single model improves on the point in every task; filled by `judge_creases`, else None.
        lead: (n,) delta of `reach`, in shares of diag(G), at the Pareto-optimal points, NaN elsewhere; or None.
        tolerance: Below which a lead counts as 0.
    """

    task: int
    kind: Kind
    captured: Array
    points: Array
    signs: Signs
    disagreement: Array
    optimal: NDArray[np.bool_] | None = None
    lead: Array | None = None
    tolerance: float = 1e-6

    @property
    def unreachable(self) -> NDArray[np.bool_]:
        """(n,) Pareto-optimal, and no weighted sum has the point among its optima."""
        if self.optimal is None or self.lead is None:
            raise SettingError("the crease was not judged: pass it through judge_creases(gramian, width, creases)")
        return np.asarray(self.optimal & (np.nan_to_num(self.lead, nan=-1.0) > self.tolerance))


def crease_points(gramian: ArrayLike, width: int, task: int, count: int = 200, *, seed: int = 0) -> Crease:
    """Points of the crease between all pairs of surfaces that differ in the sign of one task.

    With s the signed roots, flipping task i leaves s on a surface exactly where s_i sum_{j != i} Q_ij s_j = 0: the
    other roots lie in a plane through 0, and s_i is free. For k = 3 this is one closed curve on the unit sphere, run
    through at even angles (in x the planar curve Q_ij^2 x_j = Q_il^2 x_l); for more tasks a sphere, sampled.

    Args:
        gramian: (k, k) G of full rank, k >= 3.
        width: 1 or k - 1.
        task: Position of the task.
        count: Number of points.
        seed: For k > 3.

    Raises:
        GramianError: Not a Gramian.
        SettingError: Rank-deficient, another width, or no such task.
    """
    matrix, width = checked_gramian(gramian), checked_width(width)
    kind, tasks = _kind(matrix, width), len(matrix)
    inverse = _inverse(matrix)
    if not 0 <= task < tasks or tasks < 3:
        raise SettingError(f"task must be a position below the number of tasks, at least 3; found {task} of {tasks}")
    others = np.delete(np.arange(tasks), task)
    plane = np.linalg.svd(inverse[task, others][None])[2][1:].T  # (k - 1, k - 2) orthonormal, Q_i. @ plane = 0
    if not np.any(inverse[task, others]):
        raise SettingError(f"the task at {task} is independent of all others: its two surfaces are the same")
    inner = plane.T @ inverse[np.ix_(others, others)] @ plane
    back = np.linalg.inv(np.linalg.cholesky(inner)).T  # maps the unit sphere to the ellipsoid
    if tasks == 3:
        angle = np.pi * (np.arange(count) + 0.5) / count
        sphere = np.column_stack([np.cos(angle), np.sin(angle)])
    else:
        sphere = np.random.default_rng(seed).normal(size=(count, tasks - 1))
        sphere /= np.linalg.norm(sphere, axis=1, keepdims=True)
    roots = np.zeros((count, tasks))
    roots[:, task] = sphere[:, 0] / np.sqrt(inverse[task, task])
    roots[:, others] = sphere[:, 1:] @ (plane @ back).T
    signs, _ = _signs(roots)
    points = roots**2
    captured = points if kind == "captured" else np.diag(matrix) - points
    flipped = roots.copy()
    flipped[:, task] *= -1
    first, second = _normals(inverse, roots), _normals(inverse, flipped)
    disagreement = np.arccos(np.clip(np.sum(first * second, axis=1), -1.0, 1.0))
    return Crease(task, kind, captured, points, signs, disagreement)


def _normals(inverse: Array, roots: Array) -> Array:
    """Unit normals of the surfaces at the squares of signed roots; x_i = 0 is moved off 0 by rounding."""
    safe = np.where(np.abs(roots) > 1e-12, roots, 1e-12)
    slopes = (roots @ inverse) / safe
    return np.asarray(slopes / np.linalg.norm(slopes, axis=1, keepdims=True))


def judge_creases(
    gramian: ArrayLike, width: int, count: int = 60, *, tolerance: float = 1e-6, seed: int = 0
) -> tuple[Crease, ...]:
    """Every task's crease, with which of its points are Pareto-optimal and out of reach of all weights.

    The creases are the skeleton only: around an unreachable crease point lies an open set of unreachable points of
    the front, up to where the bridging plane touches it.

    Args:
        gramian: (k, k) G of full rank, k >= 3.
        width: 1 or k - 1.
        count: Points a crease.
        tolerance: On the leads, in shares of diag(G).
        seed: For k > 3.

    Returns:
        One crease a task that depends on others.

    Raises:
        GramianError, SettingError: As `crease_points`.

    Cost: 5 to 20 ms a point at k = 3.
    """
    matrix, width = checked_gramian(gramian), checked_width(width)
    inverse = _inverse(matrix)
    pool = SupportPool(matrix, width)
    judged = []
    for task in range(len(matrix)):
        if not np.any(np.delete(inverse[task], task)):
            continue
        crease = crease_points(matrix, width, task, count, seed=seed)
        optimal, lead = np.zeros(count, dtype=bool), np.full(count, np.nan)
        for number, captured in enumerate(crease.captured):
            optimal[number] = pareto_test(matrix, width, captured, tolerance=tolerance).status == "optimal"
            if optimal[number]:
                lead[number] = reach_with(pool, captured).lower
        judged.append(
            Crease(
                task, crease.kind, crease.captured, crease.points, crease.signs, crease.disagreement, optimal, lead,
                tolerance,
            )
        )  # fmt: skip
    return tuple(judged)
