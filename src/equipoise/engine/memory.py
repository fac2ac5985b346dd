"""How much memory a step's gradients will take, before it is taken."""

import math
import os
from collections.abc import Sequence

import torch
from torch import Tensor

from ..errors import EquipoiseError
from .approximations.modes import Every, Exact, Features, LastLayer, Mode, Sketch
from .ownership import Ownership

__all__ = ["estimate", "free_bytes", "in_words", "refuse_above"]


def estimate(mode: Mode, k: int, leaves: Sequence[Tensor], ownership: Ownership) -> int:
    """Bytes of the gradients that a step holds at once, without activations.

    Args:
        mode: How gradients are had.
        k: Tasks present.
        leaves: Parameters in the graph.
        ownership: Parameters known to belong to one task count once. Before the first step nothing is known of any,
            and each counts k times: an upper bound.

    Example:
        >>> weights = [torch.zeros(10, 100, requires_grad=True)]
        >>> ownership = Ownership()
        >>> ownership.meet(weights, complete=True)
        >>> estimate(Exact(), 5, weights, ownership)
        20000
    """
    sizes = {id(leaf): leaf.numel() * leaf.element_size() for leaf in leaves}
    own = sum(sizes[id(leaf)] for leaf in leaves if len(ownership.reached.get(ownership.name(leaf), ())) == 1)
    everything = sum(sizes.values())
    if isinstance(mode, Exact | Every):
        return k * (everything - own) + own
    if isinstance(mode, Sketch):
        signs = sum(leaf.numel() for leaf in leaves)
        return 2 * everything + signs + 8 * k * mode.s
    if isinstance(mode, LastLayer):
        layer = sum(tensor.numel() * tensor.element_size() for tensor in mode.parameters)
        return k * layer + everything
    assert isinstance(mode, Features)
    return everything


def free_bytes(device: torch.device) -> float:
    """Memory that the device has free now; infinite where that cannot be known."""
    if device.type == "cuda":
        return float(torch.cuda.mem_get_info(device)[0])
    if device.type == "cpu" and "SC_AVPHYS_PAGES" in os.sysconf_names:
        return float(os.sysconf("SC_AVPHYS_PAGES")) * os.sysconf("SC_PAGE_SIZE")
    return math.inf


def in_words(size: float) -> str:
    """Bytes as a person reads them.

    Example:
        >>> in_words(7_864_320)
        '7.5 MiB'
    """
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.0f} bytes" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"


def refuse_above(limit: float | None, needed: int, k: int, mode: Mode, device: torch.device) -> None:
    """Refuses a step whose gradients do not fit.

    Args:
        limit: In bytes; None for what the device has free now.
        needed: As `estimate` says.
        k: Tasks present.
        mode: How gradients are had.
        device: Where.

    Raises:
        EquipoiseError: They do not fit.
    """
    allowed = free_bytes(device) if limit is None else limit
    if needed > allowed:
        told = f"{device} has {in_words(allowed)} free" if limit is None else f"memory_limit is {in_words(allowed)}"
        raise EquipoiseError(
            f"the gradients of {k} tasks need about {in_words(needed)} with gradients={mode!r}, and {told}. Use "
            "gradients=eq.Sketch(4096) (one gradient at a time) or fewer shared parameters (shared=...), or force it "
            "with memory_limit=float('inf')."
        )
