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

    def tested(self, products: Array) -> tuple[Array, Array, Array]:
        """Sums over other rows of p p^T, p y^T (k, k) and y^2 (k,): predictions p and targets y in this part's units.

        Every model of a shared layer predicts combinations of p, so these are all that its losses need.
        """
        second, cross, targets = self.part.measured(products)
        B = self.coefficients
        return B.T @ second @ B, B.T @ cross, targets.diagonal()

    def errors(self, tested: tuple[Array, Array, Array], mix: Array | None = None) -> Array:
        """(k,) sums of squared errors, in the targets' own units squared, of the predictions p @ mix.

        `mix` (k, k) is U U^T G of a shared layer; None for the separate models.
        """
        second, cross, squares = tested
        units = self.part.units[len(self.coefficients) :]
        if mix is None:
            mix = np.eye(len(squares))
        errors = squares - 2 * np.sum(mix * cross, axis=0) + np.sum(mix * (second @ mix), axis=0)
        return np.asarray(np.maximum(errors, 0.0) * units**2)


def ridge(part: Part, penalty: float) -> Ridge:
    """The separate models under a penalty above 0. Cost O(p^3 / 3)."""
    B = solve(part.second + penalty * np.eye(len(part.second)), part.cross, assume_a="pos")
    gramian = part.cross.T @ B
    gramian = (gramian + gramian.T) / 2
    return Ridge(part, B, gramian, np.maximum(part.targets.diagonal() - gramian.diagonal(), 0.0))


def path_errors(part: Part, products: list[Array]) -> list[Array]:
    """Sums of squared errors (penalties, k) of the separate models on each set of other rows, for all `PENALTIES`.

    One eigen-decomposition serves all penalties. Cost O(p^3).
    """
    values, vectors = np.linalg.eigh(part.second)
    shrunk = 1.0 / (np.maximum(values, 0.0) + PENALTIES[:, None])
    B = shrunk[:, :, None] * (vectors.T @ part.cross)
    units = part.units[len(part.second) :]
    found = []
    for rows in products:
        second, cross, targets = part.measured(rows)
        turned = np.matmul(vectors.T @ second @ vectors, B)
        errors = targets.diagonal() - 2 * np.sum(B * (vectors.T @ cross), axis=1) + np.sum(B * turned, axis=1)
        found.append(np.maximum(errors, 0.0) * units**2)
    return found
