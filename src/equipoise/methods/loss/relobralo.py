"""Relative loss balancing with random lookback: progress since the last step, and now and then since the first."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ...errors import SettingError
from ..base import Answer, State, StateTensor, Step, WeightedSum
from ..parts.domain import is_non_negative, is_positive, refuse_negative_losses
from ..parts.randomness import RANDOM_STATE, generator_of, initial_random, refuse_seed

__all__ = ["ReLoBRaLo"]

_LARGEST = torch.finfo(torch.float64).max / 4


@dataclass(frozen=True)
class ReLoBRaLo(WeightedSum):
    r"""Weights from relative progress, smoothed, with random looks back to the first step.

    .. math:: b(t; u) = \operatorname{softmax}_i \frac{L_i(t)}{T L_i(u)}, \qquad
              h = r\, a(t-1) + (1 - r)\, b(t; 0), \qquad a(t) = \alpha h + (1 - \alpha)\, b(t; t-1)

    with L_i(t) the loss of task i, r drawn from Bernoulli(rho) at every step, T the temperature, a(-1) = 1/k.

    Shapes:
        losses (k,) -> scalar; state ``initial``, ``last`` (NaN before the first step), ``weights``: each (k,);
        ``seed``, ``step``.
    Scale:
        Weights sum to 1 (published: k) and do not change with the unit of any single loss.
    Degenerate:
        A task seen for the first time, or whose loss then was exactly 0, has the ratio 1. Present tasks share what
        weight they had together; absent ones keep theirs. k = 1: the loss itself.
    Errors:
        `LossError` for a negative loss.
    Cost:
        O(k).
    Source:
        Bischof & Kraus (2021), arXiv:2110.09813, eqs. 9 to 11.

    Args:
        alpha: Memory of the weights, 0 to 1.
        rho: Chance to keep the weights' history in a step; 1 - rho looks back to the first step. 0 to 1.
        T: Temperature of the softmax, > 0.
        seed: Seed of the draws, at least 0.

    Example:
        >>> import equipoise as eq
        >>> eq.direction(ReLoBRaLo(), [[1.0, 0.0], [0.0, 1.0]], losses=[3.0, 2.0])  # no history yet
        tensor([0.5000, 0.5000], dtype=torch.float64)
    """

    source: ClassVar[str] = "Bischof & Kraus (2021), arXiv:2110.09813"
    cost: ClassVar[str] = "O(k)"
    state_tensors: ClassVar[tuple[StateTensor, ...]] = (
        StateTensor("initial", merge="mean"),
        StateTensor("last", merge="mean"),
        StateTensor("weights", merge="mean"),
        *RANDOM_STATE,
    )

    alpha: float = 0.999
    rho: float = 0.999
    T: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        shares = all(is_non_negative(share) and share <= 1 for share in (self.alpha, self.rho))
        if not (shares and is_positive(self.T)):
            raise SettingError(
                f"`alpha` and `rho` must lie between 0 and 1, `T` be positive and finite; got alpha={self.alpha!r}, "
                f"rho={self.rho!r}, T={self.T!r}."
            )
        refuse_seed(self.seed)

    def init(self, k: int, n: int = 0) -> State:
        del n
        unseen = torch.full((k,), torch.nan, dtype=torch.float64)
        even = torch.full((k,), 1 / k, dtype=torch.float64)
        return {"initial": unseen, "last": unseen.clone(), "weights": even, **initial_random(self.seed)}

    def implied_weights(self, losses: Tensor, state: State, step: Step) -> Answer:
        refuse_negative_losses(losses, step.tasks, "ReLoBRaLo", "LinearScalarization", why="compares loss ratios")
        generator, state = generator_of(state)
        keep = bool(generator.random() < self.rho)
        initial = torch.where(state["initial"].isnan(), losses, state["initial"])
        mass = state["weights"].sum()
        own = torch.where(mass > 0, state["weights"] / mass, 1 / len(losses))
        history = own if keep else self._balance(losses, initial)
        weights = torch.lerp(self._balance(losses, state["last"]), history, self.alpha)
        weights = weights / weights.sum()  # rounding must not pile up over a long run
        after = {**state, "initial": initial, "last": losses, "weights": weights * mass}
        return Answer(weights, after)

    def _balance(self, now: Tensor, then: Tensor) -> Tensor:
        ratio = torch.where(then > 0, now / then, 1.0)  # NaN, a task not seen before, is not above 0
        return torch.softmax((ratio / self.T).clamp(max=_LARGEST), dim=0)
