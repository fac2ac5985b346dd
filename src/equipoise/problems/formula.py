"""What a formula problem is: losses at many points at once, a box, and a front that is known."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from ..core.numbers import Array, is_whole
from ..errors import SettingError

__all__ = ["FormulaProblem", "root", "whole"]

_FLOOR = 1e-30


@dataclass(frozen=True)
class FormulaProblem(ABC):
    """k losses of n parameters in a box, in float64, with a front that is known by formula.

    It is a value: a frozen dataclass of its sizes. Points go in as the rows of a tensor, so that K of them cost one
    pass. `losses` and `jacobians` take arrays as well.

    Attributes:
        key: Name in `table`.
        source: Authors and year.
        parameters: n.
        count: k.
    """

    key: ClassVar[str]
    source: ClassVar[str]

    @property
    @abstractmethod
    def parameters(self) -> int:
        """Number of parameters n."""

    @property
    def count(self) -> int:
        """Number of losses k."""
        return 2

    @property
    def tasks(self) -> tuple[str, ...]:
        """Names of the losses."""
        return tuple(f"f{i + 1}" for i in range(self.count))

    @property
    def lower(self) -> Array:
        """(n,) lower ends of the box."""
        return np.zeros(self.parameters)

    @property
    def upper(self) -> Array:
        """(n,) upper ends of the box."""
        return np.ones(self.parameters)

    @property
    def reference(self) -> Array:
        """(k,) reference point of the hypervolume that is customary for this problem."""
        return np.full(self.count, 1.1)

    @abstractmethod
    def evaluate(self, points: Tensor) -> Tensor:
        """The losses, differentiable: (K, n) -> (K, k)."""

    @abstractmethod
    def front(self, size: int = 1001) -> Array:
        """About `size` points of the true front, spread along it: (rows, k), none dominated by another."""

    def losses(self, points: ArrayLike) -> Array:
        """The losses: (..., n) -> (..., k).

        Raises:
            SettingError: The last axis does not have n entries.
        """
        array = self._checked(points)
        with torch.no_grad():
            found = self.evaluate(torch.from_numpy(array.reshape(-1, self.parameters)))
        return np.asarray(found.numpy().reshape(*array.shape[:-1], self.count))

    def jacobians(self, points: ArrayLike) -> Array:
        """Gradients of the losses: (..., n) -> (..., k, n); k backward passes for all points."""
        array = self._checked(points)
        leaf = torch.from_numpy(array.reshape(-1, self.parameters)).requires_grad_()
        with torch.enable_grad():
            totals = self.evaluate(leaf).sum(dim=0)
            rows = [torch.autograd.grad(total, leaf, retain_graph=True)[0] for total in totals]
        return np.asarray(torch.stack(rows, dim=1).numpy().reshape(*array.shape[:-1], self.count, self.parameters))

    def _checked(self, points: ArrayLike) -> Array:
        array = np.array(points, dtype=np.float64)
        if not array.ndim or array.shape[-1] != self.parameters:
            raise SettingError(
                f"`points` of {self!r} must have {self.parameters} coordinates on the last axis; got shape {array.shape}."
            )
        return array


def root(values: Tensor) -> Tensor:
    """The square root of non-negative numbers, with slope 0 instead of an infinite one at 0 (the value is 1e-15)."""
    return values.clamp_min(_FLOOR).sqrt()


def whole(problem: FormulaProblem, **sizes: tuple[int, int]) -> None:
    """Refuse sizes that are no whole numbers of at least what is given with each."""
    wrong = [
        f"`{name}` must be a whole number of at least {least}; got {value!r}."
        for name, (value, least) in sizes.items()
        if not is_whole(value, least=least)
    ]
    if wrong:
        raise SettingError(f"{type(problem).__name__}: {' '.join(wrong)}")
