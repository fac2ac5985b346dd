"""Random loss weighting: new weights every step, a baseline that is hard to beat."""

from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

import torch
from torch import Tensor

from ...errors import SettingError, listed
from ..base import Answer, State, StateTensor, Step, WeightedSum
from ..parts.random_weights import Distribution, random_weights
from ..parts.randomness import RANDOM_STATE, generator_of, initial_random, refuse_seed

__all__ = ["RLW"]


@dataclass(frozen=True)
class RLW(WeightedSum):
    r"""Weights drawn anew at every step.

    .. math:: \sum_i a_i L_i, \qquad a = f(z), \quad z \sim p

    with L_i the loss of task i, p the distribution and f the softmax or z / sum z. In expectation the direction is the
    mean's; what is added is noise. `RGW` puts the same weights on the gradients of the shared parameters and leaves
    the heads alone.

    Shapes:
        losses (k,) -> scalar; state ``seed``, ``step``.
    Scale:
        Weights sum to 1; their mean is 1/k.
    Degenerate:
        Weights are drawn for the present tasks. k = 1: the loss itself.
    Errors:
        `SettingError` for ``normalize="sum"`` with a distribution of both signs: the sum may be zero.
    Cost:
        k random numbers on the CPU.
    Source:
        Lin et al. (2022), arXiv:2111.10603, section 3.

    Args:
        distribution: p: ``"normal"``, ``"uniform"``, ``"truncated normal"``, ``"random normal"``, ``"dirichlet"``,
            ``"one-hot"`` (one task alone) or ``"subset"`` (equal weights on a random part of the tasks); see
            `equipoise.methods.random_weights`.
        normalize: f: ``"softmax"`` or ``"sum"``. The last three distributions lie on the simplex as they are.
        seed: Seed of the draws, at least 0.

    Example:
        >>> import equipoise as eq
        >>> eq.direction(RLW("one-hot"), [[1.0, 0.0], [0.0, 1.0]]).sum()
        tensor(1., dtype=torch.float64)
    """

    source: ClassVar[str] = "Lin et al. (2022), arXiv:2111.10603"
    cost: ClassVar[str] = "k random numbers on the CPU"
    state_tensors: ClassVar[tuple[StateTensor, ...]] = RANDOM_STATE

    distribution: Distribution = "normal"
    normalize: Literal["softmax", "sum"] = "softmax"
    seed: int = 0

    def __post_init__(self) -> None:
        if self.distribution not in get_args(Distribution):
            raise SettingError(
                f"`distribution` must be one of {listed(get_args(Distribution))}; got {self.distribution!r}."
            )
        if self.normalize not in ("softmax", "sum"):
            raise SettingError(f"`normalize` must be 'softmax' or 'sum'; got {self.normalize!r}.")
        if self.normalize == "sum" and self.distribution.endswith("normal"):
            raise SettingError(
                "`normalize='sum'` divides by the sum of the drawn numbers, so they must not be negative; "
                f"{self.distribution!r} has both signs. Use normalize='softmax', or distribution='uniform'."
            )
        refuse_seed(self.seed)

    def init(self, k: int, n: int = 0) -> State:
        del k, n
        return initial_random(self.seed)

    def claims(self, k: int) -> frozenset[str]:
        return super().claims(k) if k == 1 else super().claims(k) - {"permutation"}

    def implied_weights(self, losses: Tensor, state: State, step: Step) -> Answer:
        del step
        generator, state = generator_of(state)
        weights = random_weights(self.distribution, len(losses), generator, normalize=self.normalize)
        return Answer(torch.from_numpy(weights).to(losses), state)
