"""F1 to F6: the fronts of ZDT1 and ZDT2 on curved Pareto sets, where no line of parameters holds the front."""

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from ..core.numbers import Array
from ..errors import SettingError
from .formula import FormulaProblem, root, whole

__all__ = ["Curved"]


@dataclass(frozen=True)
class Curved(FormulaProblem):
    r"""One of six problems in which the other parameters of a Pareto point are a curve in its first.

    .. math::
        f_1 = (1 + s_1) x_1, \qquad f_2 = (1 + s_2)\, h\Big(\frac{x_1}{1 + s_2}\Big), \qquad
        s_j = \frac{1}{|J_j|} \sum_{i \in J_j} y_i^2

    with :math:`h(u) = 1 - \sqrt u` (F1 to F3) or :math:`1 - u^2` (F4 to F6), :math:`J_1` the odd and :math:`J_2` the
    even i from 2 to n, x in [0, 1], and y_i the distance from the curve:

    ========  ======================================================================================
    F1, F4    :math:`x_i - (2 x_1 - 1)^2`
    F2, F5    :math:`x_i - x_1^{0.5 (1 + 3 (i - 2) / (n - 2))}`
    F3, F6    :math:`(2 x_i - 1) - 0.8\, x_1 \cos |\sin(4 \pi x_1 + i \pi / n)|`
    ========  ======================================================================================

    The Pareto set is y = 0; the front is that of ZDT1 (F1 to F3) or ZDT2.

    Args:
        number: 1 to 6.
        n: Number of parameters, at least 3.

    Example:
        >>> Curved(1, n=3).losses([0.25, 0.25, 0.25]).tolist()
        [0.25, 0.5]
    """

    key: ClassVar[str] = "f"
    source: ClassVar[str] = "Lin et al. (2022), arXiv:2203.15386"

    number: int = 1
    n: int = 6

    def __post_init__(self) -> None:
        whole(self, n=(self.n, 3))
        if self.number not in range(1, 7):
            raise SettingError(f"Curved: `number` must be 1 to 6; got {self.number!r}.")

    @property
    def parameters(self) -> int:
        return self.n

    @cached_property
    def _numbers(self) -> tuple[Tensor, Tensor]:
        """Index i of the parameters but the first, (n - 1,), and the means over J_1 and J_2 as a matrix (n - 1, 2)."""
        i = torch.arange(2, self.n + 1, dtype=torch.float64)
        members = torch.stack([i % 2 == 1, i % 2 == 0], dim=1).double()
        return i, members / members.sum(dim=0)

    def evaluate(self, points: Tensor) -> Tensor:
        first = points[:, :1]
        i, means = self._numbers
        shape = (self.number - 1) % 3
        if shape == 0:
            away = points[:, 1:] - (2 * first - 1) ** 2
        elif shape == 1:
            away = points[:, 1:] - first.clamp_min(1e-30) ** (0.5 * (1 + 3 * (i - 2) / (self.n - 2)))
        else:
            wave = torch.sin(4 * torch.pi * first + i * torch.pi / self.n).abs()
            away = (2 * points[:, 1:] - 1) - 0.8 * first * torch.cos(wave)
        factors = 1 + away.square() @ means
        first, second = first[:, 0], factors[:, 1]
        bent = second - (root(first * second) if self.number <= 3 else first.square() / second)
        return torch.stack([factors[:, 0] * first, bent], dim=1)

    def front(self, size: int = 1001) -> Array:
        first = np.linspace(0.0, 1.0, size)
        return np.stack([first, 1 - (np.sqrt(first) if self.number <= 3 else first**2)], axis=1)
