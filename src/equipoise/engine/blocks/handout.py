"""Gradients that a step assigns: tensors, each with the gradient that it receives in `backward`."""

import math
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from ...core.losses import are_alike
from ...errors import NonFiniteError
from ..graph.hooks import tensor_hooks_off
from .task_gradients import Handout

__all__ = [
    "all_finite",
    "mixture_at",
    "nothing_finite",
    "through_losses",
]


def through_losses(
    held: Sequence[tuple[int, Tensor, float]], weights: Tensor, factor: float, *, refuse: bool = False
) -> Handout:
    """Each loss receives its weight; the losses' own graph does the rest.

    Args:
        held: Row, loss, and its share of the row's mean (1 unless micro-batches are accumulated).
        weights: (k,) weight of each row.
        factor: Factor that multiplies every weight.
        refuse: Whether to raise for weights that the losses' type cannot hold.

    Raises:
        NonFiniteError: With `refuse`, a weight is too large for the losses' type.
    """
    if not held:
        return []
    largest = float(weights.abs().max()) * factor if refuse and weights.device.type == "cpu" else 0.0
    if largest > min(torch.finfo(loss.dtype).max for _, loss, _ in held):
        raise NonFiniteError(
            f"weights must be finite in the type of the losses; one is {largest:.3g}, for a task whose gradient almost "
            "vanishes. Leave a finished task out of the step, or choose a method with weights of sum 1, such as MGDA()."
        )
    losses, rows = [loss for _, loss, _ in held], [row for row, _, _ in held]
    first = losses[0]
    if are_alike(losses):  # one target instead of k, and one node of autograd
        chosen = weights.to(first.device)
        if rows != list(range(len(chosen))):
            chosen = chosen[rows]
        if factor != 1 or any(share != 1 for _, _, share in held):
            chosen = chosen * torch.tensor([share * factor for _, _, share in held], dtype=chosen.dtype).to(chosen)
        return [(torch.stack(losses), chosen.to(first.dtype))]
    scaled = (weights.to(first.device) * factor).unbind()
    return [(loss, (scaled[row] * share).to(loss).reshape(loss.shape)) for row, loss, share in held]


def mixture_at(leaves: Sequence[Tensor], losses: Sequence[Tensor], weights: Tensor) -> Handout:
    """Leaves, each with its gradient of the weighted sum, by one pass; the graph is kept."""
    if not leaves:
        return []
    upstream = [weight.to(loss).reshape(loss.shape) for weight, loss in zip(weights, losses, strict=True)]
    with tensor_hooks_off(leaves):
        found = torch.autograd.grad(losses, leaves, upstream, retain_graph=True, allow_unused=True)
    return [(leaf, gradient) for leaf, gradient in zip(leaves, found, strict=True) if gradient is not None]


def all_finite(gradients: Sequence[Tensor], trained: Iterable[Tensor] = ()) -> bool:
    """Whether no entry is NaN or inf."""
    tensors = [*gradients, *trained]
    if len(tensors) > 2 and are_alike(tensors):
        tensors = [torch.stack(tensors)]
    # a sum of finite numbers may overflow: only then each entry is checked
    return all(math.isfinite(entry.sum().item()) or bool(torch.isfinite(entry).all()) for entry in tensors)


def nothing_finite(leaves: Sequence[Tensor]) -> Handout:
    """NaN on every parameter, so that a `GradScaler` sees it."""
    return [(leaf, torch.full_like(leaf, torch.nan)) for leaf in leaves]
