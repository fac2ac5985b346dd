"""Weights in proportion to measured numbers, where some tasks have not been measured yet."""

import torch
from torch import Tensor

__all__ = ["proportional_shares"]


def proportional_shares(values: Tensor, known: Tensor) -> Tensor:
    r"""Weights that sum to 1: 1/k for a task without a value, the rest in proportion to the values.

    Args:
        values: Values of the tasks, (k,), non-negative where known.
        known: Truth values, (k,): whether a task's value is known.

    Returns:
        (k,). If all known values are zero they share equally.

    Example:
        >>> proportional_shares(torch.tensor([3.0, 1.0, 9.0]), torch.tensor([True, True, False]))
        tensor([0.5000, 0.1667, 0.3333])
    """
    even = 1 / len(values)
    if known.all():
        total = values.sum()
        return values / total if total != 0 else torch.full_like(values, even)
    kept = torch.where(known, values, 0.0)
    total = kept.sum()
    rest = known.to(values.dtype).sum() * even  # a count of truth values is whole, and its product float32
    shared = torch.where(total > 0, kept / total * rest, even)
    return torch.where(known, shared, even)
