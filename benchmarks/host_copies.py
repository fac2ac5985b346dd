"""Counts copies from the device to the host on a machine without a device.

Named tensors (parameters, inputs, states), and whatever is computed from them, count as lying on the device. A read of
such a tensor in Python (``.item()``, ``.tolist()``, ``.cpu()``, ``bool``, ``float``, ``int``) would wait for a device,
so it is counted with its place; the result of ``.cpu()`` lies on the host. Code that asks for ``device.type == "cpu"``
takes the CPU's branch here: `benchmarks/gpu.py` counts the same on a real device.
"""

import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

_READS = ("item", "tolist", "cpu", "numpy", "__bool__", "__float__", "__int__")


class _Places(TorchDispatchMode):
    """Knows which storages lie on the device."""

    def __init__(self, tensors: Iterable[Tensor]) -> None:
        super().__init__()
        self.device: dict[int, Any] = {}  # identity of a storage -> the storage, so that no other gets its identity
        self.copies: Counter[str] = Counter()
        for tensor in tensors:
            self.put(tensor)

    def on_device(self, tensor: Tensor) -> bool:
        """Whether a tensor lies on the device."""
        return tensor.untyped_storage()._cdata in self.device

    def put(self, tensor: Tensor) -> None:
        """Notes that a tensor lies on the device."""
        storage = tensor.untyped_storage()
        self.device[storage._cdata] = storage

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        given = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        device = any(self.on_device(tensor) for tensor in given)
        out = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(out) if device else ():
            if isinstance(tensor, Tensor):
                self.put(tensor)
        return out


@contextmanager
def host_copies(*on_device: Tensor) -> Iterator[Counter[str]]:
    """Counts copies to the host within a block, by the function of the library that asks for them.

    Args:
        on_device: Tensors that count as lying on the device. Compute the losses within the block.

    Example:
        >>> values = torch.ones(3)
        >>> with host_copies(values) as counted:
        ...     numbers, one = (values + 1).cpu().tolist(), bool(values[0] > 0)
        >>> dict(counted)
        {'outside .cpu': 1, 'outside .__bool__': 1}
    """
    places = _Places(on_device)

    def reading(name: str, read: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(tensor: Tensor, *arguments: Any, **keywords: Any) -> Any:
            if not places.on_device(tensor):
                return read(tensor, *arguments, **keywords)
            frames = [frame for frame in traceback.extract_stack() if "/equipoise/" in frame.filename]
            place = f"{frames[-1].filename.rpartition('/equipoise/')[2]}:{frames[-1].name}" if frames else "outside"
            places.copies[f"{place} .{name}"] += 1
            if name != "cpu":
                return read(tensor, *arguments, **keywords)
            with torch._C._DisableTorchDispatch():
                return tensor.detach().clone()

        return wrapped

    with ExitStack() as stack:
        for name in _READS:
            stack.enter_context(patch.object(Tensor, name, reading(name, getattr(Tensor, name))))
        stack.enter_context(places)
        yield places.copies
