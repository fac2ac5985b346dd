"""The vector nearest to one of k vectors that makes given progress along each of the others."""

import numpy as np

from ..core.numbers import Array
from .min_norm import hull_holds_zero
from .nnls import Complementarity, Pivoted
from .solution import Solution, Status
from .unsquared import UnitColumns, nonnegative

__all__ = ["nearest_with_progress"]

_REGULAR = 1e-5  # pivots above this leave the cosines' digits enough
_STILL = 1e-12


def nearest_with_progress(
    cosines: Array, row: int, length: float, least: Array, factor: Array | None = None
) -> Solution:
    r"""The projection of p = length * u_row on half-spaces, as coefficients on the other unit vectors.

    .. math:: \arg\min_d \{|d - p|^2 : \langle u_j, d \rangle \ge t_j,\; j \ne row\} = p + \sum_j z_j u_j, \qquad
              z = \arg\min_{z \ge 0} \tfrac12 \Big| p + \sum_j z_j u_j \Big|^2 - t^\top z

    Args:
        cosines: C, (k, k), of the unit vectors u, ones on the diagonal.
        row: Position of the vector to be projected.
        length: Length of p, positive.
        least: Products t that are asked for, (k,), non-negative; the entry at `row` is not looked at.
        factor: R (r, k) with R^T R a Gramian of the same directions, for vectors that nearly cancel: it keeps the
            digits that squaring loses.

    Returns:
        z, (k,), non-negative, 0 at `row`. ``certificate`` is the largest violation of the conditions, relative to the
        largest of 1, the length and t. Where positive products are asked of vectors that have 0 in their convex hull,
        no vector has them: z = 0, status ``NO_SOLUTION``.

    Cost:
        O(k^3), usually 2 to 6 linear systems; more where vectors nearly depend on each other.

    Source:
        The dual of the projection, by `Complementarity`; or by `nonnegative` with a proximal term that fades out.

    Example:
        >>> nearest_with_progress(np.array([[1.0, -1.0], [-1.0, 1.0]]), 0, 1.0, np.array([0.0, 0.5])).value
        array([0. , 1.5])
    """
    others = np.flatnonzero(np.arange(len(cosines)) != row)
    value = np.zeros(len(cosines))
    if not len(others):
        return Solution(value, Status.SOLVED, 0.0)
    inner, wanted = cosines[np.ix_(others, others)], least[others]
    kernel = Complementarity(inner)
    if wanted.any() and hull_holds_zero(inner, kernel):
        return Solution(value, Status.NO_SOLUTION, 0.0)
    scale = max(1.0, length, float(wanted.max()))
    aim, wanted = length / scale * cosines[row, others], wanted / scale
    found = kernel.solve(aim - wanted)
    slack = inner @ found.value + aim - wanted
    if factor is not None and kernel.smallest_pivot <= _REGULAR:
        columns = UnitColumns.of(cosines, factor)
        aimed = length / scale * columns.columns[:, row]
        columns = columns._replace(columns=columns.columns[:, others])
        found = _by_columns(columns, aimed, wanted, found.value)
        slack = columns.columns.T @ (columns.columns @ found.value + aimed) - wanted
    off = max(0.0, float(-slack.min()), float(np.abs(slack * (found.value > 0)).max()))
    value[others] = found.value * scale
    return Solution(value, Status.SOLVED if found.solved else Status.ITERATION_LIMIT, off, found.exchanges)


def _by_columns(columns: UnitColumns, aim: Array, least: Array, start: Array) -> Pivoted:
    """The dual by orthogonal factors: the products that are asked for stand beside the ridge."""
    matrix, ridge = columns.stacked(), columns.ridge
    before, exchanges = np.zeros(len(least)), 0
    for _ in range(columns.rounds):
        target = np.concatenate([-aim, least / ridge + ridge * before])
        found = nonnegative(matrix, target, start)
        moved, exchanges = found.value - before, exchanges + found.exchanges
        if not found.solved or ridge * float(np.abs(moved).max()) <= _STILL:
            break
        before = start = found.value
    return found._replace(exchanges=exchanges)
