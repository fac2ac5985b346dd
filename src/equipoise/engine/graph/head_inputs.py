"""Nodes by which heads use the features, read from the graph, so that one pass can serve all heads."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import torch
from torch import Tensor
from torch.autograd.graph import GradientEdge, Node

from .autograd_graph import Graph
from .hooks import has_hooks
from .linear_layers import is_turn, obstacle_to_reading

__all__ = ["Entrance", "Head", "find_entrances", "read_heads"]

# a product of the features and a weight -> (position of the features among its inputs, of the weight)
_PRODUCTS = {"AddmmBackward0": (1, 2), "MmBackward0": (0, 1)}
_SPLITS = {"SplitWithSizesBackward0": "split_sizes", "SplitBackward0": "split_size"}


@dataclass(frozen=True, eq=False)
class Head:
    """The graph between one loss and the features.

    Attributes:
        nodes: All nodes of the head.
        leaves: Parameters of the head by identity, in the order of a depth-first walk.
    """

    nodes: set[Node]
    leaves: dict[int, Tensor]


@dataclass(frozen=True, eq=False)
class Entrance:
    """The node by which one head uses one feature tensor.

    Attributes:
        node: A product with a trained weight, or a choice of rows.
        feature: Number of the feature tensor that it uses.
        head: Number of the only head that it leads to.
        rows: Numbers of the chosen rows, counted over all axes of the feature but the last; None for a product.
        output: Number of the node's output that the head uses: a part of a split.
    """

    node: Node
    feature: int
    head: int
    rows: Tensor | None
    output: int = 0

    @property
    def edge(self) -> GradientEdge:
        """The edge at the node's output."""
        return GradientEdge(self.node, self.output)

    def factor(self) -> Tensor:
        """(width, d) transposed weight of a product, which takes a gradient from its output to the feature.

        Raises:
            RuntimeError: Raised by torch if the weight was modified in place since.
        """
        held: Tensor = self.node._saved_mat2  # type: ignore[attr-defined]
        return held.detach().T


def read_heads(losses: Sequence[Tensor], features: Sequence[Tensor], graph: Graph) -> list[Head]:
    """Walks from each loss up to the features.

    Args:
        losses: Scalars of the present tasks.
        features: Tensors between trunk and heads.
        graph: Graph behind all losses.
    """
    known = {node: graph.leaves[key] for key, node in graph.accumulators.items()}
    stop = {feature.grad_fn for feature in features}
    heads = []
    for loss in losses:
        head = Head(set(), {} if loss.grad_fn is not None or not loss.requires_grad else {id(loss): loss})
        stack = [loss.grad_fn]
        while stack:
            node = stack.pop()
            if node is None or node in head.nodes or node in stop:
                continue
            head.nodes.add(node)
            leaf = known.get(node)
            if leaf is not None:
                head.leaves[id(leaf)] = leaf
            stack += [parent for parent, _ in reversed(graph.below[node])]
        heads.append(head)
    return heads


def find_entrances(graph: Graph, heads: Sequence[Head], features: Sequence[Tensor]) -> list[Entrance] | None:
    """Finds every node that uses the features, if all are of one kind.

    Args:
        graph: Graph behind all losses.
        heads: One head per loss.
        features: Tensors between trunk and heads.

    Returns:
        Products only, or choices of rows only, each for one head; a split of the rows is one choice a part. None where
        a feature is used in any other way, by a node or a part of two heads, or where a hook expects the gradient of
        each head.
    """
    places = [
        (node, position, number)
        for number, feature in enumerate(features)
        for node, position in graph.consumers.get(feature.grad_fn, ())  # type: ignore[arg-type]
        if graph.below[node][position][1] == feature.output_nr
    ]
    if any(feature._backward_hooks or not feature.numel() for feature in features):
        return None
    if any(has_hooks(node) for node in {node for node, _, _ in places}):
        return None
    parts = {node: _parts(node, graph) for node, _, _ in places}
    heads_of = _heads_of({user for users in parts.values() for some in users.values() for user in some}, heads)
    numbers = [torch.arange(prod(feature.shape[:-1]), device=feature.device) for feature in features]
    found = []
    for node, position, number in places:
        product = _multiplies(node, position, features[number])
        chosen = None if product else _chosen(node, numbers[number].view(features[number].shape[:-1]))
        if not product and chosen is None:
            return None
        for output, users in parts[node].items():
            mine = {head for user in users for head in heads_of[user]}
            if len(mine) != 1:
                return None
            found.append(Entrance(node, number, mine.pop(), None if chosen is None else chosen[output], output))
    kinds = {entrance.rows is None for entrance in found}
    return found if len(kinds) == 1 else None


