"""Bytes: the size of tensors, a device's free memory, and both in words."""

import math
import os
from collections.abc import Iterable

import torch
from torch import Tensor

__all__ = ["free_bytes", "in_words", "size_of"]


def free_bytes(device: torch.device) -> float:
    """Bytes that the device has free now; infinite where that cannot be known."""
    if device.type == "cuda":
        return float(torch.cuda.mem_get_info(device)[0])
    if device.type == "cpu" and "SC_AVPHYS_PAGES" in os.sysconf_names:
        return float(os.sysconf("SC_AVPHYS_PAGES")) * os.sysconf("SC_PAGE_SIZE")
    return math.inf


def in_words(size: float) -> str:
    """A number of bytes in words.

    Example:
        >>> in_words(7_864_320)
        '7.5 MiB'
    """
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.0f} bytes" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"


def size_of(tensors: Iterable[Tensor]) -> int:
    """Bytes of one gradient of each."""
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)
