"""Problems of gradients that nearly cancel, solved from the gradients themselves: their products have lost the digits.

Two unit gradients opposite to a part e of their length have a Gramian that differs from that of opposite ones by e^2.
Below e = 1e-4 a solve with the Gramian loses the digits that a promise is measured in, and weights of size 1/e turn its
rounding into a direction. Here the unknowns are fitted by orthogonal factors of the gradients (or of their triangular
factor), with a ridge at the size of what rounding leaves unknown: the error is eps over the ridge instead of eps over
its square, and no weight grows beyond what float64 can mix.

A ridge alone would also hold back what is well known. The ridge therefore pulls towards the last solution, a few times
(the proximal point method, or iterated Tikhonov regularisation): what singular values above the ridge hold is found in
full, what smaller ones hold fades out smoothly. No part of this depends on the order of the gradients by more than eps
over the ridge, and no threshold decides between two answers.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from ..core.numbers import Array
from .equilibrate import factor as root
from .lapack import lapack
from .nnls import Mask, Pivoted
from .parametric_nnls import Level
from .solution import Status

__all__ = ["UnitColumns", "UnsquaredPath", "by_rounds", "nonnegative", "null_space"]

_EPS = float(np.finfo(np.float64).eps)
_RIDGE = 2.0**-24  # of a unit gradient: a cone is missed by this, the order of tasks moves a direction by eps over it
_RIDGE_OF_PRODUCTS = 2.0**-21  # where the gradients are known by their products alone, to the root of eps
_APART = 2.0**-28  # singular values below this make weights too large to be mixed in float64
_NULL = 2.0**-43  # below this singular value, weights may be exchanged: rounding alone makes such
_ROUNDS = 16  # a singular value of half the ridge keeps 0.97 of its part, one of a tenth 0.15
_STILL = 1e-12  # of what the ridge holds: the rounds have come to their end
_SEEN = 1e-4  # the part of a direction that the ridge may hold while the answer counts as the problem's own
_SEARCH = 100


class UnitColumns(NamedTuple):
    """Vectors that stand for the unit gradients, and how far they are known."""

    columns: Array  # F, (r, k), columns of length one, F^T F the cosines
    ridge: float  # t: lengths below t of a combination's size are not told from zero
    # how often `by_rounds` may solve; 1 where products alone are known, because more would repeat what rounding left
    # in the columns
    rounds: int

    @classmethod
    def routes(cls, cosines: Array, factor: Array | None) -> tuple["UnitColumns", ...]:
        """What to try in turn: the gradients as they are, then with a ridge; without `factor` only the latter."""
        ridged = cls.of(cosines, factor)
        return (ridged,) if factor is None else (ridged._replace(ridge=0.0), ridged)

    @classmethod
    def of(cls, cosines: Array, factor: Array | None, ridge: float = _RIDGE) -> "UnitColumns":
        """From the factor of the Gramian where it is known, then with the `ridge` t; else from the cosines."""
        columns = root(cosines) if factor is None else factor / np.abs(factor).max(axis=0)
        columns = columns / np.sqrt(np.add.reduce(columns * columns))
        return cls(columns, _RIDGE_OF_PRODUCTS, 1) if factor is None else cls(columns, ridge, _ROUNDS)

    def stacked(self, *rows: Array) -> Array:
        """F over the ridge t I, with more rows in between."""
        return np.vstack([self.columns, *rows, self.ridge * np.eye(self.columns.shape[1])])

    def target(self, pulls: Array, *rows: float) -> Array:
        """The right-hand side that belongs to `stacked`: F pulls, the rows, zeros."""
        return np.concatenate([self.columns @ pulls, rows, np.zeros(len(pulls))])

    def status(self, pulls: Array) -> Status:
        """``RANK_DEFICIENT`` where the ridge, and not the gradients, holds the size of the pulls."""
        return Status.SOLVED if self.ridge * float(np.abs(pulls).max(initial=0.0)) <= _SEEN else Status.RANK_DEFICIENT

    def vector(self, pulls: Array) -> Array:
        """What `stacked` makes of the pulls: its length is never below that of the true combination."""
        return np.concatenate([self.columns @ pulls, self.ridge * pulls])


def nonnegative(matrix: Array, target: Array, start: Array) -> Pivoted:
    r"""Non-negative least squares by orthogonal factors.

    .. math:: \min_{x \ge 0} |A x - b|

    Lawson & Hanson's exchanges, A (m, k) of independent columns of size one; the positive entries of `start` are the
    first support. What is left of b is projected, not subtracted from b: then the conditions keep all digits even where
    x is large.

    Returns:
        x and its support. ``solved`` is false where the exchanges did not end, ``unique`` where the columns of the
        support nearly depend on each other: x is then known to less than seven digits of a direction.
    """
    k = matrix.shape[1]
    value = np.maximum(start, 0.0)
    basic, refused = value > 0, np.zeros(k, dtype=bool)
    for exchange in range(1, 6 * k + 20):
        value, left = _on_support(matrix, target, value)
        entered = basic & (value == 0)
        refused = (refused | entered) if entered.any() else np.zeros(k, dtype=bool)
        basic = value > 0
        pull = np.where(basic | refused, -np.inf, matrix.T @ left)
        best = int(np.argmax(pull))
        if not pull[best] > 4 * k * _EPS * float(np.sqrt(left @ left)):
            apart = not basic.any() or float(np.linalg.svd(matrix[:, basic], compute_uv=False)[-1]) >= _APART
            return Pivoted(value, basic, True, apart, exchange)
        value[best] = np.finfo(np.float64).tiny
        basic[best] = True
    return Pivoted(value, value > 0, False, False, exchange)


def by_rounds(columns: UnitColumns, matrix: Array, target: Array, start: Array) -> Pivoted:
    r"""Non-negative least squares in which the ridge holds back only what the gradients do not tell.

    .. math:: x_{j+1} = \arg\min_{x \ge 0} |A x - b|^2 + t^2 |x - x_j|^2, \qquad x_0 = 0

    `matrix` is A over t I, as `UnitColumns.stacked` returns it, and `target` b over zeros. Of the last x, ``unique`` is
    false where the ridge, and not the gradients, holds its size.
    """
    k = matrix.shape[1]
    found = nonnegative(matrix, target, start)
    moved, exchanges, target = found.value, found.exchanges, target.copy()
    for _ in range(columns.rounds - 1):
        if not found.solved or columns.ridge * float(np.abs(moved).max()) <= _STILL:
            break
        before = found.value
        target[-k:] = columns.ridge * before
        found = nonnegative(matrix, target, before)
        moved, exchanges = found.value - before, exchanges + found.exchanges
    held = columns.ridge * float(np.abs(moved).max()) > _SEEN
    return found._replace(unique=not held, exchanges=exchanges)


def _on_support(matrix: Array, target: Array, value: Array) -> tuple[Array, Array]:
    """The best x on the support of `value`, or on the part of it that stays positive on the way; and b - A x."""
    value = value.copy()
    while (value > 0).any():
        support = np.flatnonzero(value > 0)
        basis, triangle = np.linalg.qr(matrix[:, support])
        along = basis.T @ target
        wanted: Array = lapack().dtrtrs(triangle, along)[0]
        negative = wanted <= 0
        if not negative.any():
            value[support] = wanted
            left = target - basis @ along
            return value, left - basis @ (basis.T @ left)
        now = value[support]
        shares = np.where(negative, now / np.where(negative, now - wanted, 1.0), np.inf)
        first = float(shares.min())
        value[support] = np.where(shares <= first, 0.0, np.maximum(now + min(first, 1.0) * (wanted - now), 0.0))
    return value, target


def null_space(vectors: Array) -> Array:
    """Orthonormal columns that span what vectors of size one map to zero, to 2^-43: (k, r) for vectors (m, k)."""
    _, singular, rows = np.linalg.svd(vectors)
    rank = int(np.count_nonzero(singular > _NULL * singular[0]))
    null: Array = rows[rank:].T
    return null


class UnsquaredPath(NamedTuple):
    """The x(t) of min |A x - (t e - f)| over x >= 0: piecewise linear in t."""

    matrix: Array  # A, (m, k)
    rising: Array  # e, (m,)
    fixed: Array  # f, (m,)

    def line(self, basic: Mask) -> tuple[Array, Array] | None:
        """On a support: x(t) = t * first - second."""
        support = basic.nonzero()[0]
        if not len(support):
            return None
        basis, triangle = np.linalg.qr(self.matrix[:, support])
        first, second = np.zeros((2, len(basic)))
        first[support] = lapack().dtrtrs(triangle, basis.T @ self.rising)[0]
        second[support] = lapack().dtrtrs(triangle, basis.T @ self.fixed)[0]
        return first, second

    def search(self, level: Level, excess: Callable[[Array], float], low: float) -> Pivoted:
        """The x at the t that `level` asks for; ``solved`` tells whether it was found.

        The `excess` of an x rises along the path and is zero at the answer; at t = `low` x is zero.
        """
        width, high = max(1.0, abs(low)), np.inf
        t, start, proposer = low + width, np.zeros(self.matrix.shape[1]), None
        for _ in range(_SEARCH):
            found = nonnegative(self.matrix, t * self.rising - self.fixed, start)
            start = found.value
            if proposer is not None and (found.basic == proposer).all():
                return found
            if excess(found.value) > 0:
                high = t
            else:
                low = t
            if np.isfinite(high) and high - low <= 2 * _EPS * max(abs(low), abs(high)):
                return found
            line = self.line(found.basic)
            proposed, proposer = (None if line is None else level(*line)), None
            if proposed is not None and low < proposed < high:
                t, proposer = proposed, found.basic
            elif np.isfinite(high):
                t = 0.5 * (low + high)
            else:
                width *= 4
                t = low + width
        return found._replace(solved=False)
