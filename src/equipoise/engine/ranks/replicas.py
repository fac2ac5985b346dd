"""Whether all ranks hold the same numbers, and how they become the same."""

import zlib
from collections.abc import Mapping

import torch
from torch import Tensor

from ...errors import StateError, listed
from ...methods.base import Method, State
from ..pieces import is_sharded
from .wire import Wire

__all__ = ["merged_state", "refuse_different"]

_SHOWN = 5
_BYTES = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


def refuse_different(tensors: Mapping[str, Tensor], wire: Wire, when: str) -> None:
    """Raises where tensors are not equal on all ranks to the bit.

    Each tensor is compared by the sum of its bits read as whole numbers, so every change of a single number shows.

    Args:
        tensors: Name -> tensor, the same names on all ranks. Sharded ones are left out.
        wire: Collectives of the ranks.
        when: Words for the time, such as "after 1 step".

    Raises:
        StateError: Some differ; the first are named.

    Cost:
        One reading of the tensors, and 2 numbers each on the wire.
    """
    whole = {name: tensor for name, tensor in tensors.items() if not is_sharded(tensor) and tensor.numel()}
    place = wire.place(next((tensor.device for tensor in whole.values()), torch.device("cpu")))
    code = float(zlib.crc32(repr(list(whole)).encode()) & 0xFFFFF)
    total, squares = wire.sum(torch.tensor([code, code * code], dtype=torch.float64, device=place)).tolist()
    if squares * wire.size != total**2:  # a rank has not met some parameters yet
        common = set.intersection(*map(set, wire.objects(list(whole))))
        whole = {name: tensor for name, tensor in sorted(whole.items()) if name in common}
    if not whole:
        return
    sums = [_sum_of_bits(tensor.detach()) for tensor in whole.values()]
    found = torch.stack([value.to(place) for value in sums])
    low, high = wire.largest(torch.cat([-found, found])).view(2, -1)
    different = torch.nonzero(-low != high).ravel().tolist()
    if not different:
        return
    names = list(whole)
    more = f" and {len(different) - _SHOWN} more" if len(different) > _SHOWN else ""
    raise StateError(
        f"all ranks must hold the same numbers; {when} these differ: "
        f"{listed(names[number] for number in different[:_SHOWN])}{more} ({len(different)} of {len(names)} compared). "
        "Wrap the model in DistributedDataParallel, which starts ranks alike and averages their gradients, call "
        "backward on every rank, and clip and step alike. eq.Balancer(..., check_replicas=0) compares nothing."
    )


def _sum_of_bits(tensor: Tensor) -> Tensor:
    """The numbers' bits as integers, added up modulo 2^64."""
    flat = (torch.view_as_real(tensor.resolve_conj()) if tensor.is_complex() else tensor).contiguous().view(-1)
    bits = flat if flat.dtype == torch.bool else flat.view(_BYTES[flat.element_size()])
    return bits.sum(dtype=torch.int64) & 0x3FFFFFFFFFFFFFFF  # may be negated


def merged_state(method: Method, state: State, wire: Wire) -> State:
    """The states of all ranks as one, each tensor by the rule that the method declares.

    Args:
        method: Method that declares how each tensor merges (`StateTensor.merge`).
        state: State on this rank, of the same shapes on all ranks.
        wire: Collectives of the ranks.

    Raises:
        StateError: Tensors that are equal by construction (``merge="same"``) differ, such as counters of steps.
    """
    rules = {tensor.name: tensor.merge for tensor in method.state_tensors}
    refuse_different({n: t for n, t in state.items() if rules[n] == "same"}, wire, "before the states are merged,")
    after: dict[str, Tensor] = {}
    for name, tensor in state.items():
        rule, values = rules[name], tensor.to(wire.place(tensor.device), copy=True)
        if rule == "min":
            values = -wire.largest(-values)
        elif rule == "max":
            values = wire.largest(values)
        elif rule in ("sum", "mean"):
            values = wire.sum(values) / (wire.size if rule == "mean" else 1)
        after[name] = values.to(tensor)
    return after
