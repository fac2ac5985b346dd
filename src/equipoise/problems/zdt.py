"""The ZDT problems: one loss is a coordinate, the other a front times a distance from it."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from ..core.numbers import Array
from .formula import FormulaProblem, root, whole

__all__ = ["ZDT1", "ZDT2", "ZDT3", "ZDT4", "ZDT6"]


@dataclass(frozen=True)
class _ZDT(FormulaProblem):
    source: ClassVar[str] = "Zitzler, Deb & Thiele (2000)"

    n: int = 30

    def __post_init__(self) -> None:
        whole(self, n=(self.n, 2))

    @property
    def parameters(self) -> int:
        return self.n

    def evaluate(self, points: Tensor) -> Tensor:
        first, distance = self._first(points), self._distance(points[:, 1:])
        return torch.stack([first, self._second(first, distance)], dim=1)

    def _first(self, points: Tensor) -> Tensor:
        return points[:, 0]

    def _distance(self, others: Tensor) -> Tensor:
        """g, 1 on the front."""
        return 1 + 9 * others.mean(dim=1)

    def _second(self, first: Tensor, distance: Tensor) -> Tensor:
        raise NotImplementedError

    def _ends(self) -> tuple[tuple[float, float], ...]:
        """The pieces of the front, in the first loss."""
        return ((0.0, 1.0),)

    def front(self, size: int = 1001) -> Array:
        ends = self._ends()
        total = sum(high - low for low, high in ends)
        pieces = [np.linspace(low, high, max(2, round(size * (high - low) / total))) for low, high in ends]
        first = torch.from_numpy(np.concatenate(pieces))
        found = torch.stack([first, self._second(first, torch.ones_like(first))], dim=1)
        return np.asarray(found.numpy())


@dataclass(frozen=True)
class ZDT1(_ZDT):
    r"""A convex front.

    .. math:: f_1 = x_1, \quad f_2 = g\,(1 - \sqrt{f_1 / g}), \quad g = 1 + \tfrac{9}{n-1} \sum_{i>1} x_i,
              \quad x \in [0, 1]^n; \qquad f_2 = 1 - \sqrt{f_1}

    Args:
        n: Number of parameters, at least 2.

    Example:
        >>> ZDT1().losses([0.25] + 29 * [0.0]).tolist()
        [0.25, 0.5]
    """

    key: ClassVar[str] = "zdt1"

    def _second(self, first: Tensor, distance: Tensor) -> Tensor:
        return distance - root(first * distance)


@dataclass(frozen=True)
class ZDT2(_ZDT):
    r"""A concave front: as `ZDT1` with :math:`f_2 = g\,(1 - (f_1 / g)^2)`; the front is :math:`f_2 = 1 - f_1^2`.

    Args:
        n: Number of parameters, at least 2.

    Example:
        >>> ZDT2().losses([0.5] + 29 * [0.0]).tolist()
        [0.5, 0.75]
    """

    key: ClassVar[str] = "zdt2"

    def _second(self, first: Tensor, distance: Tensor) -> Tensor:
        return distance - first.square() / distance


@dataclass(frozen=True)
class ZDT3(_ZDT):
    r"""A front in five pieces: :math:`f_2 = g\,(1 - \sqrt{f_1/g} - (f_1/g) \sin 10 \pi f_1)`, the rest as `ZDT1`.

    The ends of the pieces are known to seven digits.

    Args:
        n: Number of parameters, at least 2.

    Example:
        >>> front = ZDT3().front()
        >>> front.min(axis=0).round(4).tolist(), int((np.diff(front[:, 0]) > 0.05).sum())
        ([0.0, -0.7734], 4)
    """

    key: ClassVar[str] = "zdt3"

    def _second(self, first: Tensor, distance: Tensor) -> Tensor:
        return distance - root(first * distance) - first * torch.sin(10 * torch.pi * first)

    def _ends(self) -> tuple[tuple[float, float], ...]:
        return (
            (0.0, 0.0830015349),
            (0.1822287280, 0.2577623634),
            (0.4093136748, 0.4538821041),
            (0.6183967944, 0.6525117038),
            (0.8233317983, 0.8518328654),
        )


@dataclass(frozen=True)
class ZDT4(_ZDT):
    r"""`ZDT1` behind :math:`21^{n-1}` local fronts: gradients end in one of them.

    .. math:: g = 1 + 10 (n - 1) + \sum_{i>1} (x_i^2 - 10 \cos 4 \pi x_i), \quad x_1 \in [0, 1],\; x_i \in [-5, 5]

    Args:
        n: Number of parameters, at least 2.

    Example:
        >>> ZDT4().losses([0.25] + 9 * [0.0]).tolist()
        [0.25, 0.5]
    """

    key: ClassVar[str] = "zdt4"

    n: int = 10

    @property
    def lower(self) -> Array:
        return np.concatenate([[0.0], np.full(self.n - 1, -5.0)])

    @property
    def upper(self) -> Array:
        return np.concatenate([[1.0], np.full(self.n - 1, 5.0)])

    def _distance(self, others: Tensor) -> Tensor:
        return 1 + (10 + others.square() - 10 * torch.cos(4 * torch.pi * others)).sum(dim=1)

    def _second(self, first: Tensor, distance: Tensor) -> Tensor:
        return distance - root(first * distance)


@dataclass(frozen=True)
class ZDT6(_ZDT):
    r"""A concave front whose points are unevenly dense.

    .. math:: f_1 = 1 - e^{-4 x_1} \sin^6 6 \pi x_1, \quad g = 1 + 9 \Big(\tfrac{1}{n-1} \sum_{i>1} x_i\Big)^{1/4},
              \quad f_2 = g\,(1 - (f_1/g)^2)

    The slope of g at 0 is infinite; here it is 0 exactly there.

    Args:
        n: Number of parameters, at least 2.

    Example:
        >>> ZDT6().front(2).round(6).tolist()
        [[0.280775, 0.921165], [1.0, 0.0]]
    """

    key: ClassVar[str] = "zdt6"

    n: int = 10

    def _first(self, points: Tensor) -> Tensor:
        first = points[:, 0]
        return 1 - torch.exp(-4 * first) * torch.sin(6 * torch.pi * first) ** 6

    def _distance(self, others: Tensor) -> Tensor:
        # a sum of 1e-30 would put the point 3e-7 above the front, so 0 is exactly 0
        mean = others.mean(dim=1)
        return 1 + 9 * torch.where(mean > 0, mean.clamp_min(1e-30) ** 0.25, 0.0)

    def _second(self, first: Tensor, distance: Tensor) -> Tensor:
        return distance - first.square() / distance

    def _ends(self) -> tuple[tuple[float, float], ...]:
        return ((0.2807753191, 1.0),)
