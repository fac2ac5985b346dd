"""ExcessMTL: weights climb with each task's estimated distance from its own optimum."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ...errors import SettingError
from ..base import Answer, CounterExample, JacobianMethod, State, StateTensor, Step

__all__ = ["ExcessMTL"]


@dataclass(frozen=True)
class ExcessMTL(JacobianMethod):
    r"""Multiplicative weights on estimated excess risks, robust to label noise.

    .. math:: a_i \leftarrow \frac{a_i \exp(\eta\, e_i / e_i^0)}{\sum_j a_j \exp(\eta\, e_j / e_j^0)}, \qquad
              e_i = \sum_c \frac{g_{ic}^2}{\sqrt{S_{ic}}}, \quad S_{ic} = \sum_{u \le t} g_{ic}(u)^2,
              \qquad d = J^\top a

    with g_ic the gradient of loss i in parameter c, S the sum over all steps so far (this one included), e_i the
    estimate of the excess risk :math:`L_i - \min L_i` (its second-order expansion, with AdaGrad's diagonal for the
    Hessian), e_i^0 its first value and eta the step size. A task that is merely noisy has a high loss but a small
    excess: it is not favoured, as it would be by `Tchebycheff`.

    Shapes:
        jacobian (k, n) -> direction (n,); state ``squares`` (k, n), ``first`` (k,), NaN before, and ``log_weights``
        (k,).
    Scale:
        Weights sum to 1; estimates are relative to their first values, so no unit matters.
    Degenerate:
        The first step leaves the weights at 1/k. A task with an exactly zero gradient, or absent, keeps its weight and
        its history; the others share what they have. k = 1: the gradient.
    Cost:
        8 k n bytes of memory and O(k n) a step; needs k backward passes.
    Source:
        He et al. (2024), arXiv:2402.02009, algorithm 1. We differ: coordinates that never moved are left out, where
        their code adds 1e-7 to S, which depends on the unit.

    Args:
        step_size: Step size eta of the weights, positive and finite.

    Example:
        >>> import equipoise as eq
        >>> eq.direction(ExcessMTL(), [[2.0, 0.0], [0.0, 1.0]])  # the first step is the mean
        tensor([1.0000, 0.5000], dtype=torch.float64)
    """

    source: ClassVar[str] = "He et al. (2024), arXiv:2402.02009"
    cost: ClassVar[str] = "O(k n); remembers k n numbers"
    state_tensors: ClassVar[tuple[StateTensor, ...]] = (
        StateTensor("squares", merge="mean"),
        StateTensor("first", merge="mean"),
        StateTensor("log_weights", merge="mean"),
    )

    step_size: float = 0.1

    def __post_init__(self) -> None:
        if not 0 < self.step_size < float("inf"):
            raise SettingError(f"`step_size` must be positive and finite; got {self.step_size}.")

    def init(self, k: int, n: int = 0) -> State:
        return {
            "squares": torch.zeros((k, n), dtype=torch.float64),
            "first": torch.full((k,), torch.nan, dtype=torch.float64),
            "log_weights": torch.full((k,), 1 / k, dtype=torch.float64).log(),
        }

    def claims(self, k: int) -> frozenset[str]:
        laws = {"permutation", "unanimity", "degree", "single"}
        return frozenset(laws | {"no_conflict"} if k == 1 else laws)

    def degree(self) -> float:
        return 1.0

    def refutes(self) -> Mapping[str, CounterExample]:
        return {"no_conflict": CounterExample(((1.0,), (-50.0,)))}

    def direction(self, jacobian: Tensor, state: State, step: Step) -> Answer:
        del step
        rows = jacobian.to(state["squares"])
        moving = (rows**2).amax(dim=1) > 0  # a gradient whose square vanishes in float64 counts as zero
        squares = state["squares"] + rows**2
        excess = (rows**2 / torch.where(squares > 0, squares, 1.0).sqrt()).sum(dim=1)
        first = torch.where(moving & state["first"].isnan(), excess, state["first"])
        climb = torch.where(moving, self.step_size * excess / first, 0.0)
        before = state["log_weights"]
        after = before + climb
        # the tasks that take part share what they had together
        share, grown = (_log_sum(logs, moving) for logs in (before, after))
        after = torch.where(moving, after - grown + share, before)
        weights = torch.softmax(after, dim=0)
        return Answer(weights.to(jacobian) @ jacobian, {"squares": squares, "first": first, "log_weights": after})


def _log_sum(logs: Tensor, chosen: Tensor) -> Tensor:
    return torch.logsumexp(torch.where(chosen, logs, -torch.inf), dim=0)
