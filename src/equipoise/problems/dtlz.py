"""Fronts in any number of losses: simplex, sphere, disconnected, inverted simplex."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from ..core.numbers import Array
from ..core.simplex_points import sobol_points
from .formula import FormulaProblem, whole

__all__ = ["DTLZ1", "DTLZ2", "MaF1", "Scalable", "products"]


@dataclass(frozen=True)
class Scalable(FormulaProblem):
    """k - 1 parameters say where on the front, the others how far from it."""

    k: int = 3
    distances: int = 10

    def __post_init__(self) -> None:
        whole(self, k=(self.k, 2), distances=(self.distances, 1))

    @property
    def parameters(self) -> int:
        return self.k - 1 + self.distances

    @property
    def count(self) -> int:
        return self.k

    def evaluate(self, points: Tensor) -> Tensor:
        places, others = points[:, : self.k - 1], points[:, self.k - 1 :] - 0.5
        return (1 + self._distance(others))[:, None] * self._shape(places)

    def _distance(self, others: Tensor) -> Tensor:
        """Distance g from the front, of the parameters minus 1/2."""
        return others.square().sum(dim=1)

    def _shape(self, places: Tensor) -> Tensor:
        """A point of the front for each point of the cube: (K, k - 1) -> (K, k)."""
        raise NotImplementedError

    def front(self, size: int = 1001) -> Array:
        raise NotImplementedError


def products(falling: Tensor, ends: Tensor) -> Tensor:
    """Losses (K, k): a_1 .. a_(k-1), then a_1 .. a_(k-j-1) b_(k-j), down to b_1, for a = falling and b = ends."""
    one = torch.ones_like(falling[:, :1])
    partial = torch.cat([one, falling.cumprod(dim=1)], dim=1)
    return (partial * torch.cat([ends, one], dim=1)).flip(1)


def _simplex(size: int, k: int) -> Array:
    """Points of the simplex: of low discrepancy, and its corners."""
    return np.concatenate([sobol_points(k, size), np.eye(k)])


@dataclass(frozen=True)
class DTLZ1(Scalable):
    r"""The simplex :math:`\sum f_i = 1/2`, behind :math:`11^5 - 1` local fronts.

    .. math:: g = 100 \Big[ p + \sum_{j=1}^{p} \big( (x_j - \tfrac12)^2 - \cos 20 \pi (x_j - \tfrac12) \big) \Big]

    Args:
        k: Number of losses, at least 2.
        distances: Number p of parameters that measure the distance from the front, at least 1.

    Example:
        >>> DTLZ1(k=3).losses([0.5] * 7).tolist()
        [0.125, 0.125, 0.25]
    """

    key: ClassVar[str] = "dtlz1"
    source: ClassVar[str] = "Deb, Thiele, Laumanns & Zitzler (2005)"

    distances: int = 5

    @property
    def reference(self) -> Array:
        return np.full(self.count, 0.55)

    def _distance(self, others: Tensor) -> Tensor:
        return 100 * (1 + others.square() - torch.cos(20 * torch.pi * others)).sum(dim=1)

    def _shape(self, places: Tensor) -> Tensor:
        return 0.5 * products(places, 1 - places)

    def front(self, size: int = 1001) -> Array:
        return 0.5 * _simplex(size, self.k)


@dataclass(frozen=True)
class DTLZ2(Scalable):
    r"""The part of the unit sphere in which all losses are non-negative.

    .. math:: f_1 = (1 + g) \prod_{i<k} \cos \tfrac{\pi x_i}{2}, \;\dots,\; f_k = (1 + g) \sin \tfrac{\pi x_1}{2},
              \qquad g = \sum_{i \ge k} (x_i - \tfrac12)^2

    Args:
        k: Number of losses, at least 2.
        distances: Number of parameters that measure the distance from the front, at least 1.

    Example:
        >>> float(np.linalg.norm(DTLZ2(k=4).losses([0.3] * 3 + [0.5] * 10)).round(12))
        1.0
    """

    key: ClassVar[str] = "dtlz2"
    source: ClassVar[str] = "Deb, Thiele, Laumanns & Zitzler (2005)"

    def _shape(self, places: Tensor) -> Tensor:
        angles = places * (torch.pi / 2)
        return products(torch.cos(angles), torch.sin(angles))

    def front(self, size: int = 1001) -> Array:
        points = np.sqrt(_simplex(size, self.k))  # of length 1; the density is not uniform
        return np.asarray(points)


@dataclass(frozen=True)
class MaF1(Scalable):
    r"""The inverted simplex :math:`\sum f_i = k - 1, \; 0 \le f_i \le 1`: most evenly spread rays miss it.

    .. math:: f_1 = (1 + g) (1 - x_1 \cdots x_{k-1}), \;\dots,\; f_k = (1 + g) x_1, \qquad g = \sum (x_i - \tfrac12)^2

    Args:
        k: Number of losses, at least 2.
        distances: Number of parameters that measure the distance from the front, at least 1.

    Example:
        >>> MaF1().losses([1.0, 1.0] + [0.5] * 10).tolist()
        [0.0, 1.0, 1.0]
    """

    key: ClassVar[str] = "maf1"
    source: ClassVar[str] = "Cheng et al. (2017)"

    def _shape(self, places: Tensor) -> Tensor:
        return 1 - products(places, 1 - places)

    def front(self, size: int = 1001) -> Array:
        return 1 - _simplex(size, self.k)
