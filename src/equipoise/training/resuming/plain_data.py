"""Nested state dicts as JSON text and named tensors, without pickle."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...errors import StateError

__all__ = ["packed", "unpacked"]

_MARKS = ("$tensor", "$items", "$tuple", "$float")


def packed(tree: Any) -> tuple[Any, dict[str, Tensor]]:
    """A nested state as plain data that JSON can hold, and the tensors that it refers to.

    Args:
        tree: Mappings, lists and tuples of tensors, numbers, texts and None.

    Raises:
        StateError: Something else is in it; its place is named.

    Example:
        >>> plain, tensors = packed({"step": 3, "state": {0: torch.ones(2)}, "betas": (0.9, math.inf)})
        >>> plain["betas"], unpacked(plain, tensors)["state"]
        ({'$tuple': [0.9, {'$float': 'inf'}]}, {0: tensor([1., 1.])})
    """
    tensors: dict[str, Tensor] = {}
    return _pack(tree, "", tensors), tensors


def _pack(tree: Any, place: str, tensors: dict[str, Tensor]) -> Any:
    if isinstance(tree, Tensor):
        tensors[place] = tree.detach().clone(memory_format=torch.contiguous_format)  # no two share memory
        return {"$tensor": place}
    if tree is None or isinstance(tree, bool | int | str):
        return tree
    if isinstance(tree, np.generic):
        return _pack(tree.item(), place, tensors)
    if isinstance(tree, float):
        return tree if math.isfinite(tree) else {"$float": repr(tree)}
    if isinstance(tree, Mapping):
        plain = all(isinstance(key, str) and key not in _MARKS for key in tree)
        entries = {key: _pack(value, f"{place}/{key}" if place else str(key), tensors) for key, value in tree.items()}
        if plain:
            return entries
        return {"$items": [[_pack(key, f"{place}/keys", tensors), value] for key, value in entries.items()]}
    if isinstance(tree, tuple | list):
        parts = [_pack(part, f"{place}/{number}", tensors) for number, part in enumerate(tree)]
        return {"$tuple": parts} if isinstance(tree, tuple) else parts
    raise StateError(
        f"a checkpoint holds tensors, numbers and texts, and no pickled objects; '{place}' is a "
        f"{type(tree).__module__}.{type(tree).__qualname__}. Keep it out of the state dict, or train without a folder."
    )


def unpacked(plain: Any, tensors: Mapping[str, Tensor]) -> Any:
    """What `packed` was given.

    Raises:
        StateError: A tensor is missing, or a mark is damaged.
    """
    if isinstance(plain, list):
        return [unpacked(part, tensors) for part in plain]
    if not isinstance(plain, dict):
        return plain
    mark = next(iter(plain)) if len(plain) == 1 else ""
    try:
        if mark == "$tensor":
            return tensors[plain[mark]]
        if mark == "$tuple":
            return tuple(unpacked(part, tensors) for part in plain[mark])
        if mark == "$items":
            return {unpacked(key, tensors): unpacked(value, tensors) for key, value in plain[mark]}
        if mark == "$float":
            return float(plain[mark])
    except (KeyError, TypeError, ValueError) as error:
        raise StateError(f"the checkpoint is damaged: {mark} {plain[mark]!r} has no counterpart.") from error
    return {key: unpacked(value, tensors) for key, value in plain.items()}
