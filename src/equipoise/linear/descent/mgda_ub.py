"""MGDA-UB on a linear model in closed form: the shortcut through the features' gradients, and what it loses.

MGDA takes the min-norm point of the tasks' gradients with respect to the shared weights; MGDA-UB (Sener and Koltun,
2018) of those with respect to the shared features Z = X W, which are cheaper, and then moves the weights with the same
combination. With residuals y_i - Z a_i and mean squared losses the Gramians are, from second moments alone,

    K_Z[i, j] = (4 / n) E_ij (a_i . a_j),       E = S - M^T B - B^T M + M^T C M,   M = W A,
    K_W[i, j] = 4 (d_i . d_j) (a_i . a_j),      d = B - C M,

the first up to the factor 1/n, which changes no min-norm point. E holds the unexplained residuals (y_i - y^_i) too,
which no model removes, so the norm of the combined feature gradient does not vanish even at a perfect model: it must
not be the stopping test. The claim that MGDA-UB's direction lowers all losses is wrong (Su, 2022, section 3.3): the
feature gradients' min-norm point lowers every loss as a function of the features, and the weights cannot move the
features freely. Where the Jacobian of the features in the weights has full row rank, its fixed points are Pareto
stationary all the same; with more rows than inputs it never has.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike

from ...core.numbers import is_whole
from ...errors import SettingError
from ...solve.min_norm import min_norm_point
from ...solve.solution import Status
from ..minmax.problem import Array
from ..problem.gramian import checked_gramian, checked_vector, checked_width, factor
from ..problem.linear_problem import LinearProblem
from .mgda import MGDAPath, saddle_index, start_basis

__all__ = ["SharedGramians", "UBPath", "mgda_ub", "run_starts", "shared_gramians", "ub_descent_margin"]


@dataclass(frozen=True, eq=False)
class SharedGramians:
    """Gramians of the tasks' gradients at one linear model.

    Attributes:
        features: (k, k) K_Z n: with respect to the shared features, times the number of rows.
        weights: (k, k) K_W: with respect to the shared weights.
        losses: Losses at the model, (k,).
    """

    features: Array
    weights: Array
    losses: Array


def shared_gramians(problem: LinearProblem, shared: ArrayLike, heads: ArrayLike) -> SharedGramians:
    """K_Z and K_W of a linear model from second moments; see the module.

    Args:
        problem: The table as a linear problem.
        shared: Shared layer W (p, q).
        heads: Heads A (q, k), one column a task.

    Raises:
        SettingError: Shapes that do not fit.
    """
    W, A = np.array(shared, dtype=np.float64), np.array(heads, dtype=np.float64)
    inputs, tasks = problem.cross_moments.shape
    if W.ndim != 2 or A.ndim != 2 or W.shape[0] != inputs or A.shape != (W.shape[1], tasks):
        raise SettingError(f"shared must be ({inputs}, q) and heads (q, {tasks}); found {W.shape} and {A.shape}")
    maps = W @ A
    pulled = problem.second_moments @ maps
    cross = maps.T @ problem.cross_moments
    residuals = problem.target_moments - cross - cross.T + maps.T @ pulled
    slopes = problem.cross_moments - pulled
    inner = A.T @ A
    return SharedGramians(4.0 * residuals * inner, 4.0 * (slopes.T @ slopes) * inner, np.diag(residuals).copy())


def ub_descent_margin(gramian: ArrayLike, weights: ArrayLike) -> float:
    """Whether a direction that was chosen from feature gradients lowers every loss: min_i g_i . u / trace(K).

    u = sum_j weights_j g_j is the step's direction with g_i the true gradients (with respect to the shared weights)
    and K their Gramian, so g_i . u = (K weights)_i. Negative: some loss rises for every small step.

    Args:
        gramian: (k, k) K of the true gradients.
        weights: Weights of the tasks, (k,), from `equipoise.solve.min_norm.min_norm_point` of the feature gradients'
            Gramian, or any others.

    Returns:
        No unit; 0 where all gradients vanish.

    Example:
        Su's counterexample in the plane, features moved by J J^T = diag(1, 4):

        >>> features = np.array([[0.0, 1.0], [-1.0, -1.0]])
        >>> weights = min_norm_point(features @ features.T).value
        >>> true = features @ np.diag([1.0, 4.0]) @ features.T
        >>> weights.round(6).tolist(), (true @ weights).round(6).tolist()
        ([0.6, 0.4], [0.8, -0.4])
        >>> bool(ub_descent_margin(true, weights) < 0)
        True
    """
    matrix = checked_gramian(gramian)
    shares = checked_vector(weights, len(matrix), "weights")
    trace = float(np.trace(matrix))
    return float(np.min(matrix @ shares)) / trace if trace > 0 else 0.0


@dataclass(frozen=True, eq=False)
class UBPath(MGDAPath):
    """The end of an MGDA-UB run, with what went wrong on the way.

    Attributes:
        rises: Steps after which some loss was higher.
        negative_margins: Steps whose direction raises some loss to first order (`ub_descent_margin` < -1e-12).
        feature_norm: Norm of the combined feature gradient at the end, over the same reference as `stationarity`:
            not 0 even at a stationary point, because unexplained residuals stay.
    """

    rises: int
    negative_margins: int
    feature_norm: float


def mgda_ub(
    gramian: ArrayLike,
    unexplained_moments: ArrayLike,
    width: int,
    *,
    start: ArrayLike | None = None,
    seed: int = 0,
    dimensions: int | None = None,
    steps: int = 20_000,
    step_size: float = 0.1,
    tolerance: float = 1e-6,
) -> UBPath:
    r"""Follow MGDA-UB's direction, heads eliminated, in coordinates in which the inputs are whitened.

    With P the projection on the shared features, U = (Y - Ŷ)^T (Y - Ŷ) / n and each head least-squares,

    .. math:: K_Z[i, j] \propto (r_i^\top (I - P) r_j + U_{ij}) (r_i^\top P r_j)

    and the step is that of `mgda`, Z + s sum_i a_i (I - P) r_i r_i^T Z, orthonormal again, with a the min-norm weights
    of K_Z and s = step_size / max_i G_ii fixed: there is no common decrease that a line search could ask for. With
    U = 0 both Gramians are equal up to a factor, and MGDA-UB is MGDA.

    The run stops on the norm of the true shared gradient, never on that of the feature gradient.

    Args:
        gramian: (k, k) G of the least-squares predictions.
        unexplained_moments: (k, k) U, or its diagonal (k,) where the residuals are uncorrelated.
        width: Shared width q >= 1.
        start: (k, m) combinations of the predictions to start from, as for `mgda`.
        seed: Seed of a random start.
        dimensions: Dimension of the space in which a random start is drawn: the rank of the inputs, for a shared layer
            that starts as training does. Default: the rank of G, the span of the predictions, which all ends lie in;
            but a start there may already be Pareto-stationary.
        steps: Largest number of steps.
        step_size: Length of a step in units of 1 / max_i G_ii, above 0.
        tolerance: The run ends where `stationarity` is at most this.

    Returns:
        The path; compare `rises` with 0.

    Raises:
        GramianError: Not a Gramian.
        SettingError: Anything else out of range.

    Source:
        Sener and Koltun (2018), section 3.3; the criticism Su (2022). We differ: heads are eliminated.

    Example:
        >>> end = mgda_ub([[1.0, 0.2], [0.2, 1.0]], [0.1, 0.1], width=1)
        >>> end.status.name
        'STATIONARY'
    """
    matrix, width = checked_gramian(gramian), checked_width(width)
    forward, back = factor(matrix)
    if start is None:
        (path,) = run_starts(
            matrix, unexplained_moments, width, seeds=(seed,), dimensions=dimensions, steps=steps,
            step_size=step_size, tolerance=tolerance,
        )  # fmt: skip
        return path
    first = start_basis(forward, min(width, len(forward)), start, seed)
    rest = checked_rest(unexplained_moments, len(matrix))
    return _follow(forward, back, rest, first[None], steps, step_size, tolerance)[0]


def checked_rest(unexplained_moments: ArrayLike, tasks: int) -> Array:
    """U as (k, k), from itself or its diagonal."""
    rest = np.array(unexplained_moments, dtype=np.float64)
    rest = np.diag(rest) if rest.ndim == 1 else rest
    if rest.shape != (tasks, tasks) or not np.isfinite(rest).all() or np.diag(rest).min() < -1e-12:
        raise SettingError(f"unexplained_moments must be ({tasks}, {tasks}) second moments; found shape {rest.shape}")
    return rest


def run_starts(
    gramian: ArrayLike,
    unexplained_moments: ArrayLike,
    width: int,
    *,
    seeds: Sequence[int],
    dimensions: int | None = None,
    steps: int = 20_000,
    step_size: float = 0.1,
    tolerance: float = 1e-6,
) -> tuple[UBPath, ...]:
    """`mgda_ub` from several random starts side by side; arguments as there, one path a seed."""
    matrix, width = checked_gramian(gramian), checked_width(width)
    if not is_whole(steps) or not step_size > 0 or not tolerance > 0:
        raise SettingError(f"steps, step_size and tolerance must be positive; found {steps}, {step_size}, {tolerance}")
    rest = checked_rest(unexplained_moments, len(matrix))
    forward, back = factor(matrix)
    rank = len(forward)
    space = rank if dimensions is None else dimensions
    if space < rank:
        raise SettingError(f"dimensions must be at least the rank of the predictions, {rank}; found {dimensions}")
    padded = np.vstack([forward, np.zeros((space - rank, len(matrix)))])
    back = np.hstack([back, np.zeros((len(matrix), space - rank))])
    starts = [start_basis(padded, min(width, rank), None, seed) for seed in seeds]
    if not starts:
        return ()
    return _follow(padded, back, rest, np.array(starts), steps, step_size, tolerance)


def _follow(
    forward: Array, back: Array, rest: Array, shared: Array, steps: int, step_size: float, tolerance: float
) -> tuple[UBPath, ...]:
    """All runs (m, r, q) side by side until each is stationary or out of steps."""
    energy = np.sum(forward**2, axis=0)
    base = np.diag(rest) + energy
    length = step_size / max(float(energy.max()), float(np.finfo(np.float64).tiny))
    count, tasks = len(shared), len(energy)
    shared = shared.copy()
    history: list[list[Array]] = [[] for _ in range(count)]
    rises, negative = np.zeros(count, dtype=int), np.zeros(count, dtype=int)
    norms, feature_norms = np.zeros(count), np.zeros(count)
    last = np.zeros((count, tasks))
    running = np.arange(count)
    for step in range(steps + 1):
        here = shared[running]
        inner = here.transpose(0, 2, 1) @ forward
        outer = forward - here @ inner
        heads = inner.transpose(0, 2, 1) @ inner
        explained = outer.transpose(0, 2, 1) @ outer
        losses = base - np.diagonal(heads, axis1=1, axis2=2)
        features, true = 4.0 * (explained + rest) * heads, 4.0 * explained * heads
        weights = min_norm_batch(features)
        reference = np.maximum(2.0 * weights @ energy, np.finfo(np.float64).tiny)
        norm = np.sqrt(np.maximum(np.einsum("mi,mij,mj->m", weights, true, weights), 0.0)) / reference
        norms[running], last[running] = norm, weights
        products = np.einsum("mi,mij,mj->m", weights, features, weights)
        feature_norms[running] = np.sqrt(np.maximum(products, 0.0)) / reference
        for place, run in enumerate(running.tolist()):
            if history[run] and np.any(losses[place] > history[run][-1] + 1e-14 * base):
                rises[run] += 1
            history[run].append(losses[place])
        going = norm > tolerance
        if step == steps or not going.any():
            break
        margins = np.min(np.einsum("mij,mj->mi", true, weights), axis=1) / np.trace(true, axis1=1, axis2=2)
        negative[running[going & (margins < -1e-12)]] += 1
        moved = here + length * 2.0 * (outer * weights[:, None, :]) @ inner.transpose(0, 2, 1)
        running, moved = running[going], moved[going]
        shared[running] = np.linalg.qr(moved)[0]
    return tuple(
        UBPath(
            losses=history[run][-1],
            captured=base - history[run][-1],
            directions=back @ shared[run],
            weights=last[run],
            stationarity=float(norms[run]),
            status=Status.STATIONARY if norms[run] <= tolerance else Status.ITERATION_LIMIT,
            saddle_index=saddle_index(forward, shared[run], last[run]),
            steps=len(history[run]) - 1,
            history=np.array(history[run]),
            rises=int(rises[run]),
            negative_margins=int(negative[run]),
            feature_norm=float(feature_norms[run]),
        )
        for run in range(count)
    )


def min_norm_batch(gramians: Array) -> Array:
    """Min-norm weights (m, k) of m Gramians at once: up to 4 tasks by comparing the faces of the simplex.

    On each face the minimiser over its plane is K_S^-1 1, scaled; of those inside the simplex the shortest is the
    answer. A diagonal shift of 1e-15 of the trace keeps degenerate faces solvable; beyond 4 tasks one exact solve each.
    """
    count, tasks = gramians.shape[:2]
    if tasks > 4:
        return np.array([min_norm_point((gram + gram.T) / 2.0).value for gram in gramians])
    trace = np.maximum(np.trace(gramians, axis1=1, axis2=2), np.finfo(np.float64).tiny)
    shifted = gramians / trace[:, None, None] + 1e-15 * np.eye(tasks)
    best, chosen = np.full(count, np.inf), np.zeros((count, tasks))
    for size in range(1, tasks + 1):
        for face in combinations(range(tasks), size):
            part = shifted[np.ix_(range(count), face, face)]
            pulls = np.linalg.solve(part, np.ones((count, size, 1)))[:, :, 0]
            total = pulls.sum(axis=1)
            inside = (pulls.min(axis=1) >= 0) & (total > 0)
            shares = np.where(inside[:, None], pulls, 1.0) / np.where(inside, total, size)[:, None]
            value = np.einsum("mi,mij,mj->m", shares, part, shares)
            better = inside & (value < best)
            best = np.where(better, value, best)
            whole = np.zeros((count, tasks))
            whole[:, face] = shares
            chosen = np.where(better[:, None], whole, chosen)
    return chosen
