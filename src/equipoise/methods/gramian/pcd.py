"""Priority-constrained descent: follow one task, bent only so far that the others progress too."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from ...errors import SettingError
from ...solve import Status
from ...solve.equilibrate import equilibrate
from ...solve.shares_of_progress import nearest_with_progress
from ...solve.unsquared import UnitColumns
from ..base import Answer, CounterExample, GramianMethod, State, StateTensor, Step
from ..parts.moving_means import MEANS_STATE, initial_means, update_means
from ..parts.primary import primary_row, refuse_primary

__all__ = ["PCD"]

_NOTHING = 1e-12  # a direction shorter than this share of its terms is what rounding has left


@dataclass(frozen=True)
class PCD(GramianMethod):
    r"""The direction nearest to the primary gradient that gives every other task a share of its own progress.

    .. math:: \tilde d = \arg\min_d \big\{ |d - \tilde g_1|^2 : \langle \tilde g_j, d \rangle \ge
              \tau |\tilde g_j|^2,\; j \ge 2 \big\}, \qquad d = |g_1| \frac{\tilde d}{|\tilde d|}, \qquad
              \tilde g_i = \frac{g_i}{\sqrt{v_i}}

    with task 1 the primary one, v_i the moving mean of :math:`|g_i|^2` (started at zero and divided by one minus beta
    to the number of its steps), and tau the share of the progress along its own normalised gradient that each
    secondary task is promised. So :math:`\tilde d = \tilde g_1 + \sum_j \mu_j \tilde g_j` with multipliers
    :math:`\mu_j \ge 0`.

    Shapes:
        gramian (k, k) -> weights (k,); state ``means``, the v before the division, and ``seen`` (k,).
    Scale:
        As long as the primary gradient; ``c * J`` gives ``c * d``. A secondary task's unit does not matter, the
        primary task's changes the length alone. The primary loss itself may rise where tau > 0 and the tasks conflict.
    Degenerate:
        Secondary gradients with 0 in their convex hull cannot all be served: d = g_1, as published, status
        ``STATIONARY``. A secondary gradient that is exactly zero is left out. Primary gradient exactly zero (as
        published), primary task absent from the step, or :math:`\tilde d = 0`: d = 0, status ``NO_SOLUTION``.
        k = 1: the gradient.
    Errors:
        `TaskError` where no task has the name `primary`.
    Cost:
        O(k^3) on the CPU: 0.2 ms for k = 10, 0.6 ms for k = 40.
    Source:
        Varam & AlHajri (2026), arXiv:2606.29521, and the authors' page. We differ: no 1e-8 is added to v, which would
        depend on the unit; the problem is solved for unit gradients, where the authors try sets of constraints.

    Args:
        primary: Name of the primary task; None for the first one.
        tau: Share tau of the progress of each secondary task, in [0, 1].
        beta: Share of the old mean, in [0, 1); 0 for the lengths of this step alone.

    Example:
        >>> import equipoise as eq
        >>> eq.direction(PCD(tau=1.0), [[2.0, 0.0], [0.0, 3.0]])  # along (1, 1), as long as the first
        tensor([1.4142, 1.4142], dtype=torch.float64)
    """

    source: ClassVar[str] = "Varam & AlHajri (2026), arXiv:2606.29521"
    cost: ClassVar[str] = "O(k^3) on the CPU"
    state_tensors: ClassVar[tuple[StateTensor, ...]] = MEANS_STATE

    primary: str | None = None
    tau: float = 0.02
    beta: float = 0.999

    def __post_init__(self) -> None:
        refuse_primary(self.primary)
        if not (0 <= self.tau <= 1 and 0 <= self.beta < 1):
            raise SettingError(
                f"`tau` must lie in [0, 1] and `beta` in [0, 1); got tau={self.tau!r}, beta={self.beta!r}."
            )

    @property
    def remembers_units(self) -> bool:
        return self.beta > 0  # else each step's means are its own

    def init(self, k: int, n: int = 0) -> State:
        del n
        return initial_means(k)

    def claims(self, k: int) -> frozenset[str]:
        # without a share of progress the direction may be arbitrarily short before it is brought to its length
        laws = {"single", "unanimity"} | ({"degree", "task_scale"} if self.tau > 0 else set())
        return frozenset(laws | {"permutation", "no_conflict"} if k == 1 else laws)

    def degree(self) -> float:
        return 1.0

    def refutes(self) -> Mapping[str, CounterExample]:
        apart = CounterExample(((2.0, 0.0), (0.0, 1.0)))
        found = {"permutation": apart, "simplex": CounterExample(((1.0, 0.0), (-1.0, 1.0)))}
        # opposite gradients: the secondary task's share is paid by the primary one
        return {**found, "no_conflict": CounterExample(((1.0, 0.0), (-2.0, 0.0)))} if self.tau > 0 else found

    def weights(self, gramian: Tensor, state: State, step: Step) -> Answer:
        cosines, norms = equilibrate(gramian.numpy())
        means, state = update_means(state, torch.from_numpy(norms**2), self.beta)
        nothing = Answer(torch.zeros(len(norms), dtype=torch.float64), state, Status.NO_SOLUTION)
        row = primary_row(step.tasks, self.primary)
        if row is None:
            return nothing
        lengths = norms / means.sqrt().numpy()  # of the normalised gradients
        least = self.tau * lengths
        solution = nearest_with_progress(cosines, row, float(lengths[row]), least, step.root)
        pulls = solution.value
        pulls[row] = lengths[row]
        # a square of large, nearly cancelling pulls would lose the digits of the length
        columns = UnitColumns.of(cosines, step.root).columns
        length = float(np.linalg.norm(columns @ pulls))
        if length <= _NOTHING * float(pulls.sum()):
            return nothing
        status = Status.STATIONARY if solution.status is Status.NO_SOLUTION else solution.status
        weights = pulls / length * (norms[row] / norms)
        return Answer(torch.from_numpy(weights), state, status, solution.certificate)
