"""The worst weighted loss: reaches every point of the front, convex or not."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ...core.tasks import PerTask, Preference, freeze_per_task
from ...errors import SettingError
from ..base import Answer, CounterExample, LossMethod, State, StateTensor, Step
from ..parts.domain import is_non_negative
from ..parts.ideal import IDEAL_STATE, Ideal, freeze_ideal, initial_ideal, measure_from_ideal, utopia_shift
from .linear_scalarization import counted, preference_factors, refuse_negative

__all__ = ["Tchebycheff"]


@dataclass(frozen=True)
class Tchebycheff(LossMethod, Preference):
    r"""The largest weighted distance from an ideal point.

    .. math:: \max_i k w_i (L_i - z_i) + \rho \sum_i k w_i (L_i - z_i), \qquad
              z_i = \mathrm{ideal}_i - \mathrm{utopia} \cdot |\mathrm{ideal}_i|

    with w the preference (sum 1), z the utopia point and rho the augmentation. Every Pareto-optimal point is a
    minimiser for some w, also where the front is not convex, if z lies below what any model attains (Miettinen 1999,
    theorem 3.4.5); with z at the ideal itself, points at which a task has its own best loss may be missed. Exact ties
    share the gradient equally. A task of weight 0 takes no part.

    Shapes:
        losses (k,) -> scalar.
    Scale:
        Equal weights give factors k w_i = 1: the step of the worst task alone has the size of the mean's.
    Degenerate:
        All losses equal: the mean of the gradients. k = 1: the loss itself. With a running ideal the first step has
        L_i - z_i = utopia |L_i|.
    Errors:
        `LossError` where a given ideal lies above a loss.
    Cost:
        None.
    Source:
        Bowman (1976); Steuer & Choo (1983) for the augmentation. We differ: the utopia shift is relative to the
        ideal, so that the unit of a loss does not matter, and the preference is multiplied by k.

    Args:
        weights: Preference, non-negative, by task name or in task order; None for 1/k each.
        ideal: ``"running"`` (lowest loss seen of each task, this step included), one number a task, or None for zero.
        utopia: Shift of z below the ideal, relative (0.01 is 1 %), at least 0; positive keeps L - z > 0
            (unless the ideal is exactly 0). None is 0.01 for a running ideal and 0 for a given one, which is then
            used as written.
        augmented: rho, at least 0; 1e-3 to 1e-2 excludes weakly optimal points, and points with trade-offs steeper
            than about 1/rho.

    Example:
        >>> import equipoise as eq
        >>> eq.direction(Tchebycheff(ideal=None), [[1.0, 0.0], [0.0, 1.0]], losses=[3.0, 2.0])
        tensor([1., 0.], dtype=torch.float64)
    """

    source: ClassVar[str] = "Bowman (1976); Steuer & Choo (1983)"
    cost: ClassVar[str] = "none"
    state_tensors: ClassVar[tuple[StateTensor, ...]] = (IDEAL_STATE,)

    weights: PerTask | None = None
    ideal: Ideal = "running"
    utopia: float | None = None
    augmented: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "weights", freeze_per_task(self.weights, "weights"))
        object.__setattr__(self, "ideal", freeze_ideal(self.ideal))
        object.__setattr__(self, "utopia", utopia_shift(self.utopia, self.ideal))
        refuse_negative(self.weights, "Tchebycheff(weights)")
        if not (is_non_negative(self.utopia) and is_non_negative(self.augmented)):
            raise SettingError(
                f"`utopia` and `augmented` must be at least 0 and finite; got utopia={self.utopia!r}, "
                f"augmented={self.augmented!r}."
            )

    def init(self, k: int, n: int = 0) -> State:
        del n
        return initial_ideal(k)

    def claims(self, k: int) -> frozenset[str]:
        laws = set() if self.degree() is None else {"degree"}
        if self.weights is None and (self.ideal is None or self.ideal == "running"):
            laws |= {"permutation"}
            if self.augmented == 0:
                laws |= {"simplex", "unanimity", "single"} | ({"no_conflict"} if k == 1 else set())
        return frozenset(laws)

    def degree(self) -> float | None:
        return 1.0 if self.ideal is None or self.ideal == "running" else None

    def refutes(self) -> Mapping[str, CounterExample]:
        if self.weights is not None or not (self.ideal is None or self.ideal == "running") or self.augmented:
            return {}
        return {"no_conflict": CounterExample(((1.0, 0.0), (-1.0, 1.0)), losses=(2.0, 1.0))}

    def scalar(self, losses: Tensor, state: State, step: Step) -> Answer:
        _, terms, candidates, state = self._terms(losses, state, step)
        return Answer(candidates.amax() + self.augmented * terms.sum(), state)

    def implied_weights(self, losses: Tensor, state: State, step: Step) -> Answer:
        factors, _, candidates, state = self._terms(losses, state, step)
        largest = (candidates == candidates.amax()).to(losses)
        return Answer(factors * (largest / largest.sum() + self.augmented), state)  # ties share alike, as in autograd

    def _terms(self, losses: Tensor, state: State, step: Step) -> tuple[Tensor, Tensor, Tensor, State]:
        """Factors k w, terms k w (L - z), those that may be the largest (the others -inf), and the new state."""
        above, state = measure_from_ideal(losses, self.ideal, self.utopia, state, step)
        factors = preference_factors(self.weights, step.tasks, losses)
        terms = factors * above
        # a task of weight 0 would be the largest where all terms are negative
        return factors, terms, torch.where(counted(self.weights, step.tasks, losses), terms, -torch.inf), state
