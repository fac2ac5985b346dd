"""A weighted sum with a reward for keeping to the preference's direction."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ...core.tasks import PerTask, freeze_per_task
from ...errors import SettingError
from ..base import Answer, CounterExample, LossMethod, State, Step
from ..parts.domain import is_non_negative
from ..parts.lengths import ROUNDING, direction_and_length
from .linear_scalarization import preference_factors, preference_ray, refuse_negative

__all__ = ["COSMOS"]


@dataclass(frozen=True)
class COSMOS(LossMethod):
    r"""The COSMOS criterion for one preference.

    .. math:: w^\top L - c \cos(L, w), \qquad \cos(L, w) = \frac{w^\top L}{\|w\| \|L\|}

    with L the losses, w the preference (sum 1) and c the weight of the cosine. This is the criterion alone; the network
    that is conditioned on w belongs to the front.

    Shapes:
        losses (k,) -> scalar.
    Scale:
        The first term has the mean's scale; the second has none: its gradient is at most c/|L|, so c is to be tuned
        in the unit of a loss. There is no degree, but for c = 0.
    Degenerate:
        All losses exactly zero: the cosine has no direction and is left out. Implied weights of tasks far below the
        direction of w are NEGATIVE. k = 1: the loss itself.
    Cost:
        None.
    Source:
        Ruchte & Grabocka (2021), arXiv:2103.13392, eq. 5.

    Args:
        weights: w, non-negative, normalised to sum 1; None for 1/k each.
        c: Weight of the cosine, at least 0; 8 as in the authors' largest experiment, 0 is the weighted mean.

    Example:
        >>> import equipoise as eq
        >>> eq.direction(COSMOS(c=8.0), [[1.0, 0.0], [0.0, 1.0]], losses=[2.0, 2.0])  # already in w's direction
        tensor([0.5000, 0.5000], dtype=torch.float64)
    """

    source: ClassVar[str] = "Ruchte & Grabocka (2021), arXiv:2103.13392"
    cost: ClassVar[str] = "none"

    weights: PerTask | None = None
    c: float = 8.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "weights", freeze_per_task(self.weights, "weights"))
        refuse_negative(self.weights, "COSMOS(weights)")
        if not is_non_negative(self.c):
            raise SettingError(f"`c` must be finite and at least 0; got {self.c!r}.")

    def claims(self, k: int) -> frozenset[str]:
        laws = set() if self.degree() is None else {"degree"}
        if self.weights is None:
            laws |= {"permutation", "single"}
            laws |= {"simplex", "unanimity"} if self.c == 0 else set()
            laws |= {"unanimity", "no_conflict"} if k == 1 else set()
        return frozenset(laws)

    def degree(self) -> float | None:
        return 1.0 if self.c == 0 else None

    def refutes(self) -> Mapping[str, CounterExample]:
        return {} if self.weights is not None else {"no_conflict": CounterExample(((1.0,), (-5.0,)))}

    def scalar(self, losses: Tensor, state: State, step: Step) -> Answer:
        preference = self._preference(losses, step)
        mean = (preference * losses).sum()
        ray, (unit, size) = preference_ray(self.weights, step.tasks, losses), direction_and_length(losses)
        return Answer(mean - self.c * torch.where(size > 0, (ray * unit).sum(), 0.0), state)

    def implied_weights(self, losses: Tensor, state: State, step: Step) -> Answer:
        preference = self._preference(losses, step)
        ray, (unit, size) = preference_ray(self.weights, step.tasks, losses), direction_and_length(losses)
        aside = ray - (ray @ unit) * unit
        # a residual of pure rounding has a direction that means nothing
        slope = torch.where((aside.norm() > ROUNDING) & (size > 0), aside / size, 0.0)  # of the cosine
        return Answer(preference - self.c * slope, state)

    def _preference(self, losses: Tensor, step: Step) -> Tensor:
        everyone = len(losses) if self.weights is None else len(step.tasks.names)
        return preference_factors(self.weights, step.tasks, losses) / everyone
