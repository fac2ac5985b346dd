r"""Gradients at the features kept as products of two factors.

A head that begins with :math:`Y = Z W` (Z the features, N by d; W of d by width) sends back :math:`C W^\top`, where C
is the gradient at Y, N by width. For heads s and t

.. math:: \langle C_s W_s^\top, C_t W_t^\top \rangle = \langle C_s^\top C_t, W_s^\top W_t \rangle ,

and :math:`\sum_t w_t C_t W_t^\top` is one product of the factors side by side. With narrow heads both cost next to
nothing, whatever the number of tasks.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .dense import Jacobian

__all__ = ["FactoredRows", "Factors"]

_CANCELLED = 1e-6  # of the sum of absolute values: ten of float64's sixteen digits are left


@dataclass(frozen=True, eq=False)
class Factors:
    """Gradients of all heads at one feature tensor, as factors side by side.

    Attributes:
        gradients: (N, K) factors C of the heads; K is the sum of their widths.
        weights: (K, d) transposed factors W of the heads.
        owner: (K,) task number of each column, on the CPU.
    """

    gradients: Tensor
    weights: Tensor
    owner: Tensor

    def of(self, columns: Tensor, owner: Tensor) -> "Factors":
        """Some of the columns, under new task numbers."""
        here = columns.to(self.weights.device)
        return Factors(self.gradients.index_select(1, here), self.weights.index_select(0, here), owner)


@dataclass(frozen=True, eq=False)
class FactoredRows:
    """Gradients of k losses at the features, each a product.

    Attributes:
        parameters: Tensors between trunk and heads.
        factors: One entry per feature tensor; None where no head uses it.
        count: Number k of tasks.
    """

    parameters: Sequence[Tensor]
    factors: Sequence[Factors | None]
    count: int

    def gramian(self) -> Tensor:
        """(k, k) inner products of the rows, float64 throughout.

        Cost: K² (N + d) multiply-adds. Rows are formed where heads are so wide that k² N d / 2 is less, or where the
        products of a head's columns cancel to less than a thousandth.
        """
        total = torch.zeros(self.count, self.count, dtype=torch.float64, device=self.parameters[0].device)
        for number, (feature, factors) in enumerate(zip(self.parameters, self.factors, strict=True)):
            if factors is None:
                continue
            found = self._products(factors)
            if found is None:
                blocks = [[self.block(task, number)] for task in range(self.count)]
                found = Jacobian([feature], blocks).gramian()
            total += found.to(total.device)
        return (total + total.T) / 2

    def _products(self, factors: Factors) -> Tensor | None:
        """(k, k) products of one feature tensor; None where forming the rows is cheaper or more exact."""
        (rows, width), fan_in = factors.gradients.shape, factors.weights.shape[1]
        if 2 * width**2 * (rows + fan_in) > self.count**2 * rows * fan_in:
            return None
        left, right, owner = factors.gradients.double(), factors.weights.double(), factors.owner
        products = (left.T @ left) * (right @ right.T)
        if owner.tolist() == list(range(self.count)):  # a column for each task
            return products
        owner = owner.to(left.device)
        inside = products * (owner[:, None] == owner)
        squares, sizes = (
            products.new_zeros(self.count).index_add_(0, owner, part.sum(dim=1)) for part in (inside, inside.abs())
        )
        if bool((squares < _CANCELLED * sizes).any()):  # as with two columns that differ only in sign
            return None
        halved = products.new_zeros(self.count, width).index_add_(0, owner, products)
        return products.new_zeros(self.count, self.count).index_add_(1, owner, halved)

    def combine(self, weights: Tensor) -> list[Tensor | None]:
        """The weighted sum of the rows, of each feature's shape and type; None where no head uses the feature."""
        found: list[Tensor | None] = []
        for feature, factors in zip(self.parameters, self.factors, strict=True):
            if factors is None:
                found.append(None)
                continue
            wide = torch.promote_types(feature.dtype, torch.float32)
            scales = weights.to(factors.weights.device)[factors.owner].to(wide)
            found.append(_multiplied(factors.gradients.to(wide) * scales, factors.weights.to(wide), feature))
        return found

    def block(self, task: int, number: int) -> Tensor | None:
        """One task's gradient at one feature tensor, formed."""
        factors = self.factors[number]
        columns = [] if factors is None else torch.nonzero(factors.owner == task).ravel().tolist()
        if factors is None or not columns:
            return None
        first, last = columns[0], columns[-1] + 1
        if last - first == len(columns):  # columns of a task lie together unless heads were found out of order
            return _multiplied(factors.gradients[:, first:last], factors.weights[first:last], self.parameters[number])
        chosen = factors.of(torch.tensor(columns), factors.owner[columns])
        return _multiplied(chosen.gradients, chosen.weights, self.parameters[number])

    def formed(self) -> list[list[Tensor | None]]:
        """All rows, formed: k lists of one gradient per feature tensor."""
        return [[self.block(task, number) for number in range(len(self.factors))] for task in range(self.count)]

    def reaching(self) -> list[set[int]]:
        """For each feature tensor the tasks that use it."""
        return [set() if factors is None else set(factors.owner.tolist()) for factors in self.factors]

    def touched(self, number: int) -> tuple[Tensor, Tensor] | None:
        """Rows of one feature tensor with a gradient, and the task of each; None where no head uses it."""
        factors = self.factors[number]
        if factors is None:
            return None
        everywhere = ~torch.isfinite(factors.weights).all(dim=1)  # zero times inf is NaN
        places, columns = ((factors.gradients != 0) | everywhere).nonzero(as_tuple=True)
        return places, factors.owner.to(columns.device)[columns]

    def total(self, number: int) -> Tensor | None:
        """The sum of all tasks' gradients at one feature tensor."""
        factors = self.factors[number]
        return None if factors is None else _multiplied(factors.gradients, factors.weights, self.parameters[number])

    def only(self, rows: Sequence[int]) -> "FactoredRows":
        """Some of the rows."""
        place = torch.full((self.count,), -1, dtype=torch.int64)
        place[list(rows)] = torch.arange(len(rows))
        kept: list[Factors | None] = []
        for factors in self.factors:
            columns = None if factors is None else torch.nonzero(place[factors.owner] >= 0).ravel()
            if factors is None or columns is None or not len(columns):
                kept.append(None)
            else:
                kept.append(factors.of(columns, place[factors.owner[columns]]))
        return FactoredRows(self.parameters, kept, len(rows))

    def nonfinite(self, row: int) -> tuple[Tensor, int, int] | None:
        """The first feature at which a row holds NaN or inf, the count of such values, and its size."""
        return Jacobian(self.parameters, [[self.block(row, number) for number in range(len(self.factors))]]).nonfinite(
            0
        )


def _multiplied(gradients: Tensor, weights: Tensor, feature: Tensor) -> Tensor:
    return (gradients @ weights).to(feature.dtype).reshape(feature.shape)
