"""The hypervolume that one model's losses dominate, as a loss."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from ...core.tasks import PerTask, freeze_per_task
from ...errors import SettingError
from ..base import Answer, CounterExample, LossMethod, State, Step
from ..parts.domain import is_positive, refuse_losses

__all__ = ["HypervolumeLoss"]


@dataclass(frozen=True)
class HypervolumeLoss(LossMethod):
    r"""Minus the logarithm of the volume between the losses and a reference point.

    .. math:: -\log \prod_{i=1}^k (r_i - L_i), \qquad a_i = \frac{1}{r_i - L_i}

    with L_i the loss of task i, r_i > L_i the reference and a_i the implied weight: the worse a task is relative to
    its reference, the more it weighs. For sets of models see the front.

    Shapes:
        losses (k,) -> scalar.
    Scale:
        Weights are as the formula gives them, in 1/loss. Without `reference`, r is one number for all tasks, `slack`
        times the largest loss of the step, held constant: the worst task then has weight
        1/((slack - 1) max L), and the direction does not change with a common unit (degree 0).
    Degenerate:
        A loss close to its reference takes all the weight. k = 1: the gradient over (r - L).
    Errors:
        `LossError` where a loss is not below its reference; without `reference`, where the largest loss is not
        positive.
    Cost:
        None.
    Source:
        Albuquerque et al. (2019), arXiv:1901.08680, eqs. 8 and 12 (adaptive reference).

    Args:
        reference: r, one number a task, above every loss that will occur; None for the adaptive one.
        slack: > 1; near 1 favours the worst task, large values tend to equal weights.

    Example:
        >>> import equipoise as eq
        >>> eq.direction(HypervolumeLoss(reference=(4.0, 4.0)), [[1.0, 0.0], [0.0, 1.0]], losses=[3.0, 2.0])
        tensor([1.0000, 0.5000], dtype=torch.float64)
    """

    source: ClassVar[str] = "Albuquerque et al. (2019), arXiv:1901.08680"
    cost: ClassVar[str] = "none"

    reference: PerTask | None = None
    slack: float = 1.1

    def __post_init__(self) -> None:
        object.__setattr__(self, "reference", freeze_per_task(self.reference, "reference"))
        if not (is_positive(self.slack) and self.slack > 1):
            raise SettingError(f"`slack` must be larger than 1 and finite; got {self.slack!r}.")

    def claims(self, k: int) -> frozenset[str]:
        del k
        return frozenset({"permutation", "degree"} if self.reference is None else ())

    def degree(self) -> float | None:
        return 0.0 if self.reference is None else None

    def refutes(self) -> Mapping[str, CounterExample]:
        if self.reference is not None:
            return {}
        pair = CounterExample(((1.0,), (1.0,)), losses=(3.0, 3.0))
        return {
            "simplex": pair,
            "unanimity": pair,
            "single": CounterExample(((1.0,),), losses=(3.0,)),
            "no_conflict": CounterExample(((1.0,), (-5.0,))),
        }

    def scalar(self, losses: Tensor, state: State, step: Step) -> Answer:
        return Answer(-self._room(losses, step).log().sum(), state)

    def implied_weights(self, losses: Tensor, state: State, step: Step) -> Answer:
        return Answer(1 / self._room(losses, step), state)

    def _room(self, losses: Tensor, step: Step) -> Tensor:
        """Distances of the losses below the reference, (k,)."""
        if self.reference is None:
            reference = self.slack * losses.detach().amax()
            rule = "HypervolumeLoss() puts its reference above the largest loss, which must be positive"
        else:
            reference = step.tasks.vector(self.reference, "reference").to(losses)
            rule = "HypervolumeLoss(reference) needs every loss below its reference"
        room = reference - losses
        instead = "a higher `reference`, or LinearScalarization"
        refuse_losses(room > 0, losses, step.tasks, rule, instead)
        return room
