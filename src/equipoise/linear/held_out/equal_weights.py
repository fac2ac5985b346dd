"""Losses on other rows of layers that are trained with equal weights: of all tasks at every width, and of every pair.

With eigenvectors V of the Gramian, largest eigenvalue first, the layer of width q predicts P V_q V_q^T from the
separate models' predictions P (Baldi and Hornik, 1989). For two tasks that is one angle, so no search and no matrix is
needed: every pair of tasks costs a few numbers.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...core.numbers import Array
from ..problem.gramian import effective_rank

__all__ = ["EqualWeights", "Tested", "shared_widths"]

Tested = tuple[Array, Array, Array]
"""Sums over rows of p p^T (k, k), p y^T (k, k) and y^2 (k,), of predictions p and targets y."""


@dataclass(frozen=True, eq=False)
class EqualWeights:
    """The layers of one Gramian under equal weights; leading axes hold several Gramians.

    Attributes:
        vectors: (..., k, k) eigenvectors, largest eigenvalue first.
        kept: (..., k, k) in [i, j] the factor of task i's own prediction where j is the only other task of a layer of
            width 1, with
        taken: (..., k, k) that of task j's prediction.
    """

    vectors: Array
    kept: Array
    taken: Array

    @classmethod
    def of(cls, gramian: Array) -> EqualWeights:
        """The layers of Gramians (..., k, k). Cost O(k^3)."""
        own = np.diagonal(gramian, axis1=-2, axis2=-1)
        angle = np.arctan2(2 * gramian, own[..., :, None] - own[..., None, :]) / 2
        cosine, sine = np.cos(angle), np.sin(angle)
        return cls(np.linalg.eigh(gramian)[1][..., ::-1], cosine**2, cosine * sine)

    def errors(self, tested: Tested) -> Array:
        """(..., k, k) sums of squared errors, in row q - 1 those of all tasks at width q; the last: separate models."""
        second, cross, squares = tested
        turned = np.swapaxes(self.vectors, -1, -2)
        linear = np.cumsum(turned * (turned @ cross), axis=-2)
        square = np.einsum("...ij,...jl,...il->...ijl", self.vectors, turned @ second @ self.vectors, self.vectors)
        square = np.diagonal(np.cumsum(np.cumsum(square, axis=-1), axis=-2), axis1=-2, axis2=-1)
        return np.asarray(squares[..., None, :] - 2 * linear + np.swapaxes(square, -1, -2))

    def pairs(self, tested: Tested) -> Array:
        """(k, k) sums of squared errors, in [i, j] those of task i where it shares a layer of width 1 with j alone.

        The diagonal holds the separate models'. Two tasks of one energy whose predictions are uncorrelated tie: each
        then keeps its own.
        """
        second, cross, squares = tested
        kept, taken = self.kept.copy(), self.taken.copy()
        np.fill_diagonal(kept, 1.0)
        np.fill_diagonal(taken, 0.0)
        own = second.diagonal()
        linear = kept * cross.diagonal()[:, None] + taken * cross.T
        square = kept**2 * own[:, None] + 2 * kept * taken * second + taken**2 * own
        return np.asarray(squares[:, None] - 2 * linear + square)


def shared_widths(gramian: Array) -> range:
    """The widths at which something is shared and something traded: 1 to one below the rank, and 1 in any case.

    Example:
        >>> list(shared_widths(np.eye(4))), list(shared_widths(np.ones((2, 2))))
        ([1, 2, 3], [1])
    """
    return range(1, max(effective_rank(gramian), 2))
