"""The common form of every balance problem of a linear model: keep the worst of k scaled residuals small.

With the predictions' correlation matrix C = A^T A (columns a_i of length one, r rows) and a projection P of rank q,

    level_i(P) = (need_i - a_i^T P a_i) / pace_i,        worst(P) = max_i level_i(P),

where need_i = (G_ii - ideal_i) / G_ii, pace_i = 1 / (weights_i G_ii) times a common unit which makes the worst
level of the empty projection 1. Dividing task i by its own G_ii first makes everything that follows independent of
the tasks' units. Projections are held as matrices U (r, q) with orthonormal columns, P = U U^T.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...core.numbers import Array
from ..problem.gramian import factor

__all__ = ["Array", "Index", "MinMax", "spread", "unit_factor"]

Index = NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class MinMax:
    """A problem min over projections of rank at most `width` of the worst level; see the module."""

    factor: Array  # A, shape (r, k), unit columns
    need: Array  # (k,) captured shares at which the levels are 0; at least 1 where the ideal is attainable or beyond
    pace: Array  # (k,) positive: how much captured share lowers the level by one
    width: int  # width q, below r

    @property
    def rank(self) -> int:
        """r, the dimension of the span of all predictions."""
        return int(self.factor.shape[0])

    @property
    def tasks(self) -> int:
        """Number of tasks, k."""
        return int(self.factor.shape[1])

    def captured(self, basis: Array) -> Array:
        """Share of each task's predictable part that U = `basis` (r, q) keeps: a_i^T U U^T a_i."""
        return np.asarray(np.sum((basis.T @ self.factor) ** 2, axis=0), dtype=np.float64)

    def levels(self, captured: Array) -> Array:
        """Levels for captured shares (..., k)."""
        return np.asarray((self.need - captured) / self.pace, dtype=np.float64)

    def worst(self, basis: Array) -> float:
        """The worst level of U = `basis` (r, q)."""
        return float(np.max(self.levels(self.captured(basis))))

    def energy(self, weights: Array) -> Array:
        """A diag(weights) A^T, shape (r, r)."""
        return np.asarray((self.factor * weights) @ self.factor.T, dtype=np.float64)

    def top(self, weights: Array) -> tuple[Array, Array]:
        """Optimum of the weighted sum: the `width` top eigenvectors of the energy, and all eigenvalues, falling."""
        values, vectors = np.linalg.eigh(self.energy(weights))
        return vectors[:, ::-1][:, : self.width], values[::-1]

    def bound(self, weights: Array) -> float:
        """Proven lower bound of the worst level over projections and their mixtures, from weights >= 0.

        By duality, with w scaled so that w.pace = 1: w.need less the q largest eigenvalues of A diag(w) A^T.
        """
        total = float(weights @ self.pace)
        if not total > 0:
            return -np.inf
        scaled = weights / total
        values = np.linalg.eigvalsh(self.energy(scaled))
        return float(scaled @ self.need - np.sum(values[-self.width :]))


def unit_factor(gramian: Array) -> tuple[Array, Array]:
    """A (r, k) with unit columns and A^T A the correlations, and its map back (k, r): see `gramian.factor`.

    With U (r, q) orthonormal, directions = back @ U has directions^T G directions = identity. Every task must have
    energy.

    Example:
        >>> unit_factor(np.array([[4.0, 0.0], [0.0, 1.0]]))[0].shape
        (2, 2)
    """
    forward, back = factor(gramian)
    return np.asarray(forward / np.linalg.norm(forward, axis=0), dtype=np.float64), back


def spread(back: Array, basis: Array, index: Index, tasks: int) -> Array:
    """(k, q) directions back @ basis of the tasks at `index`, with rows of 0 for the other tasks.

    Example:
        >>> spread(np.eye(1), np.ones((1, 1)), np.array([1]), 2).tolist()
        [[0.0], [1.0]]
    """
    directions = np.zeros((tasks, basis.shape[1]))
    directions[index] = back @ basis
    return directions
