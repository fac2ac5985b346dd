"""Random gradient weighting: fresh random weights on the gradients at every step."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, get_args

import torch
from torch import Tensor

from ...errors import SettingError, listed
from ..base import Answer, CounterExample, GramianMethod, State, StateTensor, Step
from ..parts.random_weights import Distribution, random_weights
from ..parts.randomness import RANDOM_STATE, generator_of, initial_random, refuse_seed

__all__ = ["RGW"]


@dataclass(frozen=True)
class RGW(GramianMethod):
    r"""Weights drawn anew at each step.

    .. math:: d = \sum_i a_i g_i, \qquad a = \operatorname{softmax}(z), \quad z_i \sim \mathcal N(0, 1)

    independent of the gradients. `RLW` puts the same weights on the losses, heads included; here a head keeps its own
    gradient. A baseline: a method that is not better than this on average has shown nothing.

    Shapes:
        gramian (k, k) -> weights (k,), the size of G alone is looked at; state ``seed``, ``step``.
    Scale:
        Weights sum to 1; their mean is 1/k.
    Degenerate:
        A zero gradient keeps its weight, which moves nothing. k = 1: the gradient.
    Cost:
        k random numbers on the CPU; nothing is read from the device while the state lies on the CPU.
    Source:
        Lin et al. (2022), arXiv:2111.10603.

    Args:
        distribution: ``"normal"``, ``"uniform"``, ``"truncated normal"``, ``"random normal"`` (softmax of each),
            ``"dirichlet"``, ``"one-hot"`` or ``"subset"``; see `equipoise.methods.random_weights`.
        seed: Seed of the draws, at least 0.

    Example:
        >>> import equipoise as eq
        >>> eq.direction(RGW("one-hot"), [[1.0, 0.0], [0.0, 1.0]])
        tensor([0., 1.], dtype=torch.float64)
    """

    source: ClassVar[str] = "Lin et al. (2022), arXiv:2111.10603"
    cost: ClassVar[str] = "none"
    state_tensors: ClassVar[tuple[StateTensor, ...]] = RANDOM_STATE
    on_host: ClassVar[bool] = False

    distribution: Distribution = "normal"
    seed: int = 0

    def __post_init__(self) -> None:
        if self.distribution not in get_args(Distribution):
            raise SettingError(
                f"`distribution` must be one of {listed(get_args(Distribution))}; got {self.distribution!r}."
            )
        refuse_seed(self.seed)

    @property
    def leaves_out_zero_gradients(self) -> bool:
        return False

    def init(self, k: int, n: int = 0) -> State:
        del k, n
        return initial_random(self.seed)

    def claims(self, k: int) -> frozenset[str]:
        laws = {"simplex", "unanimity", "degree", "single"}
        return frozenset(laws | {"permutation", "no_conflict", "task_scale"} if k == 1 else laws)

    def degree(self) -> float:
        return 1.0

    def refutes(self) -> Mapping[str, CounterExample]:
        if self.distribution == "subset":  # all weights may be equal
            return {}
        return {"permutation": CounterExample(((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)))}

    def weights(self, gramian: Tensor, state: State, step: Step) -> Answer:
        del step
        generator, state = generator_of(state)
        drawn = random_weights(self.distribution, len(gramian), generator)
        return Answer(torch.from_numpy(drawn).to(gramian), state)
