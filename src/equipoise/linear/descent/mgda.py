"""Full-batch MGDA on a linear model: where following the common descent direction ends."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ...core.numbers import Array, is_whole
from ...errors import SettingError
from ...solve.min_norm import min_norm_point
from ...solve.solution import Status
from ..minmax.grassmann import complement
from ..problem.gramian import checked_gramian, checked_vector, checked_width, factor

__all__ = ["MGDAPath", "mgda", "saddle_index", "start_basis"]

SUFFICIENT = 0.25
"""Share of the promised decrease that every loss must show for a step to be taken."""

SHORTEST = 1e-12
"""Steps below this share of 1 / trace(G) are rounding: the path ends there."""


@dataclass(frozen=True, eq=False)
class MGDAPath:
    """The end of an MGDA run.

    Attributes:
        losses: (k,) unexplained + G_ii - captured, at the end.
        captured: (k,) captured energies e_i at the end.
        directions: (k, q') the shared layer as combinations of the tasks' predictions, as in `Scalarized`.
        weights: (k,) min-norm weights at the end, sum 1.
        stationarity: Norm of the weighted gradient over 2 sum_i weights_i G_ii: no unit, at most 1.
        status: ``Status.STATIONARY`` when `stationarity` is below the tolerance, else ``Status.ITERATION_LIMIT``.
        saddle_index: Number of eigenvalues outside the shared layer that exceed the least one inside, for the weighted
            sum with these weights. 0: the end is an optimum of its own weighted sum. Above 0 it is a saddle point of
            it, and training on with these weights fixed leaves it.
        steps: Number of steps taken.
        history: (steps + 1, k) losses along the way; every step lowers all of them.
    """

    losses: Array
    captured: Array
    directions: Array
    weights: Array
    stationarity: float
    status: Status
    saddle_index: int
    steps: int
    history: Array


def mgda(
    gramian: ArrayLike,
    unexplained: ArrayLike,
    width: int,
    *,
    start: ArrayLike | None = None,
    seed: int = 0,
    steps: int = 5000,
    tolerance: float = 1e-6,
) -> MGDAPath:
    r"""Follow the min-norm direction of the shared gradients to a Pareto-stationary model.

    Heads are eliminated: at every step each task has its least-squares head, so a loss depends on the shared subspace
    alone, L_i = c_i + G_ii - |Z^T r_i|^2 with Z (r, q) orthonormal and G = R^T R. The shared features are taken in
    coordinates in which the predictions' span is orthonormal (whitened inputs); with P = Z Z^T

    .. math:: g_i = -2 (I - P) r_i r_i^\top Z, \qquad
              \langle g_i, g_j \rangle = 4 \, (r_i^\top (I - P) r_j) (r_i^\top P r_j)

    so a step costs O(k^2 r) whatever the table. The step is Z - s sum_i a_i g_i, a the min-norm weights, made
    orthonormal again; s doubles while every loss falls by a quarter of what the direction promises, else is halved.

    The end is Pareto-*stationary*: it need not be Pareto-optimal (several starts end at different, even dominated
    models), and need not be an optimum of any weighted sum; see `saddle_index`. Unlike other functions here the
    result depends on the units of the losses, as MGDA's does.

    Args:
        gramian: (k, k) G of the least-squares predictions.
        unexplained: (k,) losses c that no linear model removes.
        width: Shared width q >= 1.
        start: (k, m) combinations of the predictions to start from, of rank min(q, rank G). Default: a random
            subspace.
        seed: Seed of the random start.
        steps: Largest number of steps.
        tolerance: The run ends where `stationarity` is at most this.

    Returns:
        The path, a `MGDAPath`.

    Raises:
        GramianError: Not a Gramian.
        SettingError: Width, start, steps or tolerance out of range.

    Source:
        Désidéri (2012); Sener and Koltun (2018), who train the heads by their own gradients instead.

    Example:
        >>> end = mgda([[1.0, 0.2], [0.2, 1.0]], [0.0, 0.0], width=1)
        >>> end.status.name, end.saddle_index
        ('STATIONARY', 0)
    """
    matrix, width = checked_gramian(gramian), checked_width(width)
    base = checked_vector(unexplained, len(matrix), "unexplained") + np.diag(matrix)
    if not is_whole(steps):
        raise SettingError(f"steps must be a whole number from 0; found {steps!r}")
    if not tolerance > 0:
        raise SettingError(f"tolerance must be above 0; found {tolerance!r}")
    forward, back = factor(matrix)
    shared = start_basis(forward, min(width, len(forward)), start, seed)
    trace = max(float(np.trace(matrix)), float(np.finfo(np.float64).tiny))
    length = 0.5 / trace
    history = [base - _captured(forward, shared)]
    taken = 0
    while True:
        inner = shared.T @ forward
        outer = forward - shared @ inner
        gradients = 4.0 * (outer.T @ outer) * (inner.T @ inner)
        gradients = (gradients + gradients.T) / 2.0
        weights = min_norm_point(gradients).value
        norm = float(np.sqrt(max(float(weights @ gradients @ weights), 0.0)))
        reference = 2.0 * float(weights @ np.diag(matrix))
        stationarity = norm / reference if reference > 0 else 0.0
        if stationarity <= tolerance or taken >= steps:
            break
        moved = None
        while moved is None and length * trace > SHORTEST:
            tried = np.linalg.qr(shared + length * 2.0 * (outer * weights) @ inner.T)[0]
            losses = base - _captured(forward, tried)
            if np.all(losses <= history[-1] - SUFFICIENT * length * norm**2):
                moved = tried
            else:
                length /= 2.0
        if moved is None:
            break
        shared, taken, length = moved, taken + 1, 2.0 * length
        history.append(base - _captured(forward, shared))
    captured = _captured(forward, shared)
    return MGDAPath(
        losses=base - captured,
        captured=captured,
        directions=back @ shared,
        weights=weights,
        stationarity=stationarity,
        status=Status.STATIONARY if stationarity <= tolerance else Status.ITERATION_LIMIT,
        saddle_index=saddle_index(forward, shared, weights),
        steps=taken,
        history=np.array(history),
    )


def _captured(forward: Array, shared: Array) -> Array:
    return np.asarray(np.sum((shared.T @ forward) ** 2, axis=0), dtype=np.float64)


def start_basis(forward: Array, width: int, start: ArrayLike | None, seed: int) -> Array:
    """Orthonormal basis (r, q) of the subspace at which a descent begins.

    `start` (k, m) combines the tasks' predictions, R = `forward` (r, k); its first q dimensions are taken. None draws a
    uniformly random subspace from `seed`.

    Raises:
        SettingError: Not finite, another shape, or fewer than q dimensions.

    Example:
        >>> start_basis(np.eye(2), 1, [[2.0], [0.0]], 0).round(9).tolist()
        [[1.0], [0.0]]
    """
    rank, tasks = forward.shape
    if start is None:
        drawn = np.random.default_rng(seed).standard_normal((rank, width))
        return np.asarray(np.linalg.qr(drawn)[0], dtype=np.float64)
    given = np.array(start, dtype=np.float64)
    if given.ndim != 2 or given.shape[0] != tasks or not np.all(np.isfinite(given)):
        raise SettingError(f"start must be finite with shape ({tasks}, m); found shape {given.shape}")
    left, sizes, _ = np.linalg.svd(forward @ given, full_matrices=False)
    dimensions = int(np.sum(sizes > 1e-12 * sizes[0])) if len(sizes) and sizes[0] > 0 else 0
    if dimensions < width:
        raise SettingError(
            f"start must span {width} dimensions of the predictions; it spans {dimensions}. A layer that starts at 0 "
            "in a direction never learns it"
        )
    return np.asarray(left[:, :width], dtype=np.float64)


def saddle_index(forward: Array, shared: Array, weights: Array) -> int:
    """How many eigenvalues of R diag(w) R^T outside the shared layer (r, q) exceed the least one inside.

    0 where the layer is an optimum of this weighted sum; otherwise a stationary point of it is a saddle.

    Example:
        >>> saddle_index(np.eye(2), np.array([[1.0], [0.0]]), np.array([1.0, 2.0]))
        1
    """
    energy = (forward * weights) @ forward.T
    if not shared.size or shared.shape[1] >= len(forward):
        return 0
    rest = complement(shared)
    inside = np.linalg.eigvalsh(shared.T @ energy @ shared)
    outside = np.linalg.eigvalsh(rest.T @ energy @ rest)
    return int(np.sum(outside > inside[0] + 1e-6 * float(inside[-1])))
