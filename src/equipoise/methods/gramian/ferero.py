"""Descent under conditions on the losses: on a ray, or under limits, or both."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from ...core.numbers import Array
from ...core.tasks import Bounds, PerTask, Preference, Ray, TaskValues, freeze_per_task
from ...errors import LossError, SettingError
from ...solve.constrained_descent import Rows, constrained_descent
from ..base import Answer, CounterExample, GramianMethod, State, Step
from ..parts.domain import is_positive, refuse_negative_losses

__all__ = ["FERERO"]


@dataclass(frozen=True)
class FERERO(GramianMethod):
    r"""Steepest common descent that restores a preference at a fixed rate: losses on a ray, or under limits.

    A `Ray` p asks for H = B L = 0, with the rows of B an orthonormal basis of what is perpendicular to p; `Bounds` ask
    for :math:`L_j \le b_j`. With J the gradients, r the `rate` and a step against d,

    .. math:: \max_d\; \min_i (A J d)_i - \tfrac12 |d|^2 \quad\text{s.t.}\quad B J d = r B L, \qquad
              (J d)_j \ge r\, (L_j - b_j)

    A holds the rows of `cone`: the identity, or with bounds the mean of the tasks that are lowered. To first order a
    step of size s takes the part s r off the distance from the ray and off every excess above a limit, and no loss
    below its limit comes nearer to it than by that part; a loss may rise meanwhile. d is zero only where the conditions
    hold and no direction that keeps them lowers what is aimed at.

    Shapes:
        gramian (k, k), losses (k,) -> weights (k,), some of which may be negative.
    Scale:
        The multipliers of the losses that are lowered sum to 1; those of the conditions are added to them. The part of
        d that restores the preference has no unit of a gradient: its length is the distance over the slope of the
        distance, whatever a loss is multiplied by. Keep s r below 1. Losses of different units make a ray meaningless:
        bring them to one unit. The conditions are on the step of the shared parameters; heads follow their own
        gradients and move the losses as well, until they are at rest.
    Degenerate:
        k = 1 without bounds: the gradient. All losses on the ray and gradients equal: that gradient. Conditions that no
        direction meets, because gradients depend on each other: d = 0, status ``NO_SOLUTION``. Nearly dependent
        gradients: a long d, so clip it. An absent task takes no part in a ray or a limit. Parameters that are clipped
        to a box after the step do not follow d, and the conditions are missed: write them as functions of free ones.
    Errors:
        `LossError` where no losses are given, or one is negative where a ray is asked for; `TaskError` where a limit
        names no task.
    Cost:
        A few least-squares problems of O(k^3) on the CPU: 0.6 ms up to k = 10, 4 to 9 ms for k = 100.
    Source:
        Chen, Saif, Shen & Chen (2024), arXiv:2412.01773. The equations and their multipliers agree with the authors'
        released code, which has them for a ray and two tasks; their paper states limits as well, here with the same
        rate. We differ: any k, and the problem is solved exactly, where they take projected gradient steps on its dual
        (one a training step in their single-loop form).

    Args:
        ray: Wanted proportions of the losses, positive, by task name or in task order; None for equal losses, or for
            none where `bounds` are given. A `Ray` given as ``preference=`` comes in its place.
        bounds: `Bounds`, a mapping from task name to limit, or None. `Bounds` given as ``preference=`` come in their
            place.
        cone: Rows of A, each one number a task, by name or in task order: one point counts as better than another where
            every row's sum of losses is lower. None for A as above.
        rate: Part r of the distance and of each excess that is taken off per unit of step size, > 0.

    Example:
        >>> import equipoise as eq
        >>> eq.weights(eq.FERERO(), [[1.0, 0.0], [0.0, 1.0]], losses=[2.0, 1.0])  # falls of 1 and 0
        tensor([1., 0.], dtype=torch.float64)
        >>> eq.weights(eq.FERERO(bounds={"task1": 1.0}), [[1.0, 0.0], [0.0, 1.0]], losses=[2.0, 1.5])
        tensor([1.0000, 0.5000], dtype=torch.float64)
    """

    source: ClassVar[str] = "Chen et al. (2024), arXiv:2412.01773"
    cost: ClassVar[str] = "O(k^3) on the CPU"
    honours: ClassVar[tuple[type[Preference], ...]] = (Ray, Bounds)

    ray: PerTask | None = None
    bounds: Bounds | Mapping[str, float] | tuple[tuple[str, float], ...] | None = None
    cone: tuple[PerTask, ...] | None = None
    rate: float = 1.0

    def __post_init__(self) -> None:
        frozen = freeze_per_task(self.ray, "ray")
        if frozen is not None:
            Ray(frozen)  # refuses what is not positive
        object.__setattr__(self, "ray", frozen)
        if self.bounds is not None and not isinstance(self.bounds, Bounds):
            object.__setattr__(self, "bounds", Bounds(dict(self.bounds)))
        if self.cone is not None:
            rows = [freeze_per_task(row, "cone") for row in self.cone]
            if not rows or not all(row and any(_numbers(row)) for row in rows):
                raise SettingError(
                    f"`cone` must hold rows of one number a task, none of them all zero; got {self.cone!r}."
                )
            object.__setattr__(self, "cone", tuple(rows))
        if not is_positive(self.rate):
            raise SettingError(f"`rate` must be positive and finite; got {self.rate!r}.")

    def claims(self, k: int) -> frozenset[str]:
        if (self.ray, self.bounds, self.cone) != (None, None, None):
            return frozenset()
        return frozenset({"single"} | ({"simplex", "unanimity", "no_conflict"} if k == 1 else set()))

    def degree(self) -> float | None:
        return None

    def refutes(self) -> Mapping[str, CounterExample]:
        if (self.ray, self.bounds, self.cone) != (None, None, None):
            return {}
        axes = ((1.0, 0.0), (0.0, 1.0))
        return {
            "simplex": CounterExample(axes, losses=(9.0, 1.0)),
            "no_conflict": CounterExample(axes, losses=(9.0, 1.0)),
            "task_scale": CounterExample(axes, losses=(2.0, 1.0)),
            "unanimity": CounterExample(((1.0, 2.0), (1.0, 2.0)), losses=(2.0, 1.0)),
        }

    def weights(self, gramian: Tensor, state: State, step: Step) -> Answer:
        if step.losses is None:
            raise LossError(f"{self!r} looks at losses; give `losses`.")
        losses, k = step.losses.cpu().double().numpy(), len(gramian)
        bounds = step.preference if isinstance(step.preference, Bounds) else self.bounds
        wanted = step.preference.losses if isinstance(step.preference, Ray) else self.ray
        equal = None
        if wanted is not None or bounds is None:
            refuse_negative_losses(
                step.losses, step.tasks, "FERERO", "eq.FERERO(bounds=...), or add a constant", why="follows a ray"
            )
            proportions = np.ones(k) if wanted is None else step.tasks.vector(wanted, "ray").numpy()
            across = _perpendicular(proportions / proportions.max())
            equal = Rows(across, self.rate * (across @ losses))
        aims, least = np.eye(k), None
        if isinstance(bounds, Bounds):
            limits, lowered = bounds.split(step.tasks.names)
            here = list(step.tasks.present)
            free, found = np.array(lowered, dtype=np.float64)[here], np.array(limits)[here]
            counted = np.isfinite(found)
            aims = free[None, :] / max(float(free.sum()), 1.0)
            least = Rows(np.eye(k)[counted], self.rate * (losses - found)[counted])
        if self.cone is not None:
            rows = np.stack([step.tasks.vector(row, "cone").numpy() for row in self.cone])
            rows = rows[rows.any(axis=1)]  # one whose tasks are all absent asks for nothing
            aims = rows if len(rows) else np.zeros((1, k))
        answer = constrained_descent(gramian.numpy(), aims, least=least, equal=equal, factor=step.root, checked=True)
        return Answer(torch.from_numpy(answer.value), state, answer.status, answer.certificate)


def _perpendicular(ray: Array) -> Array:
    """(k - 1, k): an orthonormal basis of what is perpendicular to a ray."""
    return np.asarray(np.linalg.qr(ray[:, None], mode="complete")[0][:, 1:].T)


def _numbers(row: TaskValues) -> list[float]:
    return [entry[1] if isinstance(entry, tuple) else entry for entry in row]
