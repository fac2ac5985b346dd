"""How many rows a loss stands for, read from its graph."""

import math
from typing import Any

from torch import Tensor

from ..graph.autograd_graph import is_accumulator

__all__ = ["rows_behind"]

_SAME = (
    "Squeeze",
    "View",
    "ReshapeAlias",
    "Unsqueeze",
    "Expand",
    "Neg",
    "ToCopy",
    "Clone",
    "Alias",
    "Select",
    "Unbind",
)
"""Operations on one number, or on a row of them, that leave the count of rows as it is."""

_MEAN, _SUM = 1, 2  # PyTorch's numbers of `reduction`


def rows_behind(loss: Tensor) -> float | None:
    """The number n in a loss of the form (1/n) times a sum over rows; None where it cannot be read.

    A mean of n numbers has n, cross-entropy the number (or weight) of its targets that count, a sum has 1, a masked
    mean ``(l * mask).sum() / mask.sum()`` its divisor. The mean over several batches is then the mean of their losses
    weighted by n, whatever n counts (rows, tokens, entries). Constant factors change all ranks alike.

    Example:
        >>> import torch
        >>> x = torch.ones(6, 3, requires_grad=True)
        >>> rows_behind(x.square().mean()), rows_behind(x.sum()), rows_behind(x[:4].sum() / 4)
        (18.0, 1.0, 4.0)
        >>> rows_behind((x.mean() - 1).square())  # not a mean over rows
    """
    found = _count(loss.grad_fn)
    return found if found is not None and math.isfinite(found) and found >= 0 else None


def _count(node: Any) -> float | None:
    """The number for one node whose output is a scalar, or a row of sums or means that were taken before."""
    divided = 1.0
    while node is not None and not is_accumulator(node):
        name = node.name().rstrip("0123456789")
        if name.startswith(("MeanBackward", "SumBackward")):
            divided *= _size(node) if name.startswith("Mean") else 1.0
            below = _only(node)
            inner = None if below is None else below.name()
            if inner is not None and inner.startswith(("MeanBackward", "SumBackward")):
                node = below
                continue
            if inner is not None and inner.startswith(("StackBackward", "CatBackward")):
                found = _common(below)  # a mean of scalars that are means themselves
                return None if found is None else divided * found
            return divided
        reduction = getattr(node, "_saved_reduction", None)
        if reduction is not None:
            if reduction == _SUM:
                return divided
            return divided * _targets(node) if reduction == _MEAN else None
        if name.startswith(("MulBackward", "DivBackward")):
            factor = _factor(node)
            if factor is None:
                return None
            divided *= factor if name.startswith("Div") else 1 / factor if factor else math.inf
        elif name.startswith(("AddBackward", "SubBackward")):
            found = _common(node)
            return None if found is None else divided * found
        elif not name.startswith(_SAME):
            return None
        node = _only(node)
    return None


def _only(node: Any) -> Any:
    parents = [parent for parent, _ in node.next_functions if parent is not None]
    return parents[0] if len(parents) == 1 else None


def _common(node: Any) -> float | None:
    """The number that all parents of a sum of scalars have."""
    found = [_count(parent) for parent, _ in node.next_functions if parent is not None]
    first = found[0] if found else None
    return first if first is not None and all(one is not None and one == first for one in found) else None


def _size(node: Any) -> float:
    """How many numbers a mean averages."""
    sizes = node._saved_self_sym_sizes
    axes = getattr(node, "_saved_dim", None)
    if not axes:
        return float(math.prod(sizes))
    return float(math.prod(sizes[axis if axis < len(sizes) else axis - 2**64] for axis in axes))


def _targets(node: Any) -> float:
    """How many numbers, or what weight of targets, a loss of torch.nn.functional averages."""
    weight = getattr(node, "_saved_total_weight", None)
    return float(weight) if weight is not None else float(node._saved_self.numel())


def _factor(node: Any) -> float | None:
    """The constant by which a scalar is multiplied or divided; None where it is differentiated, too, or no scalar."""
    if _only(node) is None:
        return None
    other = node._saved_other if node._saved_other is not None else getattr(node, "_saved_self", None)
    if isinstance(other, Tensor):
        return abs(float(other)) if other.numel() == 1 else None
    return None if other is None else abs(float(other))
