"""The mean of the losses' logarithms: no loss's unit matters."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from ..base import Answer, CounterExample, LossMethod, State, Step
from ..parts.domain import refuse_nonpositive

__all__ = ["ScaleInvariant"]


@dataclass(frozen=True)
class ScaleInvariant(LossMethod):
    r"""The mean logarithm of the losses.

    .. math:: \frac1k \sum_{i=1}^k \log L_i, \qquad a_i = \frac{1}{k L_i}

    with L_i > 0 the loss of task i and a_i its implied weight. Multiplying any single loss by a constant changes
    nothing.

    Shapes:
        losses (k,) -> scalar.
    Scale:
        Degree 0: the direction has the size of relative improvement, mean of g_i / L_i, whatever the losses' units. A
        learning rate tuned for the mean loss L fits after multiplication by L.
    Degenerate:
        A loss near 0 takes all the weight. k = 1: the gradient of log L.
    Errors:
        `LossError` for a loss that is not positive.
    Cost:
        None.
    Source:
        The baseline of that name in Navon et al. (2022), arXiv:2202.01017, section 6. They take the sum.

    Example:
        >>> import equipoise as eq
        >>> eq.direction(ScaleInvariant(), [[1.0, 0.0], [0.0, 1.0]], losses=[2.0, 0.25])
        tensor([0.2500, 2.0000], dtype=torch.float64)
    """

    source: ClassVar[str] = "baseline in Navon et al. (2022), arXiv:2202.01017"
    cost: ClassVar[str] = "none"

    def claims(self, k: int) -> frozenset[str]:
        del k
        return frozenset({"permutation", "degree", "task_scale"})

    def degree(self) -> float:
        return 0.0

    def refutes(self) -> Mapping[str, CounterExample]:
        halves = CounterExample(((1.0,), (1.0,)), losses=(2.0, 2.0))
        return {
            "simplex": halves,
            "unanimity": halves,
            "single": CounterExample(((1.0,),), losses=(2.0,)),
            "no_conflict": CounterExample(((3.0, 0.0), (-1.0, 1.0))),
        }

    def scalar(self, losses: Tensor, state: State, step: Step) -> Answer:
        refuse_nonpositive(losses, step.tasks, "ScaleInvariant", "LinearScalarization, which takes losses of any sign")
        return Answer(losses.log().mean(), state)

    def implied_weights(self, losses: Tensor, state: State, step: Step) -> Answer:
        refuse_nonpositive(losses, step.tasks, "ScaleInvariant", "LinearScalarization, which takes losses of any sign")
        return Answer(1 / len(losses) / losses, state)
