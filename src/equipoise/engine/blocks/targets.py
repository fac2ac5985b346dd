"""What is handed out: tensors, and the gradient that each is to receive."""

import math
from collections.abc import Iterable, Sequence
from typing import Literal

import torch
from torch import Tensor

from ...core.losses import are_alike
from ...methods.run import Weighed
from ..passes.exact import Own

__all__ = [
    "Targets",
    "all_finite",
    "factor_of",
    "head_gradients",
    "head_weights",
    "nonfinite_heads",
    "nothing_finite",
    "through_losses",
]

_SMALL = 4096  # numbers: fewer are copied together sooner than looked at one by one

Targets = list[tuple[Tensor, Tensor]]
"""Parameters, or losses that lead to them, each with the gradient that it is to receive."""


def factor_of(count: int, scale: Literal["mean", "sum"]) -> float:
    """What multiplies every gradient: 1, or the number of tasks in the step."""
    return float(count) if scale == "sum" else 1.0


def through_losses(held: Sequence[tuple[int, Tensor, float]], weights: Tensor, factor: float) -> Targets:
    """Each loss receives its weight; the rest of the way is the losses' own graph.

    Args:
        held: Row, loss, and its share of the row's mean (1 unless micro-batches are accumulated).
        weights: (k,).
        factor: Of all.
    """
    if not held:
        return []
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


def head_weights(weighed: Weighed, heads: Literal["own", "weighted"]) -> Tensor:
    """The weight of each task's gradient on parameters of its own, (k,)."""
    weights = weighed.weights.cpu().clone()
    if heads == "own":
        return torch.full((weights.shape[-1],), 1 / weights.shape[-1], dtype=weights.dtype)
    weights[list(weighed.left_out)] = 1 / len(weights)  # no gradient in the trunk is no reason to stop the head
    return weights


def head_gradients(own: Own, weights: Tensor) -> Targets:
    """Parameters that are not balanced, with the weighted sum of their gradients (half types summed in float32)."""
    factors = weights.tolist()
    targets = []
    for leaf, rows in own:
        wide = torch.promote_types(leaf.dtype, torch.float32)
        total: Tensor | None = None
        for number, gradient in rows:
            block = gradient.to_dense() if gradient.is_sparse else gradient
            block = (block if block.dtype == wide else block.to(wide)) * factors[number]
            total = block if total is None else total.add_(block)
        if total is not None:
            targets.append((leaf, total if leaf.dtype == wide else total.to(leaf.dtype)))
    return targets


def all_finite(gradients: Sequence[Tensor], trained: Iterable[Tensor] = ()) -> bool:
    """Whether no entry is NaN or inf."""
    tensors = [*gradients, *trained]
    if len(tensors) > 2 and are_alike(tensors):
        tensors = [torch.stack(tensors)]
    # a sum of finite numbers may overflow: only then each is looked at
    return all(math.isfinite(entry.sum().item()) or bool(torch.isfinite(entry).all()) for entry in tensors)


def nonfinite_heads(own: Own) -> dict[int, int]:
    """Rows whose gradient on a parameter of their own holds NaN or inf, each with the place of the first in `own`."""
    entries = [(row, place, _values(block)) for place, (_, rows) in enumerate(own) for row, block in rows]
    entries = [entry for entry in entries if entry[2].numel()]
    if not entries:
        return {}
    # NaN and inf make a sum NaN or inf, which reads each number once; one wait on the device for all of them
    blocks = [block for _, _, block in entries]
    if len({(block.dtype, block.device) for block in blocks}) == 1 and max(map(Tensor.numel, blocks)) <= _SMALL:
        together = torch.cat([block.reshape(-1) for block in blocks])  # k heads: two operations, not k
        if math.isfinite(together.sum(dtype=torch.float64).item()):
            return {}
    device = entries[0][2].device
    sums = [block.sum(dtype=torch.promote_types(block.dtype, torch.float32)) for _, _, block in entries]
    flags = torch.isfinite(torch.stack([total.to(device, torch.float64) for total in sums])).tolist()
    found: dict[int, int] = {}
    for (row, place, block), fine in zip(entries, flags, strict=True):
        if not fine and not bool(torch.isfinite(block).all()):  # a sum of finite numbers may overflow
            found.setdefault(row, place)
    return found


def _values(block: Tensor) -> Tensor:
    return block.coalesce().values() if block.is_sparse else block


def nothing_finite(leaves: Sequence[Tensor]) -> Targets:
    """NaN on every parameter, so that a `GradScaler` sees it whatever lies between."""
    return [(leaf, torch.full_like(leaf, torch.nan)) for leaf in leaves]
