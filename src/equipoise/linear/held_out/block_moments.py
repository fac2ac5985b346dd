"""Second moments of blocks of rows about one common point: every training part is a sum of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from ...core.numbers import Array
from .row_blocks import RowBlocks

__all__ = ["BlockMoments", "Part", "training_part"]

_ROUNDING = 1e-12
"""Variance below this share of the mean square about the common point is the rounding of a constant."""


@dataclass(frozen=True, eq=False)
class BlockMoments:
    """Sums of z z^T over each block, z = (1, x - s, y - s), with one common shift s: the columns' medians.

    A shift that is near the data keeps the digits of columns with a large mean; a median is not moved by a wild row. A
    training part is the sum of its own blocks, not the total less the others, which a wild row would cost digits.

    Attributes:
        products: (J, 1 + p + k, 1 + p + k) sums, a block each.
        inputs: Number of inputs p.
    """

    products: Array
    inputs: int

    @classmethod
    def of_rows(cls, X: Array, Y: Array, blocks: RowBlocks) -> BlockMoments:
        """One pass over the rows. Cost: n (p + k)^2 multiplications, J (1 + p + k)^2 numbers."""
        columns = 1 + X.shape[1] + Y.shape[1]
        products = np.empty((blocks.count, columns, columns))
        shifts = np.median(X, axis=0), np.median(Y, axis=0)
        for block in range(blocks.count):
            here = blocks.block == block
            rows = np.column_stack([np.ones(int(here.sum())), X[here] - shifts[0], Y[here] - shifts[1]])
            products[block] = rows.T @ rows
        return cls(products, X.shape[1])

    def summed(self, blocks: Iterable[int]) -> Array:
        """The sum over some blocks."""
        chosen = np.zeros(len(self.products))
        chosen[list(blocks)] = 1.0
        return np.asarray(np.tensordot(chosen, self.products, axes=1))

    def without(self, left_out: Iterable[int]) -> Array:
        """The sum over all other blocks."""
        return self.summed(set(range(len(self.products))) - set(left_out))


@dataclass(frozen=True, eq=False)
class Part:
    """A training part: its means and spreads, and its moments in units of them.

    Attributes:
        means: (p + k,) about the common shift.
        units: (p + k,) standard deviations; infinite for a constant input, which then carries nothing, and 1 for a
            constant target, of which then nothing is predicted.
        second: (p, p) C = X^T X / n, centred and in units of the spreads; with
        cross: (p, k) D = X^T Y / n and
        targets: (k, k) S = Y^T Y / n.
    """

    means: Array
    units: Array
    second: Array
    cross: Array
    targets: Array

    def measured(self, products: Array) -> tuple[Array, Array, Array]:
        """C, D and S of other rows, summed, about this part's means and in its units; from their `products`."""
        sums = products[0, 1:]
        about = products[1:, 1:] - np.outer(self.means, sums) - np.outer(sums, self.means)
        about += products[0, 0] * np.outer(self.means, self.means)
        about /= np.outer(self.units, self.units)
        inputs = len(self.second)
        return about[:inputs, :inputs], about[:inputs, inputs:], about[inputs:, inputs:]


def training_part(products: Array, inputs: int) -> Part:
    """The training part with these sums of products.

    Example:
        >>> z = np.array([[1.0, 0.0, 0.0], [1.0, 1.0, 2.0], [1.0, 2.0, 4.0]])
        >>> training_part(z.T @ z, 1).cross.round(9).tolist()
        [[1.0]]
    """
    rows = products[0, 0]
    means = products[0, 1:] / rows
    central = products[1:, 1:] / rows - np.outer(means, means)
    variance = central.diagonal().copy()
    constant = variance <= _ROUNDING * products.diagonal()[1:] / rows
    units = np.sqrt(np.where(constant, 1.0, variance))
    units[:inputs][constant[:inputs]] = np.inf
    central[constant] = central[:, constant] = 0.0
    central /= np.outer(units, units)
    return Part(means, units, central[:inputs, :inputs], central[:inputs, inputs:], central[inputs:, inputs:])
