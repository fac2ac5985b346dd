"""DTLZ3 to DTLZ7: local fronts, a biased density, fronts that are a curve, a front in pieces."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from scipy.optimize import brentq
from scipy.stats import qmc
from torch import Tensor

from ..core.numbers import Array
from ..errors import SettingError
from .dtlz import DTLZ2, Scalable, products

__all__ = ["DTLZ3", "DTLZ4", "DTLZ5", "DTLZ6", "DTLZ7"]

_TINY = 1e-100  # the tenth root has no finite slope at 0, and a tenth of 1e90 here


@dataclass(frozen=True)
class DTLZ3(DTLZ2):
    r"""DTLZ2 with the distance of DTLZ1: :math:`3^p - 1` local fronts around the sphere.

    .. math:: g = 100 \Big[ p + \sum_{j=1}^{p} \big( (x_j - \tfrac12)^2 - \cos 20 \pi (x_j - \tfrac12) \big) \Big]

    Args:
        k: Number of losses, at least 2.
        distances: Number p of parameters that measure the distance from the front, at least 1.

    Example:
        >>> float(np.linalg.norm(DTLZ3().losses([0.3] * 2 + [0.5] * 10)).round(12))
        1.0
    """

    key: ClassVar[str] = "dtlz3"
    source: ClassVar[str] = "Deb, Thiele, Laumanns & Zitzler (2005)"

    def _distance(self, others: Tensor) -> Tensor:
        return 100 * (1 + others.square() - torch.cos(20 * torch.pi * others)).sum(dim=1)


@dataclass(frozen=True)
class DTLZ4(DTLZ2):
    r"""DTLZ2 with :math:`x_i^{100}` in place of the first k - 1 parameters: nearly all of the box lies at few points.

    Gradients of the first k - 1 parameters vanish in most of the box, so a start decides where a gradient method ends.

    Args:
        k: Number of losses, at least 2.
        distances: Number of parameters that measure the distance from the front, at least 1.

    Example:
        >>> DTLZ4(k=2).losses([0.5] * 11).tolist()
        [1.0, 0.0]
    """

    key: ClassVar[str] = "dtlz4"
    source: ClassVar[str] = "Deb, Thiele, Laumanns & Zitzler (2005)"

    def _shape(self, places: Tensor) -> Tensor:
        return super()._shape(places**100)


@dataclass(frozen=True)
class DTLZ5(Scalable):
    r"""A front that is a curve: :math:`(\cos t / \sqrt2, \cos t / \sqrt2, \sin t)`.

    DTLZ2 with the angles :math:`\theta_1 = \pi x_1 / 2` and :math:`\theta_i = \pi (1 + 2 g x_i) / (4 (1 + g))`. With
    more than three losses other points are not dominated either (Huband et al., 2006), so that no front is known.

    Args:
        k: Number of losses, 2 or 3.
        distances: Number of parameters that measure the distance from the front, at least 1.

    Example:
        >>> DTLZ5().losses([0.0, 0.7] + [0.5] * 10).round(6).tolist()
        [0.707107, 0.707107, 0.0]
    """

    key: ClassVar[str] = "dtlz5"
    source: ClassVar[str] = "Deb, Thiele, Laumanns & Zitzler (2005)"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.k > 3:
            raise SettingError(f"`k` of {type(self).__name__} must be 2 or 3: above, no front is known; got {self.k}.")

    def evaluate(self, points: Tensor) -> Tensor:
        distance = self._distance(points[:, self.k - 1 :] - 0.5)[:, None]
        places = points[:, : self.k - 1]
        mixed = (1 + 2 * distance * places) / (2 * (1 + distance))
        angles = torch.cat([places[:, :1], mixed[:, 1:]], dim=1) * (torch.pi / 2)
        return (1 + distance) * products(torch.cos(angles), torch.sin(angles))

    def front(self, size: int = 1001) -> Array:
        turns = np.linspace(0, np.pi / 2, size)
        low = np.cos(turns)
        first = [low] if self.k == 2 else [low / np.sqrt(2)] * 2
        return np.stack([*first, np.sin(turns)], axis=1).clip(0.0)


@dataclass(frozen=True)
class DTLZ6(DTLZ5):
    r"""DTLZ5 with the distance :math:`g = \sum_j x_j^{0.1}`, whose slope at the front, :math:`x_j = 0`, is infinite.

    Args:
        k: Number of losses, 2 or 3.
        distances: Number of parameters that measure the distance from the front, at least 1.

    Example:
        >>> DTLZ6().losses([1.0, 0.7] + [0.0] * 10).round(6).tolist()
        [0.0, 0.0, 1.0]
    """

    key: ClassVar[str] = "dtlz6"
    source: ClassVar[str] = "Deb, Thiele, Laumanns & Zitzler (2005)"

    def _distance(self, others: Tensor) -> Tensor:
        x = others + 0.5
        return torch.where(x > _TINY, x.clamp_min(_TINY) ** 0.1, 0.0).sum(dim=1)


@dataclass(frozen=True)
class DTLZ7(Scalable):
    r"""A front in :math:`2^{k-1}` pieces: :math:`f_k = 2k - \sum_{i<k} f_i (1 + \sin 3 \pi f_i)`.

    .. math:: f_i = x_i, \; i < k, \qquad
              f_k = (1 + g) \Big[ k - \sum_{i<k} \frac{f_i}{1 + g} (1 + \sin 3 \pi f_i) \Big], \\
              g = 1 + \frac9p \sum_{j=1}^{p} x_j

    A point with g = 1 is dominated by none exactly where each :math:`f_i (1 + \sin 3 \pi f_i)` is larger than for all
    smaller f_i: two intervals.

    Args:
        k: Number of losses, at least 2.
        distances: Number p of parameters that measure the distance from the front, at least 1.

    Example:
        >>> DTLZ7().losses([0.0, 0.0] + [0.0] * 20).tolist()
        [0.0, 0.0, 6.0]
    """

    key: ClassVar[str] = "dtlz7"
    source: ClassVar[str] = "Deb, Thiele, Laumanns & Zitzler (2005)"

    distances: int = 20

    @property
    def reference(self) -> Array:
        """A tenth above the largest losses of the front."""
        return np.array([1.1 * _pieces()[1][1]] * (self.k - 1) + [2.2 * self.k])

    def evaluate(self, points: Tensor) -> Tensor:
        places = points[:, : self.k - 1]
        stretched = 2 + 9 * points[:, self.k - 1 :].mean(dim=1)
        return torch.cat([places, (self.k * stretched - _wave(places).sum(dim=1))[:, None]], dim=1)

    def front(self, size: int = 1001) -> Array:
        (start, first), (second, end) = _pieces()
        draws = np.linspace(0, 1, size)[:, None]
        if self.k > 2:
            draws = qmc.Halton(self.k - 1, scramble=False).random(size)
        places = start + draws * (first - start + end - second)
        places = np.where(places > first, places - first + second, places)
        last = 2 * self.k - _wave(torch.from_numpy(places)).sum(dim=1).numpy()
        return np.asarray(np.c_[places, last])


def _wave(places: Tensor) -> Tensor:
    return places * (1 + torch.sin(3 * torch.pi * places))


def _pieces() -> tuple[tuple[float, float], tuple[float, float]]:
    """Where f (1 + sin 3 pi f) is larger than for all smaller f in [0, 1]."""

    def slope(f: float) -> float:
        return float(1 + np.sin(3 * np.pi * f) + 3 * np.pi * f * np.cos(3 * np.pi * f))

    first, end = brentq(slope, 0.1, 0.4), brentq(slope, 0.75, 0.95)
    second = brentq(lambda f: f * (1 + np.sin(3 * np.pi * f)) - first * (1 + np.sin(3 * np.pi * first)), 0.5, end)
    return (0.0, first), (second, end)
