"""Upper limits for some losses, the others as low as they go: multipliers that rise until the limits hold."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ...core.tasks import Bounds, Preference
from ...errors import SettingError
from ..base import Answer, LossMethod, State, StateTensor, Step
from ..parts.domain import is_non_negative, is_positive

__all__ = ["AugmentedLagrangian"]


@dataclass(frozen=True)
class AugmentedLagrangian(LossMethod):
    r"""Minimise the mean of some losses under limits for others.

    .. math:: \phi + s \sum_j \frac{\max(0, \lambda_j + \rho\, g_j)^2 - \lambda_j^2}{2 \rho}, \qquad
              g_j = \frac{L_j - b_j}{|b_j|}, \qquad
              \lambda_j \leftarrow \max(0, \lambda_j + \eta\, \rho\, \mathrm{clip}_{0.1}(g_j))

    with phi the mean of the losses that are minimised, b_j the limit of task j, and s the size of phi in the first
    step, which gives the multipliers no unit. At rest the limits hold and :math:`s \lambda_j / |b_j|` is the price of
    limit j: by how much phi falls for each unit by which the limit rises. Multipliers move slowly, so noise of
    mini-batches averages out. What holds on training batches need not hold elsewhere: watch the limit on other data.

    Shapes:
        losses (k,) -> scalar.
    Scale:
        Without limits the weights are those of the mean. A common factor of losses and limits does not change the
        multipliers.
    Degenerate:
        No limits: the mean. All tasks limited: phi is the mean of all. A limit of 0 is measured in s. Limits that no
        parameters meet: multipliers grow without end, and the violated losses take all the weight.
    Errors:
        `TaskError` where a limit names no task.
    Cost:
        None.
    Source:
        Hestenes (1969); Rockafellar (1973). We differ: relative limits, and multipliers that move in every step.

    Args:
        bounds: `Bounds`, a mapping from task name to limit, or None. `Bounds` given as ``preference=`` come first.
        penalty: rho, > 0. Larger values hold a limit sooner and need a smaller learning rate; on a concave part of a
            front rho must outweigh its curvature.
        rate: eta, at least 0; 0 is the penalty alone.

    Example:
        >>> import equipoise as eq
        >>> method = AugmentedLagrangian({"task1": 1.0})
        >>> eq.direction(method, [[1.0, 0.0], [0.0, 1.0]], losses=[2.0, 1.5])  # 2 * max(0, 1 * 0.5)
        tensor([1., 1.], dtype=torch.float64)
    """

    source: ClassVar[str] = "Hestenes (1969); Rockafellar (1973)"
    cost: ClassVar[str] = "none"
    honours: ClassVar[tuple[type[Preference], ...]] = (Bounds,)
    state_tensors: ClassVar[tuple[StateTensor, ...]] = (
        StateTensor("prices", merge="mean"),
        StateTensor("size", task_axes=(), merge="mean"),
    )

    bounds: Bounds | Mapping[str, float] | tuple[tuple[str, float], ...] | None = None
    penalty: float = 1.0
    rate: float = 0.1

    def __post_init__(self) -> None:
        if self.bounds is not None and not isinstance(self.bounds, Bounds):
            object.__setattr__(self, "bounds", Bounds(dict(self.bounds)))
        if not (is_positive(self.penalty) and is_non_negative(self.rate)):
            raise SettingError(
                "`penalty` must be positive, `rate` at least 0, both finite; got "
                f"penalty={self.penalty!r}, rate={self.rate!r}."
            )

    @property
    def remembers_units(self) -> bool:
        return True

    def init(self, k: int, n: int = 0) -> State:
        del n
        return {
            "prices": torch.zeros(k, dtype=torch.float64),
            "size": torch.full((), torch.nan, dtype=torch.float64),
        }

    def claims(self, k: int) -> frozenset[str]:
        if self.bounds is not None:
            return frozenset()
        laws = {"simplex", "permutation", "unanimity", "single", "degree"}
        return frozenset(laws | ({"no_conflict"} if k == 1 else set()))

    def degree(self) -> float | None:
        return 1.0 if self.bounds is None else None

    def scalar(self, losses: Tensor, state: State, step: Step) -> Answer:
        free, limits, size, over, state = self._parts(losses, state, step)
        pushed = torch.where(limits.isfinite(), (self._pushed(over, state)), 0.0)
        paid = (pushed.square() - torch.where(limits.isfinite(), state["prices"], 0.0).square()) / (2 * self.penalty)
        return Answer((free * losses).sum() + size * paid.sum(), self._moved(over.detach(), limits, state))

    def implied_weights(self, losses: Tensor, state: State, step: Step) -> Answer:
        free, limits, size, over, state = self._parts(losses, state, step)
        unit = self._units(limits, size)
        pushed = torch.where(limits.isfinite(), size * self._pushed(over, state) / unit, 0.0)
        return Answer(free + pushed, self._moved(over, limits, state))

    def _parts(self, losses: Tensor, state: State, step: Step) -> tuple[Tensor, Tensor, Tensor, Tensor, State]:
        """Weights of phi, limits (inf where none), s, the relative excess (0 where no limit), the state with s."""
        here, names = step.tasks.present, step.tasks.names
        bounds = step.preference if isinstance(step.preference, Bounds) else self.bounds
        limits, lowered = [torch.inf] * len(names), [True] * len(names)
        if isinstance(bounds, Bounds):
            limits, lowered = bounds.split(names)
        free = losses.new_tensor([float(lowered[i]) for i in here])
        free = free / free.sum().clamp_min(1.0)
        found = losses.new_tensor([limits[i] for i in here])
        first = (free * losses.detach()).sum().abs()
        first = torch.where(first > 0, first, 1.0)
        size = torch.where(state["size"].isnan(), first, state["size"])
        over = torch.where(found.isfinite(), (losses - found) / self._units(found, size), 0.0)
        return free, found, size, over, {**state, "size": size}

    @staticmethod
    def _units(limits: Tensor, size: Tensor) -> Tensor:
        return torch.where(limits.isfinite() & (limits != 0), limits.abs(), size)

    def _pushed(self, over: Tensor, state: State) -> Tensor:
        return (state["prices"] + self.penalty * over).clamp_min(0.0)

    def _moved(self, over: Tensor, limits: Tensor, state: State) -> State:
        raised = (state["prices"] + self.rate * self.penalty * over.clamp(-0.1, 0.1)).clamp_min(0.0)
        return {**state, "prices": torch.where(limits.isfinite(), raised, state["prices"])}
