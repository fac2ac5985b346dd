"""What a formula problem is: losses at many points at once, a box, and a front that is known."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from ..core.names import doubled
from ..core.numbers import Array, is_whole
from ..errors import SettingError, listed

__all__ = ["BoxProblem", "FormulaProblem", "Function", "root", "whole"]

_FLOOR = 1e-30


class BoxProblem(ABC):
    """k losses of n parameters in a box, in float64.

    Points go in as the rows of a tensor, so that K of them cost one pass.
    """

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
    def reference(self) -> Array | None:
        """(k,) reference point of the hypervolume, or None where none is customary."""
        return None

    @abstractmethod
    def evaluate(self, points: Tensor) -> Tensor:
        """The losses, differentiable: (K, n) -> (K, k)."""

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
                f"`points` of {self!r} must have {self.parameters} coordinates on the last axis; "
                f"got shape {array.shape}."
            )
        return array


@dataclass(frozen=True)
class FormulaProblem(BoxProblem):
    """A problem of the literature whose front is known by formula; a value, with its sizes as settings.

    Attributes:
        key: Name in `table`.
        source: Authors and year.
    """

    key: ClassVar[str]
    source: ClassVar[str]

    @property
    def reference(self) -> Array:
        return np.full(self.count, 1.1)

    @abstractmethod
    def front(self, size: int = 1001) -> Array:
        """About `size` points of the true front, spread along it: (rows, k), none dominated by another."""


class Function(BoxProblem):
    """Losses of your own as a problem.

    Args:
        function: Differentiable, from a float64 tensor (K, n), one point a row, to its losses (K, k).
        lower: (n,) lower ends of the box, finite.
        upper: (n,) upper ends, above them.
        tasks: k names; ``f1``, ``f2``, ... by default.
        reference: (k,) reference point of the hypervolume; found from the losses by default.

    Raises:
        SettingError: A box that is none, or a function that returns another shape.

    Example:
        >>> bowls = Function(lambda x: torch.stack([x.square().sum(1), (x - 1).square().sum(1)], 1), [-2.0], [2.0])
        >>> bowls.losses([[0.5]]).tolist(), bowls.tasks
        ([[0.25, 0.25]], ('f1', 'f2'))
    """

    def __init__(
        self,
        function: Callable[[Tensor], Tensor],
        lower: ArrayLike,
        upper: ArrayLike,
        *,
        tasks: Sequence[str] | None = None,
        reference: ArrayLike | None = None,
    ) -> None:
        self._function = function
        self._lower, self._upper = np.array(lower, dtype=np.float64), np.array(upper, dtype=np.float64)
        fine = self._lower.ndim == 1 and self._lower.shape == self._upper.shape and len(self._lower)
        if not fine or not np.isfinite(self._upper - self._lower).all() or not (self._lower < self._upper).all():
            raise SettingError(
                "`lower` and `upper` must be equally long vectors of finite numbers, each lower end below its upper "
                f"end; got {self._lower.tolist()} and {self._upper.tolist()}."
            )
        middle = torch.from_numpy((self._lower + self._upper) / 2).repeat(2, 1).requires_grad_()
        found = function(middle)
        if not isinstance(found, Tensor) or found.dim() != 2 or len(found) != 2 or found.dtype != torch.float64:
            shape = f"shape {tuple(found.shape)}, {found.dtype}" if isinstance(found, Tensor) else repr(found)
            raise SettingError(f"`function` must turn (2, {self.parameters}) into losses (2, k), float64; got {shape}.")
        if not found.requires_grad:
            raise SettingError("`function` must be differentiable in its points; its losses have no gradient.")
        self._tasks = tuple(tasks) if tasks is not None else tuple(f"f{i + 1}" for i in range(found.shape[1]))
        self._reference = None if reference is None else np.array(reference, dtype=np.float64)
        if len(self._tasks) != found.shape[1] or doubled(self._tasks):
            raise SettingError(f"`tasks` must be {found.shape[1]} different names; got {listed(self._tasks)}.")
        if self._reference is not None and self._reference.shape != (found.shape[1],):
            raise SettingError(f"`reference` must be {found.shape[1]} numbers; got {self._reference.tolist()}.")

    @property
    def parameters(self) -> int:
        return len(self._lower)

    @property
    def count(self) -> int:
        return len(self._tasks)

    @property
    def tasks(self) -> tuple[str, ...]:
        return self._tasks

    @property
    def lower(self) -> Array:
        return self._lower.copy()

    @property
    def upper(self) -> Array:
        return self._upper.copy()

    @property
    def reference(self) -> Array | None:
        return None if self._reference is None else self._reference.copy()

    def evaluate(self, points: Tensor) -> Tensor:
        return self._function(points)


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
