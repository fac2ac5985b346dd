"""MetaBalance: the auxiliary gradients brought nearer to the length of the primary one."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ...errors import SettingError
from ..base import Answer, CounterExample, GramianMethod, State, StateTensor, Step
from ..parts.moving_means import MEANS_STATE, initial_means, update_means
from ..parts.primary import primary_row, refuse_primary

__all__ = ["MetaBalance"]


@dataclass(frozen=True)
class MetaBalance(GramianMethod):
    r"""Auxiliary gradients rescaled towards the length of the primary task's gradient.

    .. math:: d = \frac1k \sum_i \Big( r\, \frac{m_1}{m_i} + 1 - r \Big) g_i, \qquad
              m_i \leftarrow \beta\, m_i + (1 - \beta)\, |g_i|

    with m_i the moving mean of the length of task i's gradient (started at zero and divided by one minus beta to the
    number of its steps), task 1 the primary one, and r the relax factor. The primary gradient itself is not changed.

    Shapes:
        gramian (k, k) -> weights (k,); only the diagonal is read. State ``means``, ``seen`` (k,), and ``target``, the
        primary task's last m, 0 before.
    Scale:
        With equal lengths the mean gradient; r = 0 is the mean always. ``c * J`` gives ``c * d``.
    Degenerate:
        An exactly zero gradient is left out, and its m stays. Where the primary task is absent or its gradient is
        exactly zero, the others are rescaled to its last m; before its first gradient they are left as they are.
        k = 1: the gradient.
    Errors:
        `TaskError` where no task has the name `primary`.
    Cost:
        O(k) on the CPU. Published layer by layer: ``granularity="tensor"`` of the Balancer.
    Source:
        He et al. (2022), arXiv:2203.06801, by the authors' code. We differ: the mean instead of the sum.

    Args:
        primary: Name of the primary task; None for the first one.
        relax: Relax factor r, in [0, 1]; 0.7 as in the authors' code.
        beta: Share of the old mean, in [0, 1); 0.9 as published.

    Example:
        >>> import equipoise as eq
        >>> eq.direction(MetaBalance(relax=1.0), [[1.0, 0.0], [0.0, 4.0]])  # both as long as the first
        tensor([0.5000, 0.5000], dtype=torch.float64)
    """

    source: ClassVar[str] = "He et al. (2022), arXiv:2203.06801"
    cost: ClassVar[str] = "O(k) on the CPU"
    state_tensors: ClassVar[tuple[StateTensor, ...]] = (*MEANS_STATE, StateTensor("target", task_axes=()))

    primary: str | None = None
    relax: float = 0.7
    beta: float = 0.9

    def __post_init__(self) -> None:
        refuse_primary(self.primary)
        if not (0 <= self.relax <= 1 and 0 <= self.beta < 1):
            raise SettingError(
                f"`relax` must lie in [0, 1] and `beta` in [0, 1); got relax={self.relax!r}, beta={self.beta!r}."
            )

    def init(self, k: int, n: int = 0) -> State:
        del n
        return {**initial_means(k), "target": torch.zeros((), dtype=torch.float64)}

    def claims(self, k: int) -> frozenset[str]:
        laws = {"degree", "single"}
        if self.beta == 0 or self.relax == 0:
            laws |= {"unanimity"}  # else means of other steps differ where one was absent
        return frozenset(laws | {"permutation", "unanimity", "no_conflict"} if k == 1 else laws)

    def degree(self) -> float:
        return 1.0

    def refutes(self) -> Mapping[str, CounterExample]:
        apart = CounterExample(((2.0, 0.0), (0.0, 1.0)))
        found = {"permutation": apart, "simplex": apart} if self.relax > 0 else {}
        return found if self.relax == 1 else {**found, "no_conflict": CounterExample(((1.0,), (-50.0,)))}

    def weights(self, gramian: Tensor, state: State, step: Step) -> Answer:
        row = primary_row(step.tasks, self.primary)
        lengths, after = update_means(state, gramian.diagonal().sqrt(), self.beta)
        target = state["target"].to(lengths) if row is None else lengths[row]
        pull = torch.where(target > 0, target / lengths, 1.0)
        value = (self.relax * pull + 1 - self.relax) / step.count
        return Answer(value, {**after, "target": target.to(state["target"])})
