"""Learning-rate annealing for physics-informed networks: weights from the largest entry over the mean entry."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ...errors import SettingError
from ..base import Answer, CounterExample, JacobianMethod, State, StateTensor, Step
from ..parts.primary import primary_row, refuse_primary

__all__ = ["GradientAnnealing"]


@dataclass(frozen=True)
class GradientAnnealing(JacobianMethod):
    r"""Gradients of boundary and initial conditions brought to the size of the largest entry of the residual's.

    .. math:: d = \frac1k \Big( g_1 + \sum_{i \ge 2} \lambda_i g_i \Big), \qquad
              \lambda_i \leftarrow \beta \lambda_i + (1 - \beta)
              \frac{\max_c |g_{1c}|}{\tfrac1n \sum_c |g_{ic}|}

    with task 1 the residual of the equation, g_ic the gradient of loss i in parameter c, n the number of shared
    parameters, and lambda the factors, 1 at the beginning. The step uses the new factors.

    Shapes:
        jacobian (k, n) -> direction (n,); state ``factors`` (k,), lambda, 1 for the primary task.
    Scale:
        With factors of 1 the mean gradient; they grow with max over mean, which is large for many parameters. ``c * J``
        gives ``c * d``.
    Degenerate:
        A task whose gradient is exactly zero keeps its factor. Primary task absent, or its gradient exactly zero: all
        factors stay. k = 1: the gradient.
    Errors:
        `TaskError` where no task has the name `primary`.
    Cost:
        O(k n) a step, on the Jacobian's device; needs k backward passes. Published every 10 steps.
    Source:
        Wang, Teng & Perdikaris (2021), arXiv:2001.04536, algorithm 1. We differ: the mean instead of the sum. Paper and
        code disagree, and we follow one each: the mean entry is that of L_i, as in algorithm 1 (the code takes that of
        lambda_i L_i, whose factors settle at the square root), and beta = 0.9 is the share of the old factor, as in
        the code.

    Args:
        primary: Name of the task of the residual; None for the first one.
        beta: Share of the old factor, in [0, 1); 0 for no memory.

    Example:
        >>> import equipoise as eq
        >>> eq.direction(GradientAnnealing(beta=0.0), [[4.0, 0.0], [0.0, 2.0]])  # lambda_2 = 4 / 1
        tensor([2., 4.], dtype=torch.float64)
    """

    source: ClassVar[str] = "Wang, Teng & Perdikaris (2021), arXiv:2001.04536"
    cost: ClassVar[str] = "O(k n)"
    state_tensors: ClassVar[tuple[StateTensor, ...]] = (StateTensor("factors"),)

    primary: str | None = None
    beta: float = 0.9

    def __post_init__(self) -> None:
        refuse_primary(self.primary)
        if not 0 <= self.beta < 1:
            raise SettingError(f"`beta` must lie in [0, 1); got {self.beta!r}.")

    def init(self, k: int, n: int = 0) -> State:
        del n
        return {"factors": torch.ones(k, dtype=torch.float64)}

    def claims(self, k: int) -> frozenset[str]:
        laws = {"degree", "single"}
        return frozenset(laws | {"permutation", "unanimity", "no_conflict"} if k == 1 else laws)

    def degree(self) -> float:
        return 1.0

    def refutes(self) -> Mapping[str, CounterExample]:
        return {
            "permutation": CounterExample(((4.0, 0.0), (0.0, 1.0))),
            "unanimity": CounterExample(((2.0, 1.0), (2.0, 1.0))),
            "no_conflict": CounterExample(((1.0, 0.0), (-50.0, -20.0))),
        }

    def direction(self, jacobian: Tensor, state: State, step: Step) -> Answer:
        sizes, factors = jacobian.abs(), state["factors"].to(jacobian)
        row = primary_row(step.tasks, self.primary)
        if row is not None and sizes.shape[1]:
            largest, means = sizes[row].max(), sizes.mean(dim=1)
            moved = (means > 0) & (largest > 0)
            moved[row] = False
            fresh = largest / torch.where(moved, means, 1.0)
            factors = torch.where(moved, self.beta * factors + (1 - self.beta) * fresh, factors)
        return Answer(factors @ jacobian / step.count, {"factors": factors.to(state["factors"])})
