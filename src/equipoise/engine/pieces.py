"""Tensors of which each rank holds a piece (`DTensor`), as plain tensors.

Everything in the engine computes with pieces; a gradient becomes a `DTensor` again where it is handed to autograd.
"""

from typing import Any

import torch
from torch import Tensor, nn

__all__ = [
    "Layout",
    "full_of",
    "is_sharded",
    "layout_of",
    "local_of",
    "replicas_of",
    "scattered_numbers",
    "with_layout",
]

Layout = tuple[Any, Any, Any, torch.Size, tuple[int, ...]]
"""Class (`DTensor`), mesh, placements, shape and strides of a sharded parameter."""


def is_sharded(tensor: Tensor) -> bool:
    """Whether a rank holds a piece of the tensor only (`DTensor`)."""
    return type(tensor) not in (Tensor, nn.Parameter) and hasattr(tensor, "placements")


def local_of(tensor: Tensor) -> Tensor:
    """The piece of a sharded tensor that this rank holds, not differentiable; any other tensor itself."""
    piece: Tensor = getattr(tensor, "_local_tensor", tensor)
    return piece


def layout_of(tensor: Tensor) -> Layout | None:
    """How a tensor is sharded; None where it is not."""
    if not is_sharded(tensor):
        return None
    sharded: Any = tensor
    return type(tensor), sharded.device_mesh, sharded.placements, tensor.shape, tensor.stride()


def with_layout(values: Tensor, layout: Layout | None) -> Tensor:
    """A gradient as its parameter expects it.

    Args:
        values: This rank's piece, or the whole gradient, of which this rank's piece is taken.
        layout: Layout of the parameter; None where it is not sharded.
    """
    if layout is None:
        return values
    kind, mesh, placements, shape, stride = layout
    if values.shape == shape:
        for axis, placement in enumerate(placements):
            if placement.is_shard():
                values = _piece(values, placement.dim, mesh.size(axis), mesh.get_local_rank(axis))
    made: Tensor = kind.from_local(values.contiguous(), mesh, placements, run_check=False, shape=shape, stride=stride)
    return made


def _piece(values: Tensor, axis: int, ranks: int, rank: int) -> Tensor:
    """The rank's piece along one axis: pieces are of equal length, the last ones may be short or empty."""
    size = values.shape[axis]
    if size == 0:
        return values
    length = -(-size // ranks)
    start = min(rank * length, size)
    return values.narrow(axis, start, min(length, size - start))


def full_of(piece: Tensor, parameter: Tensor) -> Tensor:
    """The whole gradient from the pieces of all ranks; each rank calls it."""
    sharded: Any = with_layout(piece, layout_of(parameter))
    whole: Tensor = sharded.full_tensor() if is_sharded(sharded) else sharded
    return whole


def replicas_of(parameter: Tensor) -> int:
    """How many ranks hold the same piece (1, or with hybrid sharding the number of replicas)."""
    layout = layout_of(parameter)
    if layout is None:
        return 1
    _, mesh, placements, *_ = layout
    count = 1
    for axis, placement in enumerate(placements):
        count *= 1 if placement.is_shard() else mesh.size(axis)
    return count


def scattered_numbers(parameter: Tensor) -> float:
    """Numbers that a rank sends when FSDP reduces one gradient of a parameter: pieces are filled up to equal length."""
    layout = layout_of(parameter)
    if layout is None:
        return 0.0
    _, mesh, placements, shape, _ = layout
    ranks, axis = mesh.size(len(placements) - 1), placements[-1].dim
    piece = -(-shape[axis] // ranks) * (parameter.numel() // max(shape[axis], 1))
    copies = replicas_of(parameter)
    return float(piece * (ranks - 1) + 2 * piece * (copies - 1) / copies)
