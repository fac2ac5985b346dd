"""Base of the methods that start from a weighted mean of the gradients: `AlignedMTL`, `DualProj`, `UPGrad`."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from ...core.tasks import PerTask, freeze_per_task
from ..base import GramianMethod, Step
from ..loss.linear_scalarization import preference_factors, refuse_negative

__all__ = ["FromWeightedMean"]


@dataclass(frozen=True)
class FromWeightedMean(GramianMethod):
    """A Gramian method that changes the weighted mean of the gradients.

    Its direction is homogeneous; without `task_weights` all tasks are alike and identical gradients stay as they are.

    Args:
        task_weights: w, non-negative, by task name or in task order, normalised to sum 1; None for 1/k.
    """

    task_weights: PerTask | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "task_weights", freeze_per_task(self.task_weights, "task_weights"))
        refuse_negative(self.task_weights, f"{type(self).__name__}(task_weights)")

    def claims(self, k: int) -> frozenset[str]:
        del k
        alike = {"permutation", "unanimity", "single"}
        return frozenset({"degree"} | (alike if self.task_weights is None else set()))

    def degree(self) -> float:
        return 1.0

    def shares(self, step: Step) -> NDArray[np.float64]:
        """Weight of each task of a step in the mean: k w over the number of present tasks.

        Weights are not spread over the present tasks anew: where each batch holds some tasks' labels only, the mean
        over the batches follows w.

        Args:
            step: A task of zero gradient has no row and still counts.

        Returns:
            (k,), sum 1 where every task is present and has a row.
        """
        k = len(step.tasks.present)
        if self.task_weights is None:
            return np.full(k, 1 / step.count)
        like = torch.empty(k, dtype=torch.float64)
        return (preference_factors(self.task_weights, step.tasks, like) / step.count).numpy()
