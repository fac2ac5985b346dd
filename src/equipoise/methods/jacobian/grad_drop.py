"""Gradient sign dropout: at each coordinate one sign survives, by chance."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from ...core.tasks import PerTask, freeze_per_task
from ...errors import SettingError
from ..base import Answer, CounterExample, JacobianMethod, State, StateTensor, Step
from ..parts.randomness import RANDOM_STATE, initial_random, refuse_seed

__all__ = ["GradDrop"]


@dataclass(frozen=True)
class GradDrop(JacobianMethod):
    r"""Keeps, at each coordinate, only the gradients of one sign, drawn by how much they agree.

    .. math:: P = \tfrac12 \Big(1 + \frac{\sum_i g_i}{\sum_i |g_i|}\Big), \quad U \sim \mathcal U[0, 1), \quad
              m_i = [g_i > 0][U < P] + [g_i < 0][U \ge P], \quad
              d = \frac1k \sum_i (l_i + (1 - l_i)\, m_i)\, g_i

    coordinate by coordinate, with l the leak. Gradients 3 and 1 have purity P = 1 and are both kept; 7 and -3 have
    P = 0.7.

    Shapes:
        jacobian (k, n) -> direction (n,); state ``seed``, ``step``.
    Scale:
        A mean over the tasks: with leak 1 the mean gradient. In expectation over U, k d is
        :math:`P \sum_i g_i^+ - (1 - P) \sum_i g_i^-` at leak 0.
    Degenerate:
        Zero entries stay zero. k = 1: the gradient. A Jacobian passed in blocks is fine if the state goes from
        block to block; ``step`` then counts blocks, and other blocks draw other numbers.
    Cost:
        O(k n) on the Jacobian's device; the draws are those of that kind of device.
    Source:
        Chen et al. (2020), arXiv:2010.06808. We differ: applied to the gradients of the shared parameters instead of
        those of an activation, and the mean instead of the sum.

    Args:
        leak: l in [0, 1], one number for all tasks or one a task (by name or in task order).
        seed: Seed of the draws, at least 0.

    Example:
        >>> import equipoise as eq
        >>> eq.direction(GradDrop(), [[3.0, 7.0], [1.0, -3.0]])  # the second coordinate keeps one of its two signs
        tensor([2.0000, 3.5000], dtype=torch.float64)
    """

    source: ClassVar[str] = "Chen et al. (2020), arXiv:2010.06808"
    cost: ClassVar[str] = "O(k n)"
    state_tensors: ClassVar[tuple[StateTensor, ...]] = RANDOM_STATE

    leak: float | PerTask = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        leak = self.leak
        if isinstance(leak, int | float):
            numbers = [float(leak)]
        else:
            frozen = freeze_per_task(leak, "leak") or ()
            object.__setattr__(self, "leak", frozen)
            numbers = [entry[1] if isinstance(entry, tuple) else entry for entry in frozen]
        if not all(0 <= number <= 1 for number in numbers):
            raise SettingError(f"`leak` must lie in [0, 1]; got {self.leak!r}.")
        refuse_seed(self.seed)

    def init(self, k: int, n: int = 0) -> State:
        del k, n
        return initial_random(self.seed)

    def claims(self, k: int) -> frozenset[str]:
        if isinstance(self.leak, int | float):
            return frozenset({"permutation", "unanimity", "degree", "single"} | ({"no_conflict"} if k == 1 else set()))
        return frozenset({"unanimity", "degree", "single"})

    def degree(self) -> float:
        return 1.0

    def refutes(self) -> Mapping[str, CounterExample]:
        if self.leak != 0.0:
            return {}
        # coordinate 1 keeps the nine against the one; coordinate 2 alone cannot make up for it
        return {"no_conflict": CounterExample(((1.0, 0.0), (-1e9, 1.0)))}

    def direction(self, jacobian: Tensor, state: State, step: Step) -> Answer:
        words = np.random.SeedSequence([int(state["seed"]), int(state["step"])]).generate_state(1, np.uint64)
        generator = torch.Generator(device=jacobian.device).manual_seed(int(words[0] >> np.uint64(1)))
        drawn = torch.rand(jacobian.shape[1], generator=generator, device=jacobian.device, dtype=torch.float64)
        total = jacobian.abs().sum(dim=0)
        purity = (1 + jacobian.sum(dim=0) / torch.where(total > 0, total, 1.0)) / 2
        upward = drawn < purity
        kept = torch.where(upward, jacobian > 0, jacobian < 0)
        if isinstance(self.leak, int | float):
            leak = jacobian.new_full((len(jacobian), 1), float(self.leak))
        else:
            leak = step.tasks.vector(self.leak, "leak").to(jacobian)[:, None]
        passed = torch.where(kept, jacobian, leak * jacobian)
        return Answer(passed.sum(dim=0) / step.count, {**state, "step": state["step"] + 1})
