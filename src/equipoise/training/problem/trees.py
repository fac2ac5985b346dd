"""Tensors in tuples and mappings: what batches and a model's outputs are made of."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

__all__ = ["apart", "joined", "leaves", "mapped", "rows_in"]


def mapped(tree: Any, function: Callable[[Tensor], Tensor]) -> Any:
    """The same containers with a function applied to each tensor; what is no tensor stays.

    Example:
        >>> mapped({"x": torch.ones(2), "names": None}, lambda tensor: 2 * tensor)
        {'x': tensor([2., 2.]), 'names': None}
    """
    if isinstance(tree, Tensor):
        return function(tree)
    if isinstance(tree, Mapping):
        return {name: mapped(part, function) for name, part in tree.items()}
    if isinstance(tree, tuple) and hasattr(tree, "_fields"):
        return type(tree)(*(mapped(part, function) for part in tree))
    if isinstance(tree, tuple | list):
        return type(tree)(mapped(part, function) for part in tree)
    return tree


def leaves(tree: Any) -> Iterator[tuple[str, Any]]:
    """Every leaf with its place, in order.

    Example:
        >>> [place for place, _ in leaves({"x": torch.ones(2), "y": (torch.ones(2), torch.ones(2))})]
        ['x', 'y.0', 'y.1']
    """
    if isinstance(tree, Mapping | tuple | list):
        named = tree.items() if isinstance(tree, Mapping) else enumerate(tree)
        for name, part in named:
            for place, leaf in leaves(part):
                yield (f"{name}.{place}" if place else str(name)), leaf
    else:
        yield "", tree


def joined(trees: Sequence[Any]) -> Any:
    """Trees of one structure, their tensors one below the other."""
    first = trees[0]
    if isinstance(first, Tensor):
        return torch.cat(list(trees))
    if isinstance(first, Mapping):
        return {name: joined([tree[name] for tree in trees]) for name in first}
    if isinstance(first, tuple | list):
        parts = [joined(list(parts)) for parts in zip(*trees, strict=True)]
        return type(first)(*parts) if hasattr(first, "_fields") else type(first)(parts)
    return first


def apart(tree: Any, sizes: Sequence[int]) -> list[Any]:
    """The rows of a tree in consecutive parts; a leaf without rows goes to every part."""
    total = sum(sizes)
    if isinstance(tree, Tensor):
        if not tree.dim() or len(tree) != total:
            return [tree] * len(sizes)
        return list(torch.split(tree, list(sizes)))
    if isinstance(tree, Mapping):
        split = {name: apart(part, sizes) for name, part in tree.items()}
        return [{name: parts[i] for name, parts in split.items()} for i in range(len(sizes))]
    if isinstance(tree, tuple | list):
        columns = list(zip(*(apart(part, sizes) for part in tree), strict=True))
        return [type(tree)(*column) if hasattr(tree, "_fields") else type(tree)(column) for column in columns]
    return [tree] * len(sizes)


def rows_in(tree: Any) -> int:
    """Rows of a batch: the length of its first tensor."""
    return next(len(leaf) for _, leaf in leaves(tree) if isinstance(leaf, Tensor) and leaf.dim())
