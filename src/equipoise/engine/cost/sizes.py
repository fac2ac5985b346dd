"""Bytes: the size of tensors, and a device's free memory."""

import math
from collections.abc import Iterable

import torch
from torch import Tensor

from ...core.memory import available_memory
from ...core.text import in_words

__all__ = ["free_bytes", "in_words", "size_of"]


def free_bytes(device: torch.device) -> float:
    """Bytes that the device has free now; infinite where that cannot be known."""
    if device.type == "cuda":
        return float(torch.cuda.mem_get_info(device)[0])
    available = available_memory() if device.type == "cpu" else None
    return math.inf if available is None else available


def size_of(tensors: Iterable[Tensor]) -> int:
    """Bytes of one gradient of each."""
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)
