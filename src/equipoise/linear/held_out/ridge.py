"""Ridge regression of all tasks on a training part, and its losses on other rows, from moments alone.

With B = (C + lambda I)^-1 D the penalised problem is the ordinary one of rows with lambda I added to them, so its
Gramian is G = D^T B and all that is known of (G, c, q) holds unchanged. A shared layer X W = Ŷ U with U^T G U = I has
the coefficients B U U^T G.
"""

from dataclasses import dataclass

import numpy as np
from scipy.linalg import solve

from ...core.numbers import Array
from .block_moments import Part
from .equal_weights import EqualWeights, Tested

__all__ = ["PENALTIES", "Ridge", "path_errors", "ridge"]

PENALTIES: Array = 10.0 ** np.arange(-5, 3.25, 0.5)
"""Penalties tried, for inputs in units of their standard deviations and moments divided by the rows."""


@dataclass(frozen=True, eq=False)
class Ridge:
    """The separate models of a training part under one penalty.

    Attributes:
        part: The training part.
        coefficients: (p, k) B, for inputs and targets in the part's units.
        gramian: (k, k) G = D^T B.
        unexplained: (k,) diag(S - G), never below 0.
    """

    part: Part
    coefficients: Array
    gramian: Array
    unexplained: Array

    def tested(self, products: Array) -> Tested:
        """Sums over other rows of p p^T, p y^T (k, k) and y^2 (k,): predictions p and targets y in this part's units.

        Every model of a shared layer predicts combinations of p, so these are all that its losses need.
        """
        second, cross, targets = self.part.measured(products)
        B = self.coefficients
        return B.T @ second @ B, B.T @ cross, targets.diagonal()

    def errors(self, tested: Tested, mix: Array | None = None) -> Array:
        """(k,) sums of squared errors, in the targets' own units squared, of the predictions p @ mix.

        `mix` (k, k) is U U^T G of a shared layer; None for the separate models.
        """
        second, cross, squares = tested
        if mix is None:
            mix = np.eye(len(squares))
        return self.in_own_units(squares - 2 * np.sum(mix * cross, axis=0) + np.sum(mix * (second @ mix), axis=0))

    def in_own_units(self, errors: Array) -> Array:
        """Sums of squared errors (..., k) in the targets' own units squared; below 0 they are rounding."""
        return np.asarray(np.maximum(errors, 0.0) * self.part.units[len(self.coefficients) :] ** 2)


def ridge(part: Part, penalty: float) -> Ridge:
    """The separate models under a penalty above 0. Cost O(p^3 / 3)."""
    B = solve(part.second + penalty * np.eye(len(part.second)), part.cross, assume_a="pos")
    gramian = part.cross.T @ B
    gramian = (gramian + gramian.T) / 2
    return Ridge(part, B, gramian, np.maximum(part.targets.diagonal() - gramian.diagonal(), 0.0))


def path_errors(part: Part, products: list[Array]) -> list[Array]:
    """Sums of squared errors (penalties, k, k) on each set of other rows under equal weights, for all `PENALTIES`.

    The second axis is the shared width, 1 to k; at k they are the separate models'. One eigen-decomposition of the
    inputs serves all penalties. Cost O(p^3).
    """
    values, vectors = np.linalg.eigh(part.second)
    shrunk = 1.0 / (np.maximum(values, 0.0) + PENALTIES[:, None])
    turned_cross = vectors.T @ part.cross
    B = shrunk[:, :, None] * turned_cross
    units = part.units[len(part.second) :]
    gramian = turned_cross.T @ B
    equal = EqualWeights.of((gramian + np.swapaxes(gramian, 1, 2)) / 2)
    found = []
    for rows in products:
        second, cross, targets = part.measured(rows)
        flat = np.swapaxes(B, 1, 2)
        tested = flat @ np.matmul(vectors.T @ second @ vectors, B), flat @ (vectors.T @ cross), targets.diagonal()
        found.append(np.maximum(equal.errors(tested), 0.0) * units**2)
    return found
