"""Two bowls around opposite corners: a convex front, and a concave one."""

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from torch import Tensor

from ..core.numbers import Array
from .formula import FormulaProblem, whole

__all__ = ["Exponential", "Quadratic"]


@dataclass(frozen=True)
class _TwoBowls(FormulaProblem):
    n: int = 10

    def __post_init__(self) -> None:
        whole(self, n=(self.n, 1))

    @property
    def parameters(self) -> int:
        return self.n

    @property
    def lower(self) -> Array:
        return np.full(self.n, -1.0)

    def _distances(self, points: Tensor) -> Tensor:
        """(K, 2): squared distances from (1, ..., 1) / sqrt(n) and from its opposite, from three sums."""
        total, square = points.sum(dim=1, keepdim=True), points.square().sum(dim=1, keepdim=True)
        step = total.new_tensor([[-2.0, 2.0]]) / math.sqrt(self.n)
        return square + step * total + 1.0

    @staticmethod
    def _along(size: int) -> Array:
        """Squared distances from both centres on the segment between them, (size, 2)."""
        share = np.linspace(0.0, 1.0, size)
        return np.asarray(4 * np.stack([share, 1 - share], axis=1) ** 2)


@dataclass(frozen=True)
class Quadratic(_TwoBowls):
    r"""Squared distances from two centres; the front is convex.

    .. math:: f_{1,2} = \tfrac14 \| x \mp \mathbf 1 / \sqrt n \|^2, \quad x \in [-1, 1]^n; \qquad
              \sqrt{f_1} + \sqrt{f_2} = 1

    The hypervolume below (1.1, 1.1) is 1.21 - 1/6.

    Args:
        n: Number of parameters, at least 1.

    Example:
        >>> Quadratic().front(3).tolist()
        [[0.0, 1.0], [0.25, 0.25], [1.0, 0.0]]
    """

    key: ClassVar[str] = "quad"
    source: ClassVar[str] = "Van Veldhuizen (1999), scaled"

    def evaluate(self, points: Tensor) -> Tensor:
        return self._distances(points) / 4

    def front(self, size: int = 1001) -> Array:
        return self._along(size) / 4


@dataclass(frozen=True)
class Exponential(_TwoBowls):
    r"""One minus a Gaussian around each of two centres; the front is concave.

    .. math:: f_{1,2} = 1 - \exp(-\| x \mp \mathbf 1 / \sqrt n \|^2), \quad x \in [-1, 1]^n; \qquad
              \sqrt{-\ln(1 - f_1)} + \sqrt{-\ln(1 - f_2)} = 2

    Any weighted sum has its minima at the two ends only. The hypervolume below (1.1, 1.1) is 0.552113.

    Args:
        n: Number of parameters, at least 1.

    Example:
        >>> Exponential().front(3).round(4).tolist()
        [[0.0, 0.9817], [0.6321, 0.6321], [0.9817, 0.0]]
    """

    key: ClassVar[str] = "expo"
    source: ClassVar[str] = "Fonseca & Fleming (1995)"

    def evaluate(self, points: Tensor) -> Tensor:
        return -(-self._distances(points)).expm1()

    def front(self, size: int = 1001) -> Array:
        return np.asarray(-np.expm1(-self._along(size)))
