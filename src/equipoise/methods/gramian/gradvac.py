"""Gradient vaccine: turn each gradient until its angle to the others is what it usually is."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from ...errors import SettingError
from ...solve import Status
from ...solve.equilibrate import equilibrate
from ...solve.min_norm import hull_holds_zero
from ..base import Answer, CounterExample, GramianMethod, State, StateTensor, Step
from ..parts.randomness import RANDOM_STATE, generator_of, initial_random, refuse_seed
from ..parts.visits import visits

__all__ = ["GradVac"]

_ALMOST_ONE = 1 - 1e-12
_CANCELLED = 64 * float(np.finfo(np.float64).eps)  # a square below k times this, of its terms' size, is rounding


@dataclass(frozen=True)
class GradVac(GramianMethod):
    r"""Raising cosines to their running mean.

    For each task i start from :math:`p_i = g_i` and visit the other tasks j in random order. With
    :math:`c = \cos(p_i, g_j)` and the target :math:`t_{ij}`: where c < t,

    .. math:: p_i \leftarrow p_i
              + \frac{|p_i| \left(t \sqrt{1 - c^2} - c \sqrt{1 - t^2}\right)}{|g_j| \sqrt{1 - t^2}}\, g_j

    so that :math:`\cos(p_i, g_j) = t`; then, always, :math:`t_{ij} \leftarrow (1 - \beta)\, t_{ij} + \beta c`, c as it
    was before the correction. Last :math:`d = \frac1k \sum_i p_i`. Targets start at 0, where the correction is
    PCGrad's projection.

    Shapes:
        gramian (k, k) -> weights (k,); state ``targets`` (k, k), ``seed``, ``step``.
    Scale:
        The mean of the corrected gradients; without correction it is the mean gradient.
    Degenerate:
        A zero gradient is left out, and the mean still counts it; its targets stay. A p_i that has become zero stays
        so, and moves no target. Targets above 1 - 1e-12 count as that. A stationary point: the formula, status
        ``STATIONARY``. k = 1: the gradient.
    Cost:
        O(k^3), vectorised over tasks, on the CPU: 0.3 ms for k = 10, 2 ms for k = 50.
    Source:
        Wang et al. (2021), arXiv:2010.05874, algorithm 1. The paper sums the corrected gradients; we take
        their mean. Its per-layer form is the Balancer's ``granularity``.

    Args:
        beta: Speed of the targets, from 0 (PCGrad) to below 1; 0.01 as published.
        seed: Seed of the random orders, at least 0.

    Example:
        >>> import equipoise as eq
        >>> eq.direction(GradVac(), [[1.0, 0.0], [-1.0, 1.0]])  # the first step is PCGrad's
        tensor([0.2500, 0.7500], dtype=torch.float64)
    """

    source: ClassVar[str] = "Wang et al. (2021), arXiv:2010.05874"
    cost: ClassVar[str] = "O(k^3) on the CPU"
    state_tensors: ClassVar[tuple[StateTensor, ...]] = (StateTensor("targets", task_axes=(0, 1)), *RANDOM_STATE)

    beta: float = 0.01
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.beta < 1:
            raise SettingError(f"`beta` must lie in [0, 1); got {self.beta}.")
        refuse_seed(self.seed)

    def init(self, k: int, n: int = 0) -> State:
        del n
        return {"targets": torch.zeros(k, k, dtype=torch.float64), **initial_random(self.seed)}

    def claims(self, k: int) -> frozenset[str]:
        laws = {"unanimity", "degree", "single"}
        if k <= 2:
            laws |= {"permutation"}
        if k == 1 or (k == 2 and self.beta == 0):
            laws |= {"no_conflict"}
        return frozenset(laws)

    def degree(self) -> float:
        return 1.0

    def refutes(self) -> Mapping[str, CounterExample]:
        broken = {"simplex": CounterExample(((1.0, 0.0), (-1.0, 1.0)))}
        if self.beta > 0:  # a negative target leaves a conflict, which a much larger gradient turns into a rise
            broken["no_conflict"] = CounterExample(((1e-4 * self.beta, 0.0), (-1.0, 1.0)))
        return broken

    def weights(self, gramian: Tensor, state: State, step: Step) -> Answer:
        generator, state = generator_of(state)
        cosines, norms = equilibrate(gramian.numpy())
        targets = state["targets"].cpu().numpy().copy()
        k = len(norms)
        rows = np.arange(k)
        turned = np.eye(k)  # row i: p_i / |g_i| in coefficients on the unit gradients
        for visited in visits(generator, k):
            squares = ((turned @ cosines) * turned).sum(axis=1)
            overlaps = (turned * cosines[visited]).sum(axis=1)
            live = squares > _CANCELLED * k * np.abs(turned).sum(axis=1) ** 2
            lengths = np.sqrt(np.where(live, squares, 0.0))
            found = np.clip(np.divide(overlaps, lengths, out=np.zeros(k), where=live), -1.0, 1.0)
            goal = np.minimum(targets[rows, visited], _ALMOST_ONE)
            pull = lengths * (goal * np.sqrt((1 - found**2) / (1 - goal**2)) - found)
            turned[rows, visited] += np.where(live & (found < goal), pull, 0.0)
            moved = (1 - self.beta) * targets[rows, visited] + self.beta * found
            targets[rows, visited] = np.where(live, moved, targets[rows, visited])
        weights = norms @ turned / norms / step.count
        state = {**state, "targets": torch.from_numpy(targets).to(state["targets"])}
        status = Status.STATIONARY if hull_holds_zero(cosines) else Status.SOLVED
        return Answer(torch.from_numpy(weights), state, status)
