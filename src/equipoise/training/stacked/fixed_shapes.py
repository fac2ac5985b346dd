"""The losses of a batch without control flow that depends on data, as `torch.func.vmap` needs them."""

from typing import Any

import torch
from torch import Tensor, nn

from ...errors import LossError
from ..problem.problem import Problem
from ..problem.sources import Batch
from ..problem.trees import apart, leaves, mapped

__all__ = ["WithLosses"]


class WithLosses(nn.Module):
    """A model and what follows it up to the losses, as one module: so both see parameters that are swapped in.

    Args:
        problem: Losses and the way to call the model.
        model: Model, which keeps its parameters.
    """

    def __init__(self, problem: Problem, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self._problem = problem

    def forward(self, data: Any, batch: Batch) -> tuple[Tensor, Tensor]:
        """Mean losses over labelled samples (k,), 0 for an absent task, and which tasks are present (k,).

        Args:
            data: Rows of this model; those of `batch` are not looked at.
            batch: Sizes of the tasks' parts, and whether labels may be missing.
        """
        problem = self._problem
        outputs = problem.outputs(self.model, data)
        count = len(problem.tasks)
        if batch.sizes is None:
            parts = [(outputs, data)] * count
        else:
            parts = list(zip(apart(outputs, batch.sizes), apart(data, batch.sizes), strict=True))
        sizes = [1] * count if batch.sizes is None else batch.sizes
        found = [
            _mean(task, loss, *part, may_miss=batch.may_miss) if size else None
            for (task, loss), part, size in zip(problem.losses.items(), parts, sizes, strict=True)
        ]
        like = next(self.model.parameters())
        absent = torch.zeros((), dtype=torch.float64, device=like.device)
        nothing = torch.zeros((), dtype=torch.bool, device=like.device)
        return (
            torch.stack([absent if one is None else one[0].double() for one in found]),
            torch.stack([nothing if one is None else one[1] for one in found]),
        )


def _mean(task: str, loss: Any, outputs: Any, data: Any, *, may_miss: bool) -> tuple[Tensor, Tensor] | None:
    value = loss(outputs, data)
    if value is None:
        return None
    if not isinstance(value, Tensor):
        raise LossError(f"the loss of '{task}' must return a tensor or None; it returned {type(value).__name__}.")
    here = torch.ones((), dtype=torch.bool, device=value.device)
    if not may_miss or not value.dim():
        return value.mean(), here
    if value.dim() > 1:
        raise LossError(
            f"the loss of '{task}' gives {tuple(value.shape)} numbers where labels may be missing; one a sample is "
            "needed to leave samples out."
        )
    missing = value.detach().isnan() & _unlabelled(data, len(value), value.device)
    # computed again on data without NaN, whose gradient is finite where it is masked
    again = loss(outputs, mapped(data, _without_nan))
    labelled = (~missing).sum()
    return torch.where(missing, torch.zeros_like(again), again).sum() / labelled.clamp(min=1), labelled > 0


def _unlabelled(data: Any, rows: int, device: torch.device) -> Tensor:
    found = torch.zeros(rows, dtype=torch.bool, device=device)
    for _, leaf in leaves(data):
        if isinstance(leaf, Tensor) and leaf.is_floating_point() and len(leaf) == rows:
            found = found | leaf.reshape(rows, -1).isnan().any(1)
    return found


def _without_nan(tensor: Tensor) -> Tensor:
    # where, not nan_to_num: infinities stay, and are reported
    return torch.where(tensor.isnan(), torch.zeros_like(tensor), tensor) if tensor.is_floating_point() else tensor
