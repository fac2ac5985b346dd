"""The exact point of the front on a ray: balance the losses first, then descend along the ray."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from ...core.numbers import Array
from ...core.tasks import PerTask, Preference, Ray, freeze_per_task
from ...errors import EquipoiseError, LossError, SettingError
from ..base import Answer, CounterExample, GramianMethod, State, Step
from ..parts.domain import is_positive, refuse_nonpositive

__all__ = ["EPO"]


@dataclass(frozen=True)
class EPO(GramianMethod):
    r"""Exact Pareto optimum on a ray: steps that first bring the losses into proportion, then lower them together.

    With the wanted proportions p of the losses (a `Ray`), :math:`r = 1/p`, shares
    :math:`\hat l_i = r_i L_i / \sum_j r_j L_j`, their distance from equal shares
    :math:`u = \sum_i \hat l_i \log (k \hat l_i)`, and :math:`a_i = r_i (\log (k \hat l_i) - u)`, the weights b
    solve one linear program over the simplex:

    .. math:: u > \epsilon: \quad \max_b\, b^\top G a \quad \text{s.t. } (G b)_j \ge \begin{cases}
              0 & j \text{ with the largest } r_j L_j \text{, or } G a \le 0 \\
              (G a)_j & \text{another } j \text{ with } (G a)_j \le 0 \end{cases}

    .. math:: u \le \epsilon: \quad \max_b\, \textstyle\sum_j (G b)_j \quad \text{s.t. } G b \ge 0

    The first lowers u and may raise some losses, never the one that is farthest above the ray; the second raises none.

    Shapes:
        gramian (k, k), losses (k,) -> weights (k,).
    Scale:
        Weights sum to 1. A common factor of losses or gradients does not change them. Losses of different units make a
        ray meaningless: bring them to one unit, for example by dividing each by its single-task value.
    Degenerate:
        k = 1: the gradient. Several optimal b: a vertex, which one depends on the order of the tasks.
    Errors:
        `LossError` where a loss is not positive or none are given.
    Cost:
        One linear program in k unknowns (HiGHS), 1 to 2 ms.
    Source:
        Mahapatra & Rajan (2020), and arXiv:2108.00597. We differ: G is divided by its largest diagonal entry before
        the program, which changes no solution; the program always has one (the min-norm weights meet its limits).

    Args:
        ray: Wanted proportions of the losses, positive, by task name or in task order; None for equal losses. A `Ray`
            given as ``preference=`` comes first.
        tolerance: epsilon, > 0: below it the losses count as in proportion.

    Example:
        >>> import equipoise as eq
        >>> eq.weights(eq.EPO(), [[1.0, 0.0], [0.0, 1.0]], losses=[2.0, 1.0])  # the first is too high
        tensor([1., 0.], dtype=torch.float64)
    """

    source: ClassVar[str] = "Mahapatra & Rajan (2020), arXiv:2108.00597"
    cost: ClassVar[str] = "one linear program in k unknowns on the CPU"
    honours: ClassVar[tuple[type[Preference], ...]] = (Ray,)

    ray: PerTask | None = None
    tolerance: float = 1e-4

    def __post_init__(self) -> None:
        frozen = freeze_per_task(self.ray, "ray")
        if frozen is not None:
            Ray(frozen)  # refuses what is not positive
        object.__setattr__(self, "ray", frozen)
        if not is_positive(self.tolerance):
            raise SettingError(f"`tolerance` must be positive and finite; got {self.tolerance!r}.")

    def claims(self, k: int) -> frozenset[str]:
        any_k = {"single"} if self.ray is None else set()
        return frozenset({"simplex", "unanimity"} | any_k | ({"no_conflict"} if k == 1 else set()))

    def degree(self) -> float:
        return 1.0

    def refutes(self) -> Mapping[str, CounterExample]:
        if self.ray is not None:
            return {}
        return {"no_conflict": CounterExample(((1.0, 0.0), (-1.0, 0.1)), losses=(9.0, 1.0))}

    def weights(self, gramian: Tensor, state: State, step: Step) -> Answer:
        if step.losses is None:
            raise LossError(f"{self!r} looks at losses; give `losses`.")
        losses = step.losses.cpu().double()
        refuse_nonpositive(losses, step.tasks, "EPO", "eq.Tchebycheff, or add a constant", why="compares proportions")
        wanted = step.preference.losses if isinstance(step.preference, Ray) else self.ray
        proportions = torch.ones_like(losses) if wanted is None else step.tasks.vector(wanted, "ray")
        found = _program(gramian.numpy(), losses.numpy(), proportions.numpy(), self.tolerance)
        return Answer(torch.from_numpy(found), state)


def _program(gramian: Array, losses: Array, proportions: Array, tolerance: float) -> Array:
    """The weights b, (k,)."""
    from scipy.optimize import linprog  # noqa: PLC0415 - SciPy takes long to import

    k = len(losses)
    matrix = gramian / gramian.diagonal().max()
    pull = proportions.min() / proportions
    heights = losses / losses.max() * pull
    shares = heights / heights.sum()
    logs = np.log(np.maximum(k * shares, 1e-300))
    apart = float(shares @ logs)
    anchor = pull * (logs - apart)
    lowered = matrix @ anchor
    least = np.zeros(k)
    gain = matrix.sum(axis=0)
    if apart > tolerance:
        gain = lowered
        if (lowered > 0).any():
            least = np.where(lowered > 0, -np.inf, lowered)
            least[heights >= heights.max() * (1 - 1e-12)] = 0.0
    rows = np.isfinite(least)
    found = linprog(
        -gain / max(float(np.abs(gain).max()), 1e-300),
        A_ub=-matrix[rows] if rows.any() else None,
        b_ub=-least[rows] if rows.any() else None,
        A_eq=np.ones((1, k)),
        b_eq=[1.0],
        method="highs",
    )
    if found.x is None:
        raise EquipoiseError(f"the linear program of EPO, which always has a solution, ended with: {found.message}")
    weights = np.maximum(found.x, 0.0)
    return np.asarray(weights / weights.sum())
