"""A weighted sum of the losses: the usual first choice, and often a good one."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

import torch
from torch import Tensor

from ...core.tasks import PerTask, Preference, Tasks, freeze_per_task
from ...errors import SettingError
from ..base import Answer, CounterExample, State, Step, WeightedSum
from ..parts.lengths import direction_and_length

__all__ = ["LinearScalarization", "counted", "preference_factors", "preference_ray", "refuse_negative"]


@dataclass(frozen=True)
class LinearScalarization(WeightedSum, Preference):
    r"""The weighted sum of the losses.

    .. math:: \sum_{i=1}^k w_i L_i

    with L_i the loss of task i and w_i its weight. Without `weights` it is the mean of the tasks present in the step.

    Shapes:
        losses (k,) -> scalar.
    Scale:
        The weights are used as written, not normalised: (1, 1) is the sum, (0.5, 0.5) the mean.
    Degenerate:
        A zero weight leaves the task out; all zero is refused. k = 1 gives w L. An absent task's term is missing.
    Cost:
        None.
    Source:
        Textbook (Zadeh 1963). What weighted sums cannot reach: Hu et al. (2023), `equipoise.linear`.

    Args:
        weights: Non-negative, by task name or in task order; None for 1/k each.

    Example:
        >>> import equipoise as eq
        >>> eq.direction(LinearScalarization((1.0, 3.0)), [[1.0, 0.0], [0.0, 1.0]])
        tensor([1., 3.], dtype=torch.float64)
    """

    source: ClassVar[str] = "Zadeh (1963); Hu et al. (2023), arXiv:2308.13985"
    cost: ClassVar[str] = "none"

    weights: PerTask | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "weights", freeze_per_task(self.weights, "weights"))
        refuse_negative(self.weights, "LinearScalarization(weights)")

    def claims(self, k: int) -> frozenset[str]:
        if self.weights is not None:
            return frozenset({"degree"})
        return super().claims(k)

    def refutes(self) -> Mapping[str, CounterExample]:
        return {} if self.weights is not None else super().refutes()

    def implied_weights(self, losses: Tensor, state: State, step: Step) -> Answer:
        if self.weights is None:
            return Answer(torch.full_like(losses, 1 / len(losses)), state)
        weights = step.tasks.vector(self.weights, "weights").to(losses)
        return Answer(weights, state)


def refuse_negative(weights: PerTask | None, where: str) -> None:
    """Raises `SettingError` unless the (frozen) weights are non-negative and not all zero."""
    if weights is None:
        return
    numbers = torch.tensor([entry[1] if isinstance(entry, tuple) else entry for entry in weights], dtype=torch.float64)
    if (numbers < 0).any() or not (numbers > 0).any():
        raise SettingError(f"`{where}` must be non-negative and not all zero; got {weights!r}.")


def preference_factors(weights: PerTask | None, tasks: Tasks, like: Tensor) -> Tensor:
    """The factors k w_i of the Tchebycheff family: w normalised to sum 1 over all tasks, so that equal weights give 1.

    Args:
        weights: Frozen setting, or None for equal weights.
        tasks: Tasks of the step.
        like: Tensor that gives dtype and device.

    Returns:
        (k,) factors of the present tasks; made once for the same tasks, so never change them in place.
    """
    return _factors(weights, tasks)[0].to(like)


def preference_ray(weights: PerTask | None, tasks: Tasks, like: Tensor) -> Tensor:
    """(k,) the preference of the present tasks as a vector of length 1; zeros where none of them has any weight."""
    return _factors(weights, tasks)[2].to(like)


def counted(weights: PerTask | None, tasks: Tasks, like: Tensor) -> Tensor:
    """(k,) which tasks take part in a maximum: those of positive weight; all of them where there is none."""
    return _factors(weights, tasks)[1].to(like.device)


@lru_cache(maxsize=64)
def _factors(weights: PerTask | None, tasks: Tasks) -> tuple[Tensor, Tensor, Tensor]:
    factors = torch.ones(len(tasks.present), dtype=torch.float64)
    if weights is not None:
        everyone = Tasks(tasks.names).vector(weights, "weights")
        factors = tasks.vector(weights, "weights") / everyone.sum() * len(everyone)
    positive = factors > 0
    return factors, positive | ~positive.any(), direction_and_length(factors)[0]
