"""Non-negative least squares for many right-hand sides with one matrix: the kernel of the cone and simplex problems."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..core.numbers import Array
from .lapack import lapack

__all__ = ["Complementarity", "Pivoted", "solve_positive"]

_EPS = float(np.finfo(np.float64).eps)
_TOGETHER = 40  # up to this size all right-hand sides are pivoted in one batch
_ROUNDS = 12  # of the batch; what is open then goes on alone
_LARGE = 1e5  # a solution with a larger sum was made by rounding in a singular block: solved again by Lawson-Hanson

Mask = NDArray[np.bool_]


class Pivoted(NamedTuple):
    """A solved problem."""

    value: Array  # z, (k,), non-negative
    basic: Mask  # which entries of z are free: the support
    solved: bool  # whether the conditions hold to rounding
    # whether z is the only solution: its support's block is far from singular and no condition outside is tight
    unique: bool
    exchanges: int  # linear systems that were solved


def solve_positive(block: Array, right: Array) -> tuple[Array, float] | None:
    """The solution of a positive definite system whose entries are of size one, and its smallest pivot.

    None where the block is singular to rounding.
    """
    triangle, solution, failed = lapack().dposv(block, right, lower=1)
    if failed:
        return None
    pivot = min(triangle.diagonal().tolist()) ** 2
    if pivot < 8 * len(block) * _EPS:
        return None
    return solution, pivot


class Complementarity:
    r"""Solves the problems with one matrix M = A^T A, its diagonal of size one, and any q in its range.

    .. math:: z \ge 0, \qquad w = M z + q \ge 0, \qquad z^\top w = 0

    that is :math:`\min_{z \ge 0} \tfrac12 z^\top M z + q^\top z`. Block principal pivoting: guess the support, solve
    its system, exchange every entry with the wrong sign; if the number of those does not fall, exchange one at a
    time. Exact on the support that it ends with; finite in exact arithmetic for nonsingular M. A singular block, or
    too many exchanges, hands the right-hand side to Lawson & Hanson's method on a pivoted Cholesky factor of M.

    Cost:
        O(|support|^3) an exchange, usually 2 to 6 exchanges.

    Source:
        Portugal, Judice & Vicente (1994), Mathematics of Computation 63; Lawson & Hanson (1974), ch. 23.

    Example:
        >>> Complementarity(np.array([[1.0, 0.5], [0.5, 1.0]])).solve(np.array([-1.0, 1.0])).value
        array([1., 0.])
    """

    def __init__(self, matrix: Array) -> None:
        self.matrix = matrix
        self._noise = 8 * len(matrix) * _EPS
        self._factored: tuple[Array, NDArray[np.int32], int] | None = None

    def _cholesky(self) -> tuple[Array, NDArray[np.int32], int]:
        if self._factored is None:
            factor, order, rank, _ = lapack().dpstrf(self.matrix, tol=self._noise)
            self._factored = factor, order, int(rank)
        return self._factored

    def factored(self) -> tuple[Array, NDArray[np.intp], int]:
        """Pivoted Cholesky: upper U (k, k), order, rank r: ``M[order][:, order] = U[:r].T @ U[:r]`` to rounding."""
        factor, order, rank = self._cholesky()
        upper: Array = np.triu(factor)
        upper[rank:] = 0.0
        return upper, order[: len(upper)].astype(np.intp) - 1, rank

    @property
    def smallest_pivot(self) -> float:
        """The last pivot of the Cholesky factor, at least the smallest eigenvalue; 0 where M is singular."""
        factor, _, rank = self._cholesky()
        return float(factor[-1, -1]) ** 2 if rank == len(factor) else 0.0

    @property
    def full_rank(self) -> bool:
        """Whether M is nonsingular beyond rounding."""
        return self._cholesky()[2] == len(self.matrix)

    def solve(self, offset: Array, start: Mask | None = None) -> Pivoted:
        """The solution for one q, known to rounding of terms of size one; unsolved only if every route failed.

        The first guess of the support is `start`, by default where q is negative.
        """
        basic = offset < 0 if start is None else start
        found = self._pivot(offset, basic)
        return self._lawson_hanson(offset) if found is None else found

    def solve_many(self, offsets: Array) -> tuple[Array, bool, bool, int]:
        """The solutions (m, k) for q in the rows of `offsets`; whether all are solved, and unique; systems solved."""
        m, k = offsets.shape
        if m == 1:
            found = self.solve(offsets[0])
            return found.value[None, :], found.solved, found.unique, found.exchanges
        values, open_rows, unique, exchanges = np.empty((m, k)), np.arange(m), True, 0
        if k <= _TOGETHER:
            values, open_rows, unique, exchanges = self._pivot_together(offsets)
        solved = True
        for row in open_rows:
            found = self.solve(offsets[row])
            values[row] = found.value
            solved, unique, exchanges = solved and found.solved, unique and found.unique, exchanges + found.exchanges
        return values, solved, unique, exchanges

    def _pivot(self, offset: Array, basic: Mask) -> Pivoted | None:
        k = len(offset)
        fewest, patience = k + 1, 3
        largest = max(float(np.maximum.reduce(np.abs(offset))), 1.0)
        for exchange in range(1, 20 + 3 * k):
            support = basic.nonzero()[0]
            value = np.zeros(k)
            if len(support) == k:
                system = solve_positive(self.matrix, -offset)
            elif len(support):
                block = self.matrix.take(support, 0).take(support, 1)
                system = solve_positive(block, -offset[support])
            else:
                system = support.astype(np.float64), 1.0
            if system is None:
                return None
            value[support] = system[0]
            slack = self.matrix @ value + offset
            size = float(np.add.reduce(np.abs(system[0])))
            noise = self._noise * (largest + size)
            wrong = np.where(basic, value < 0, slack < -noise)
            count = int(np.count_nonzero(wrong))
            if not count:
                if size > _LARGE * largest and system[1] < 1e-9:
                    return None
                unique = self._factored is not None and self.full_rank  # asked first where the factor is at hand
                unique = unique or not np.count_nonzero(slack[~basic] <= noise) or self.full_rank
                return Pivoted(value, basic, True, unique, exchange)
            if count < fewest:
                fewest, patience = count, 3
            elif patience:
                patience -= 1
            else:
                wrong[: wrong.nonzero()[0][-1]] = False
            basic = basic ^ wrong
        return None

    def _pivot_together(self, offsets: Array) -> tuple[Array, NDArray[np.intp], bool, int]:
        """Full exchanges for all rows at once; returns as well the rows that are still open."""
        m, k = offsets.shape
        basic = offsets < 0
        identity = np.eye(k)
        largest = np.maximum(np.abs(offsets).max(axis=1), 1.0)
        for exchange in range(1, _ROUNDS + 1):
            # every support at once: identity outside of it keeps the systems one size
            systems = np.where(basic[:, :, None] & basic[:, None, :], self.matrix, identity)
            try:
                values = np.linalg.solve(systems, np.where(basic, -offsets, 0.0)[:, :, None])[:, :, 0]
            except np.linalg.LinAlgError:
                return np.empty((m, k)), np.arange(m), True, m * exchange
            slacks = values @ self.matrix + offsets
            sizes = np.abs(values).sum(axis=1)
            noise = (self._noise * (largest + sizes))[:, None]
            wrong = np.where(basic, values < 0, slacks < -noise)
            if not wrong.any():
                break
            basic = basic ^ wrong
        misses = (np.abs(slacks) > noise) & basic  # a singular block was solved to nothing
        bad = (wrong | misses).any(axis=1) | (sizes > _LARGE * largest)
        unique = self.full_rank or self._strict(basic[~bad], (slacks > noise)[~bad])
        return values, np.flatnonzero(bad), unique, m * exchange

    def _strict(self, basic: Mask, slack: Mask) -> bool:
        """Whether each support has a regular block and no condition outside of it is tight."""
        return bool((basic | slack).all()) and all(self._regular(np.flatnonzero(row)) for row in basic)

    def _regular(self, support: NDArray[np.intp]) -> bool:
        block = self.matrix.take(support, 0).take(support, 1)
        return not len(support) or solve_positive(block, np.zeros(len(support))) is not None

    def _lawson_hanson(self, offset: Array) -> Pivoted:
        from scipy.optimize import nnls  # noqa: PLC0415 - slow to import, and hardly ever needed

        upper, order, rank = self.factored()
        k = len(offset)
        target, _ = lapack().dtrtrs(upper[:rank, :rank], -offset[order[:rank]], trans=1)
        value = np.zeros(k)
        try:
            value[order], _ = nnls(upper[:rank], target, maxiter=30 * k)
        except RuntimeError:  # SciPy's word for its iteration limit
            return Pivoted(value, value > 0, False, False, 30 * k)
        basic = value > 0
        polished = self._pivot_once(offset, basic)
        if polished is not None:
            return polished
        slack = self.matrix @ value + offset
        noise = 1e3 * self._noise * (max(float(np.abs(offset).max()), 1.0) + float(value.sum()))
        solved = bool((slack >= -noise).all() and (np.abs(slack[basic]) <= noise).all())
        return Pivoted(value, basic, solved, False, int(basic.sum()))

    def _pivot_once(self, offset: Array, basic: Mask) -> Pivoted | None:
        """The support's system solved directly, kept where it satisfies every condition."""
        support = basic.nonzero()[0]
        if not len(support):
            return None
        system = solve_positive(self.matrix.take(support, 0).take(support, 1), -offset[support])
        if system is None or (system[0] < 0).any():
            return None
        value = np.zeros(len(offset))
        value[support] = system[0]
        slack = self.matrix @ value + offset
        noise = self._noise * (max(float(np.abs(offset).max()), 1.0) + float(value.sum()))
        if (slack < -noise).any():
            return None
        outside = slack[~basic]
        unique = not len(outside) or float(outside.min()) > noise
        return Pivoted(value, basic, True, unique, len(support))
