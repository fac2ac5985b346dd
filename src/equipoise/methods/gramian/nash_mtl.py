"""The Nash bargaining solution among the tasks."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ...core.numbers import is_whole
from ...errors import SettingError
from ...solve import Status
from ...solve.alpha_fair import alpha_fair_weights
from ...solve.promise import length_at_most
from ..base import Answer, CounterExample, GramianMethod, State, StateTensor, Step

__all__ = ["NashMTL"]


@dataclass(frozen=True)
class NashMTL(GramianMethod):
    r"""Nash bargaining: each task gains in proportion to what it asks for.

    .. math:: G a = 1/a, \quad a > 0, \qquad d = J^\top a \cdot \min(1, m / |J^\top a|)

    the direction of fixed length that maximises :math:`\sum_i \log \langle g_i, d \rangle`. Orthogonal gradients:
    :math:`a_i = 1/|g_i|`. Without the clip (``max_norm=None``) this is `FairGrad` with ``alpha=1``: the two train the
    same model, to the bit, and comparing them says nothing.

    Shapes:
        gramian (k, k) -> weights (k,); state ``weights`` (k,), ``step``.
    Scale:
        Before the clip |d| is sqrt(k), whatever the gradients: the unit direction does not change when a loss is
        multiplied by a positive number, and ``max_norm=1`` clips at every step for k >= 2. So |d| = 1 throughout, and
        the learning rate is the length of a step. Heads keep their own scale (``heads="own"``: the gradient of their
        loss over the number of tasks), which does change with the unit of a loss: give them a learning rate of their
        own.
    Degenerate:
        No solution exists exactly when 0 lies in the convex hull of the gradients: d = 0, status ``NO_SOLUTION``; the
        last weights are not used again. That holds to rounding: gradients that cancel but for 4e-7 of their length
        (k = 10) count as such. Other dependent gradients: a unique solution. A zero gradient is left out.
        k = 1: the unit gradient.
    Optimizer:
        That no loss rises to first order, where its laws say so, holds for this direction and not for the step that
        momentum or Adam makes of it; `equipoise.record` counts how often that step raises one.
    Cost:
        O(k^3) on the CPU: 0.15 ms for k = 10, 0.5 ms for k = 100; none between recomputations.
    Source:
        Navon et al. (2022), arXiv:2202.01017, eq. 2, algorithm 1. We differ: the equation is solved to rounding, where
        the authors stop a sequence of convex approximations after 20 and keep old weights if the solver fails.

    Args:
        max_norm: m > 0, the largest |d|; None for no clip.
        every: The weights are computed at every n-th step and kept in between, where d may oppose a task; the clip is
            applied at each. A task that was absent then, or a step without solution, is made up for at the next step.

    Example:
        >>> import equipoise as eq
        >>> eq.direction(NashMTL(max_norm=None), [[3.0, 0.0], [0.0, 0.1]])
        tensor([1., 1.], dtype=torch.float64)
    """

    source: ClassVar[str] = "Navon et al. (2022), arXiv:2202.01017"
    cost: ClassVar[str] = "O(k^3) on the CPU, at every n-th step"
    state_tensors: ClassVar[tuple[StateTensor, ...]] = (StateTensor("weights"), StateTensor("step", task_axes=()))

    max_norm: float | None = 1.0
    every: int = 1

    def __post_init__(self) -> None:
        if self.max_norm is not None and not 0 < self.max_norm < float("inf"):
            raise SettingError(f"`max_norm` must be positive and finite, or None for no clip; got {self.max_norm}.")
        if not is_whole(self.every, least=1):
            raise SettingError(f"`every` must be a whole number of steps, at least 1; got {self.every!r}.")

    @property
    def remembers_units(self) -> bool:
        return self.every > 1  # else each step's weights are its own

    def init(self, k: int, n: int = 0) -> State:
        del n
        return {"weights": torch.zeros(k, dtype=torch.float64), "step": torch.zeros((), dtype=torch.int64)}

    def claims(self, k: int) -> frozenset[str]:
        del k
        laws = {"permutation", "degree", "task_scale"}
        return frozenset(laws | {"no_conflict"} if self.every == 1 else laws)  # kept weights belong to other gradients

    def degree(self) -> float:
        return 0.0

    def refutes(self) -> Mapping[str, CounterExample]:
        twice = CounterExample(((10.0, 0.0), (10.0, 0.0)))
        return {"unanimity": twice, "single": twice, "simplex": twice}

    def weights(self, gramian: Tensor, state: State, step: Step) -> Answer:
        found, status, certificate = state["weights"].cpu(), Status.SOLVED, 0.0
        count = int(state["step"])
        if count % self.every == 0 or not bool((found > 0).all()):
            solution = alpha_fair_weights(gramian.numpy(), factor=step.root, checked=True)
            found, status, certificate = torch.from_numpy(solution.value), solution.status, solution.certificate
        after = {"weights": found.to(state["weights"]), "step": state["step"] + 1}
        if self.max_norm is not None:
            length = length_at_most(gramian.numpy(), found.numpy(), step.root)
            found = found * (self.max_norm / length) if length > self.max_norm else found
        return Answer(found, after, status, certificate)
