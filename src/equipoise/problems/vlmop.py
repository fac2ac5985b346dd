"""Two problems of Van Veldhuizen and Lamont: one parameter and two losses, two parameters and three losses."""

from dataclasses import dataclass
from typing import ClassVar

import moocore
import numpy as np
import torch
from torch import Tensor

from ..core.numbers import Array
from .formula import FormulaProblem

__all__ = ["VLMOP3", "Schaffer"]

_GRID = 601


@dataclass(frozen=True)
class Schaffer(FormulaProblem):
    r"""Two parabolas, :math:`f_1 = x^2, \; f_2 = (x - 2)^2` in [-4, 4]: the front :math:`\sqrt{f_1} + \sqrt{f_2} = 2`.

    Example:
        >>> Schaffer().losses([0.5]).tolist()
        [0.25, 2.25]
    """

    key: ClassVar[str] = "schaffer"
    source: ClassVar[str] = "Schaffer (1985); VLMOP1 of Van Veldhuizen & Lamont (1999)"

    @property
    def parameters(self) -> int:
        return 1

    @property
    def lower(self) -> Array:
        return np.full(1, -4.0)

    @property
    def upper(self) -> Array:
        return np.full(1, 4.0)

    @property
    def reference(self) -> Array:
        return np.full(2, 4.4)

    def evaluate(self, points: Tensor) -> Tensor:
        return torch.cat([points.square(), (points - 2).square()], dim=1)

    def front(self, size: int = 1001) -> Array:
        x = np.linspace(0, 2, size)
        return np.stack([x**2, (x - 2) ** 2], axis=1)


@dataclass(frozen=True)
class VLMOP3(FormulaProblem):
    r"""Three losses of two parameters in [-3, 3]; the front is in pieces.

    .. math:: f_1 = \tfrac12 r + \sin r, \quad f_2 = \tfrac18 (3x - 2y + 4)^2 + \tfrac1{27} (x - y + 1)^2 + 15, \quad
              f_3 = \frac{1}{r + 1} - 1.1 e^{-r}, \qquad r = x^2 + y^2

    Example:
        >>> VLMOP3().losses([0.0, 0.0]).round(6).tolist()
        [0.0, 17.037037, -0.1]
    """

    key: ClassVar[str] = "vlmop3"
    source: ClassVar[str] = "Viennet, Fonteix & Marc (1996); VLMOP3 of Van Veldhuizen & Lamont (1999)"

    @property
    def parameters(self) -> int:
        return 2

    @property
    def count(self) -> int:
        return 3

    @property
    def lower(self) -> Array:
        return np.full(2, -3.0)

    @property
    def upper(self) -> Array:
        return np.full(2, 3.0)

    @property
    def reference(self) -> Array:
        """About a tenth of its range above the largest losses of the front, 8.20, 17.04 and 0.18."""
        return np.array([9.0, 17.25, 0.2])

    def evaluate(self, points: Tensor) -> Tensor:
        x, y = points.unbind(dim=1)
        r = x.square() + y.square()
        first = 0.5 * r + torch.sin(r)
        second = (3 * x - 2 * y + 4).square() / 8 + (x - y + 1).square() / 27 + 15
        return torch.stack([first, second, 1 / (r + 1) - 1.1 * torch.exp(-r)], dim=1)

    def front(self, size: int = 1001) -> Array:
        """About `size` points of a grid of 601 by 601 that none of the grid dominates: no formula is known.

        The grid's spacing is 0.01, so a loss lies at most about 1e-3 above the true front.
        """
        axis = np.linspace(-3, 3, _GRID)
        losses = self.losses(np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2))
        kept = losses[moocore.is_nondominated(losses, keep_weakly=False)]
        kept = kept[np.lexsort(kept.T[::-1])]
        return np.asarray(kept[np.unique(np.linspace(0, len(kept) - 1, size).round().astype(int))])