def _parts(node: Node, graph: Graph) -> dict[int, list[Node]]:
    """The nodes that show which heads an entrance leads to: itself, or by output the users of a split's parts."""
    if node.name() not in _SPLITS:
        return {0: [node]}
    users: dict[int, list[Node]] = {}
    for user, position in graph.consumers.get(node, ()):
        users.setdefault(graph.below[user][position][1], []).append(user)
    return users


def _heads_of(nodes: set[Node], heads: Sequence[Head]) -> dict[Node, list[int]]:
    found: dict[Node, list[int]] = {node: [] for node in nodes}
    for number, head in enumerate(heads):
        for node in head.nodes & nodes:
            found[node].append(number)
    return found


def _multiplies(node: Node, position: int, feature: Tensor) -> bool:
    """Whether a node is ``feature @ weight``, and differentiating it for the weight shows its output gradient."""
    place, weight = _PRODUCTS.get(node.name(), (-1, -1))
    if position != place or feature.dim() != 2 or getattr(node, "_saved_alpha", 1) != 1:
        return False
    parent = node.next_functions[weight][0]
    while parent is not None and is_turn(parent):
        parent = parent.next_functions[0][0]
    return getattr(parent, "variable", None) is not None and not obstacle_to_reading(node, "mat2")


def _chosen(node: Node, numbers: Tensor) -> Sequence[Tensor] | None:
    """Numbers of the rows of a feature that a node chooses, by output; None where it does not choose rows."""
    name, held = node.name(), _Saved(node)
    packed = "_raw_saved_indices" if name == "IndexBackward0" else "_raw_saved_index"
    raw: Any = getattr(node, packed, ())
    if any(one.unpack_hook is not None for one in (raw if isinstance(raw, Sequence) else [raw])):
        return None  # to read them would run a checkpoint's forward again
    if name == "IndexBackward0":
        indices = node._saved_indices  # type: ignore[attr-defined]
        axes = sum(index.dim() if index is not None and index.dtype == torch.bool else 1 for index in indices)
        old = any(index is not None and index.dtype == torch.uint8 for index in indices)
        if old or axes > numbers.dim():
            return None
        return [numbers[tuple(slice(None) if i is None else i for i in indices)]]
    if name not in {"SliceBackward0", "SelectBackward0", "IndexSelectBackward0", *_SPLITS}:
        return None
    axis = held["dim"] % (numbers.dim() + 1)
    if axis >= numbers.dim():
        return None
    if name in _SPLITS:
        return torch.split(numbers, getattr(node, f"_saved_{_SPLITS[name]}"), axis)
    if name == "SelectBackward0":
        return [numbers.select(axis, held["index"])]
    if name == "IndexSelectBackward0":
        return [numbers.index_select(axis, node._saved_index)]  # type: ignore[attr-defined]
    return [numbers[(slice(None),) * axis + (slice(held["start"], held["end"], held["step"]),)]]


class _Saved:
    """Integers that a node keeps; torch shows negative ones as unsigned."""

    def __init__(self, node: Node) -> None:
        self.node = node

    def __getitem__(self, name: str) -> Any:
        value = getattr(self.node, f"_saved_{name}")
        return value - (1 << 64) if value is not None and value >= 1 << 63 else value
