"""The generators that a training draws from: seeded for it, saved with it, and put back afterwards."""

import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

__all__ = ["get_generators", "own_generators", "set_generators"]


def get_generators(device: torch.device) -> dict[str, Any]:
    """States of the generators of Python, NumPy and PyTorch, as tensors and plain data."""
    name, keys, place, has_gauss, gauss = np.random.get_state()  # noqa: NPY002 - what the user's own code may draw from
    states: dict[str, Any] = {
        "python": random.getstate(),
        "numpy": (
            str(name),
            torch.from_numpy(np.asarray(keys).astype(np.int64)),
            int(place),
            int(has_gauss),
            float(gauss),
        ),
        "torch": torch.get_rng_state(),
    }
    if device.type == "cuda":
        states["cuda"] = torch.cuda.get_rng_state(device)
    return states


def set_generators(states: Mapping[str, Any], device: torch.device) -> None:
    """Put states back that `get_generators` returned."""
    version, numbers, gauss = states["python"]
    random.setstate((version, tuple(numbers), gauss))
    name, keys, place, has_gauss, cached = states["numpy"]
    np.random.set_state((name, keys.numpy().astype(np.uint32), place, has_gauss, cached))  # noqa: NPY002
    torch.set_rng_state(states["torch"])
    if device.type == "cuda" and "cuda" in states:
        torch.cuda.set_rng_state(states["cuda"], device)


@contextmanager
def own_generators(seed: int, device: torch.device) -> Iterator[None]:
    """Seed all generators inside a ``with`` block; the caller's states come back behind it."""
    before = get_generators(device)
    try:
        random.seed(seed)
        np.random.seed(seed % 2**32)  # noqa: NPY002
        torch.manual_seed(seed)
        yield
    finally:
        set_generators(before, device)
