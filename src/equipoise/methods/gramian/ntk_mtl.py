"""NTKMTL: weights from each task's share of the trace of the tangent kernel, a power of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ...errors import SettingError
from ..base import Answer, CounterExample, GramianMethod, State, Step

__all__ = ["NTKMTL"]


@dataclass(frozen=True)
class NTKMTL(GramianMethod):
    r"""Weights that even out how fast the tasks converge, with one gradient a task (n = 1 in the paper).

    .. math:: d = \frac1k \sum_i \Big( \frac{\tfrac1k \sum_j \lambda_j}{\lambda_i} \Big)^p g_i, \qquad
              \lambda_i = |g_i|^2

    :math:`\lambda_i` is the largest eigenvalue of task i's neural tangent kernel, which for one loss value a task is
    the squared norm of its gradient; p is the exponent. At p = 1/2 the direction is that of `InverseNorm`, with the
    length of the root mean square of the norms times the mean of the unit gradients; at p = 1 it is `NTKWeights` on
    the losses' own kernel, without memory.

    Shapes:
        gramian (k, k) -> weights (k,); only the diagonal is read.
    Scale:
        With equal norms the mean gradient; ``c * J`` gives ``c * d``. The weights do not sum to 1.
    Degenerate:
        An exactly zero gradient gets weight 0, and the means still count it; if all are zero, each gets 1/k.
        k = 1: the gradient.
    Cost:
        O(k) on the device of G; nothing is copied.
    Source:
        Qin et al. (2025), arXiv:2510.18258, by the authors' code for n = 1. We differ: k times the trace and k times
        the sum are divided out, so that equal norms give the mean.

    Args:
        exponent: Power p of the ratio, positive; 0.5 as published, the authors' page also suggests 0.75.

    Example:
        >>> import equipoise as eq
        >>> eq.direction(NTKMTL(), [[7.0, 0.0], [0.0, 1.0]])  # root mean square 5
        tensor([2.5000, 2.5000], dtype=torch.float64)
    """

    source: ClassVar[str] = "Qin et al. (2025), arXiv:2510.18258"
    cost: ClassVar[str] = "O(k)"
    on_host: ClassVar[bool] = False

    exponent: float = 0.5

    def __post_init__(self) -> None:
        if not 0 < self.exponent < float("inf"):
            raise SettingError(f"`exponent` must be positive and finite; got {self.exponent!r}.")

    def claims(self, k: int) -> frozenset[str]:
        laws = {"permutation", "unanimity", "degree", "single"}
        if self.exponent == 0.5:
            laws |= {"task_scale"} | ({"no_conflict"} if k <= 2 else set())
        return frozenset(laws | {"no_conflict"} if k == 1 else laws)

    def degree(self) -> float:
        return 1.0

    def refutes(self) -> Mapping[str, CounterExample]:
        three = CounterExample(((1.0, 0.0), (-1.0, 0.2), (-1.0, -0.1)))
        found = {"no_conflict": three, "simplex": CounterExample(((3.0, 0.0), (0.0, 1.0)))}
        return found if self.exponent == 0.5 else {**found, "task_scale": CounterExample(((1.0, 0.0), (0.0, 1.0)))}

    def weights(self, gramian: Tensor, state: State, step: Step) -> Answer:
        norms = gramian.diagonal().sqrt()
        live, largest = norms > 0, norms.max()
        shares = norms / torch.where(largest > 0, largest, 1.0)  # no square of these overflows
        middle = (shares.square().sum() / step.count).sqrt()
        ratio = middle / torch.where(live, shares, 1.0)
        value = torch.where(live, ratio ** (2 * self.exponent), 0.0) / step.count
        return Answer(torch.where(live.any(), value, torch.full_like(value, 1 / len(value))), state)
