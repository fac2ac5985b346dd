"""A Pareto point inside one of K sectors of the losses' space."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from ...core.numbers import Array, is_whole
from ...core.tasks import PerTask, Ray, TaskValues, freeze_per_task
from ...errors import LossError, SettingError
from ...solve.min_norm import min_norm_point
from ..base import Answer, GramianMethod, State, StateTensor, Step
from ..parts.domain import is_non_negative

__all__ = ["PMTL"]


@dataclass(frozen=True)
class PMTL(GramianMethod):
    r"""Pareto multi-task learning: descend inside the sector of one of K rays.

    The losses L lie in sector i where :math:`(u_j - u_i)^\top L \le 0` for all j, with u the rays at length 1. With
    :math:`h_j = J^\top (u_j - u_i)`:

    * search (the first `search_steps` steps, as long as a constraint is violated): the min-norm point of the violated
      :math:`h_j`;
    * descent: the min-norm point of the k gradients and of those :math:`h_j` with
      :math:`(u_j - u_i)^\top L \ge -\mathrm{margin}\, |L|`.

    Both are combinations of the gradients, so everything happens in the Gramian, for any k.

    Shapes:
        gramian (k, k), losses (k,) -> weights (k,), some of which may be negative.
    Scale:
        The weights' magnitudes sum to 1. Sectors compare losses: bring them to one unit first.
    Degenerate:
        One ray: MGDA. A stationary point inside the sector: the weights of least norm, status ``STATIONARY``.
    Errors:
        `LossError` where no losses are given.
    Cost:
        O((k + K)^3) on the CPU.
    Source:
        Lin et al. (2019), arXiv:1912.12854. We differ: any k, an exact min-norm solve, a margin relative to the losses.

    Args:
        rays: K rays, each positive or zero, by task name or in task order; None for the k axes.
        index: Position i of the ray whose sector is wanted.
        search_steps: Number of first steps that look for the sector; the paper spends a fifth of a run.
        margin: Distance from the border, relative to the losses, from which a constraint takes part.

    Example:
        >>> import equipoise as eq
        >>> eq.weights(eq.PMTL(index=1), [[1.0, 0.0], [0.0, 1.0]], losses=[2.0, 1.0])  # into the second's sector
        tensor([ 0.5000, -0.5000], dtype=torch.float64)
    """

    source: ClassVar[str] = "Lin et al. (2019), arXiv:1912.12854"
    cost: ClassVar[str] = "O((k + K)^3) on the CPU"
    state_tensors: ClassVar[tuple[StateTensor, ...]] = (StateTensor("step", task_axes=()),)

    rays: tuple[PerTask | Ray, ...] | None = None
    index: int = 0
    search_steps: int = 200
    margin: float = 1e-2

    def __post_init__(self) -> None:
        if self.rays is not None:
            frozen = tuple(_frozen(ray) for ray in self.rays)
            object.__setattr__(self, "rays", frozen)
        if not (is_whole(self.index) and is_whole(self.search_steps) and is_non_negative(self.margin)):
            raise SettingError(
                "`index` and `search_steps` must be whole numbers of at least 0, `margin` a finite number of at least "
                f"0; got index={self.index!r}, search_steps={self.search_steps!r}, margin={self.margin!r}."
            )
        if self.rays is not None and self.index >= len(self.rays):
            raise SettingError(f"`index` must be below the number of rays, {len(self.rays)}; got {self.index}.")

    def init(self, k: int, n: int = 0) -> State:
        del n
        if self.rays is None and self.index >= k:
            raise SettingError(f"`index` must be below the number of tasks, {k}, where no rays are given.")
        return {"step": torch.zeros((), dtype=torch.int64)}

    def claims(self, k: int) -> frozenset[str]:
        return frozenset({"single", "unanimity"} if k == 1 else ())

    def degree(self) -> float:
        return 1.0

    def weights(self, gramian: Tensor, state: State, step: Step) -> Answer:
        if step.losses is None:
            raise LossError(f"{self!r} looks at losses; give `losses`.")
        losses, k = step.losses.cpu().double().numpy(), len(gramian)
        apart = self._differences(step)
        losses = losses / (np.abs(losses).max() or 1.0)  # their unit does not matter, and squares stay finite
        inside, size = apart @ losses, float(np.linalg.norm(losses))
        searching = int(state["step"]) < self.search_steps and bool((inside > 0).any())
        near = apart[inside >= -self.margin * size]
        rows = apart[inside > 0] if searching else np.concatenate([np.eye(k), near])
        answer = min_norm_point(rows @ gramian.numpy() @ rows.T)
        weights = answer.value @ rows
        total = float(np.abs(weights).sum())
        after = {"step": state["step"] + 1}
        return Answer(torch.from_numpy(weights / total if total > 0 else weights), after, answer.status)

    def _differences(self, step: Step) -> Array:
        """(K - 1, k): u_j - u_i for j other than i, over the tasks present."""
        if self.rays is None:
            unit = torch.eye(len(step.tasks.names), dtype=torch.float64)[:, list(step.tasks.present)].numpy()
        else:
            unit = np.stack([step.tasks.vector(_frozen(ray), "rays").numpy() for ray in self.rays])
        lengths = np.linalg.norm(unit, axis=1, keepdims=True)
        if not lengths[self.index] > 0:  # only absent tasks are on this ray: there is no sector in this step
            return unit[:0]
        unit = unit / np.where(lengths > 0, lengths, 1.0)
        return np.asarray(np.delete(unit, self.index, axis=0) - unit[self.index])


def _frozen(ray: PerTask | Ray) -> TaskValues:
    frozen = ray.losses if isinstance(ray, Ray) else freeze_per_task(ray, "rays")
    numbers = [entry[1] if isinstance(entry, tuple) else entry for entry in frozen or ()]
    if frozen is None or min(numbers) < 0 or max(numbers) == 0:
        raise SettingError(f"each of `rays` must be non-negative numbers, one a task, not all zero; got {ray!r}.")
    return frozen
