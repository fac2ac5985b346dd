"""The min-norm point pulled towards the mean gradient."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

import torch
from torch import Tensor

from ...errors import SettingError, listed
from ...solve.regularized_min_norm import pulled_min_norm
from ..base import Answer, CounterExample, GramianMethod, State, StateTensor, Step
from ..parts.dual_weights import DUAL_STATE, simplex_step, uniform_dual

__all__ = ["SDMGrad", "Sampling"]

Sampling = Literal["single", "double"]


@dataclass(frozen=True)
class SDMGrad(GramianMethod):
    r"""Stochastic direction-oriented multi-objective gradient descent.

    .. math:: a^* = \arg\min_{a \ge 0,\; \sum_i a_i = 1} |g_a + \lambda g_0|^2, \qquad
              d = \frac{g_a + \lambda g_0}{1 + \lambda}, \qquad g_0 = \tfrac1k \sum_i g_i

    :math:`\lambda = 0` is MGDA, a large one the mean. ``sampling="single"`` solves this exactly for the step's
    gradients. ``sampling="double"`` is the published stochastic form: a is remembered and takes one projected gradient
    step, a <- Proj(a - step_size * J1 (J2^T a + lam * g0)), with J1, J2 from two independent batches, so that the step
    is unbiased.

    Shapes:
        gramian (k, k), for ``"double"`` also the cross Gramian J1 J2^T (k, k) -> weights (k,); state ``dual`` (k,).
    Scale:
        Weights sum to 1 (a zero gradient's part of the mean is missing). ``"single"``: ``c * J`` gives ``c * d``;
        ``"double"``: no such law, since `step_size` is per squared unit of a gradient.
    Degenerate:
        Dependent gradients: the shortest weights, status ``RANK_DEFICIENT``. A stationary point: d follows the formula,
        status ``STATIONARY``. A zero gradient is left out, and the mean still counts it. k = 1: the gradient. Where
        ``"double"`` is given one batch only, J1 = J2 is used and the step is biased.
    Cost:
        O(k^3) on the CPU: 0.1 ms for k = 10. ``"double"``: O(k^2), and a second batch.
    Source:
        Xiao et al. (2023), arXiv:2305.18409, eq. 4, algorithm 1. We differ: d is divided by 1 + lambda; ``"single"``
        is exact, where the authors take 20 steps with momentum on a rescaled G; ``"double"`` takes one inner step.

    Args:
        lam: Weight lambda of the mean gradient, at least 0.
        sampling: Number of batches a step, ``"single"`` or ``"double"``.
        step_size: Size of the projected step of ``"double"``, positive, per squared unit of a gradient.

    Example:
        >>> import equipoise as eq
        >>> eq.direction(SDMGrad(lam=1.0), [[1.0, 0.0], [0.0, 1.0]])
        tensor([0.5000, 0.5000], dtype=torch.float64)
    """

    source: ClassVar[str] = "Xiao et al. (2023), arXiv:2305.18409"
    cost: ClassVar[str] = "O(k^3) on the CPU; sampling='double': O(k^2) and a second batch"
    state_tensors: ClassVar[tuple[StateTensor, ...]] = DUAL_STATE

    lam: float = 0.3
    sampling: Sampling = "single"
    step_size: float = 0.1

    def __post_init__(self) -> None:
        if not 0 <= self.lam < float("inf"):
            raise SettingError(f"`lam` must be at least 0 and finite; got {self.lam}.")
        if self.sampling not in get_args(Sampling):
            raise SettingError(f"`sampling` must be one of {listed(get_args(Sampling))}; got {self.sampling!r}.")
        if not 0 < self.step_size < float("inf"):
            raise SettingError(f"`step_size` must be positive and finite; got {self.step_size}.")
        object.__setattr__(self, "samples_twice", self.sampling == "double")  # a second batch would else go unused

    @property
    def remembers_units(self) -> bool:
        return self.sampling == "double"  # else the remembered weights are not used

    def init(self, k: int, n: int = 0) -> State:
        del n
        return uniform_dual(k)

    def claims(self, k: int) -> frozenset[str]:
        laws = {"unanimity", "single"}
        if self.sampling == "single":
            laws |= {"permutation", "degree"} | ({"no_conflict"} if self.lam == 0 or k == 1 else set())
        return frozenset(laws)

    def degree(self) -> float | None:
        return 1.0 if self.sampling == "single" else None

    def refutes(self) -> Mapping[str, CounterExample]:
        found = {"task_scale": CounterExample(((1.0, 0.0), (0.0, 1.0)))} if self.sampling == "single" else {}
        if self.lam > 0 and self.sampling == "single":
            # two gradients turned from each other: the longer the second, the more the mean opposes the first
            found["no_conflict"] = CounterExample(((1.0, 0.0), (-10 * (1 + 1 / self.lam), 1.0)))
        return found

    def weights(self, gramian: Tensor, state: State, step: Step) -> Answer:
        pull = self.lam / step.count  # lambda g_0 in weights: a row that was left out counts in the mean
        if self.sampling == "double":
            cross = gramian if step.cross_gramian is None else step.cross_gramian
            inner, after = simplex_step(state, lambda a: cross @ (a + pull), self.step_size)
            return Answer((inner + pull) / (1 + self.lam), after)
        solution = pulled_min_norm(gramian.numpy(), pull * len(gramian), checked=True)
        weights = (torch.from_numpy(solution.value) + pull) / (1 + self.lam)
        return Answer(weights, state, solution.status, solution.certificate)
