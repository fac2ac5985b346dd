"""The geometric mean of the losses."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from ..base import Answer, CounterExample, LossMethod, State, Step
from ..parts.domain import refuse_nonpositive

__all__ = ["GeometricLoss"]


@dataclass(frozen=True)
class GeometricLoss(LossMethod):
    r"""The geometric mean, computed through logarithms so that the product neither over- nor underflows.

    .. math:: \phi = \Bigl(\prod_{i=1}^k L_i\Bigr)^{1/k} = \exp\Bigl(\frac1k \sum_i \log L_i\Bigr),
              \qquad a_i = \frac{\phi}{k L_i}

    with L_i > 0 the loss of task i and a_i its implied weight. Same direction as `ScaleInvariant`, times phi.

    Shapes:
        losses (k,) -> scalar.
    Scale:
        In the unit of a loss (degree 1). The implied weights sum to the geometric over the harmonic mean of the losses:
        1 for equal losses, more otherwise.
    Degenerate:
        A loss that tends to 0 takes the criterion to 0 while its weight grows without bound. k = 1: the loss itself.
    Errors:
        `LossError` for a loss that is not positive.
    Cost:
        None.
    Source:
        Chennupati et al. (2019), MultiNet++, arXiv:1904.08492, eq. 2. We differ: logarithms in place of the product.

    Example:
        >>> import equipoise as eq
        >>> eq.direction(GeometricLoss(), [[1.0, 0.0], [0.0, 1.0]], losses=[4.0, 1.0])
        tensor([0.2500, 1.0000], dtype=torch.float64)
    """

    source: ClassVar[str] = "Chennupati et al. (2019), arXiv:1904.08492"
    cost: ClassVar[str] = "none"

    def claims(self, k: int) -> frozenset[str]:
        laws = {"permutation", "degree", "single", "task_scale"}
        return frozenset(laws | {"simplex", "unanimity", "no_conflict"} if k == 1 else laws)

    def degree(self) -> float:
        return 1.0

    def refutes(self) -> Mapping[str, CounterExample]:
        unequal = CounterExample(((1.0,), (1.0,)), losses=(4.0, 1.0))
        return {
            "simplex": unequal,
            "unanimity": unequal,
            "no_conflict": CounterExample(((3.0, 0.0), (-1.0, 1.0))),
        }

    def scalar(self, losses: Tensor, state: State, step: Step) -> Answer:
        refuse_nonpositive(losses, step.tasks, "GeometricLoss", "LinearScalarization, which takes losses of any sign")
        return Answer(losses.log().mean().exp(), state)

    def implied_weights(self, losses: Tensor, state: State, step: Step) -> Answer:
        value = self.scalar(losses, state, step).value
        return Answer(value / len(losses) / losses, state)
