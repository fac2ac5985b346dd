"""Penalty-based boundary intersection: go down a ray, pay for leaving it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ...core.tasks import PerTask, freeze_per_task
from ...errors import SettingError
from ..base import Answer, CounterExample, LossMethod, State, StateTensor, Step
from ..parts.domain import is_non_negative
from ..parts.ideal import IDEAL_STATE, Ideal, freeze_ideal, initial_ideal, measure_from_ideal
from ..parts.lengths import ROUNDING, direction_and_length
from .linear_scalarization import preference_ray, refuse_negative

__all__ = ["PBI"]


@dataclass(frozen=True)
class PBI(LossMethod):
    r"""Distance along a ray of losses plus a penalty for the distance from it.

    .. math:: d_1 + \theta d_2, \qquad d_1 = u^\top (L - z), \quad d_2 = \|L - z - d_1 u\|, \quad u = w / \|w\|

    with L the losses, z the ideal, w the direction of the ray in the space of losses and theta the penalty. The
    implied weights are :math:`u + \theta (L - z - d_1 u)/d_2`.

    Shapes:
        losses (k,) -> scalar; state ``ideal`` (k,).
    Scale:
        In the unit of a loss (degree 1). |u| = 1: on the ray with equal weights every task has 1/sqrt(k).
    Degenerate:
        On the ray, up to rounding, the penalty has no gradient (one of its subgradients). A task far below the ray has
        a NEGATIVE weight: its loss is raised on purpose, to come back to the ray. k = 1: the loss itself.
    Errors:
        `LossError` where a given ideal lies above a loss.
    Cost:
        None.
    Source:
        Zhang & Li (2007), MOEA/D, eq. 8 of section III-A. Their z lies at the ideal; so does ours, zero by default.

    Args:
        weights: w, non-negative; None for equal entries.
        theta: Weight of the distance from the ray, at least 0; 5 as published. 0 is `LinearScalarization` up to a
            factor; large theta follows the ray.
        ideal: z: None for zero, ``"running"``, or one number a task.

    Example:
        >>> import equipoise as eq
        >>> eq.direction(PBI(theta=1.0), [[1.0, 0.0], [0.0, 1.0]], losses=[3.0, 1.0])  # task 1 is better than asked
        tensor([1.4142, 0.0000], dtype=torch.float64)
    """

    source: ClassVar[str] = "Zhang & Li (2007), IEEE Transactions on Evolutionary Computation 11"
    cost: ClassVar[str] = "none"
    state_tensors: ClassVar[tuple[StateTensor, ...]] = (IDEAL_STATE,)

    weights: PerTask | None = None
    theta: float = 5.0
    ideal: Ideal = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "weights", freeze_per_task(self.weights, "weights"))
        object.__setattr__(self, "ideal", freeze_ideal(self.ideal))
        refuse_negative(self.weights, "PBI(weights)")
        if not is_non_negative(self.theta):
            raise SettingError(f"`theta` must be finite and at least 0; got {self.theta!r}.")

    def init(self, k: int, n: int = 0) -> State:
        del n
        return initial_ideal(k)

    def claims(self, k: int) -> frozenset[str]:
        laws = set() if self.degree() is None else {"degree"}
        if self.weights is None and (self.ideal is None or self.ideal == "running"):
            laws |= {"permutation", "single"} | ({"simplex", "unanimity", "no_conflict"} if k == 1 else set())
        return frozenset(laws)

    def degree(self) -> float | None:
        return 1.0 if self.ideal is None or self.ideal == "running" else None

    def refutes(self) -> Mapping[str, CounterExample]:
        if self.weights is not None or self.ideal is not None:
            return {}
        pair = CounterExample(((1.0,), (1.0,)))
        return {"simplex": pair, "unanimity": pair, "no_conflict": CounterExample(((1.0,), (-5.0,)))}

    def scalar(self, losses: Tensor, state: State, step: Step) -> Answer:
        along, aside, _, state = self._parts(losses, state, step)
        return Answer(along + self.theta * direction_and_length(aside)[1], state)

    def implied_weights(self, losses: Tensor, state: State, step: Step) -> Answer:
        _, aside, ray, state = self._parts(losses, state, step)
        outward = direction_and_length(aside)[0]
        return Answer(ray + self.theta * (outward - (outward @ ray) * ray), state)

    def _parts(self, losses: Tensor, state: State, step: Step) -> tuple[Tensor, Tensor, Tensor, State]:
        """How far the losses lie along the ray (a number) and beside it (k,); the ray, of length 1; the new state."""
        above, state = measure_from_ideal(losses, self.ideal, 0.0, state, step)
        ray = preference_ray(self.weights, step.tasks, losses)  # zeros: only the penalty is left
        along = (ray * above).sum()
        aside = above - along * ray
        near = aside.detach().abs().amax() <= ROUNDING * above.detach().abs().amax()
        # a residual of pure rounding has a direction that means nothing
        return along, torch.where(near, torch.zeros_like(aside), aside), ray, state
