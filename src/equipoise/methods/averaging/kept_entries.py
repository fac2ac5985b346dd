"""One kept iterate: a true copy of a model's tensors, its losses and its credit; and the mean of two."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

__all__ = ["Entry", "copied", "mixed", "tensors_of"]


@dataclass(frozen=True, eq=False)
class Entry:
    """A kept iterate.

    Attributes:
        losses: Losses of the iterate, (k,), float64.
        values: The model's tensors by name.
        credit: Number of iterates that the entry stands for.
    """

    losses: Tensor
    values: dict[str, Tensor]
    credit: float


def tensors_of(model: nn.Module) -> dict[str, Tensor]:
    """The model's state dict without entries that are no tensors; values alias the model."""
    return {name: value for name, value in model.state_dict().items() if isinstance(value, Tensor)}


def copied(model: nn.Module, device: str | None) -> dict[str, Tensor]:
    """True copies: a state dict holds references to the live parameters. Half types are kept in float32.

    Args:
        model: Model whose tensors are copied.
        device: Device of the copies; None for that of the tensors.

    Example:
        >>> model = nn.Linear(1, 1, bias=False).half()
        >>> copied(model, None)["weight"].dtype
        torch.float32
    """
    copies = {}
    for name, value in tensors_of(model).items():
        dtype = torch.float32 if value.dtype in (torch.float16, torch.bfloat16) else value.dtype
        copies[name] = value.to(device=device or value.device, dtype=dtype, copy=True)
    return copies


def mixed(first: Entry, second: Entry) -> Entry:
    """The credit-weighted mean of two entries; of whole numbers, the second's."""
    total = first.credit + second.credit
    share = second.credit / total
    values = {
        name: value + share * (second.values[name] - value)
        if value.is_floating_point() or value.is_complex()
        else second.values[name]
        for name, value in first.values.items()
    }
    return Entry(first.losses + share * (second.losses - first.losses), values, total)
