"""Analysis of a small model's graph: whether its steps can follow a recipe, and which."""

from collections.abc import Sequence
from dataclasses import replace
from math import prod

import torch
from torch import Tensor
from torch.autograd.graph import GradientEdge, Node

from ..cost.plan import LayerPlan, Plan, predict_sequential, reached_by
from ..graph.autograd_graph import Graph, is_accumulator, shape_at
from ..graph.head_inputs import find_entrances
from ..graph.linear_layers import obstacle_to_reading
from ..graph.ownership import Ownership
from ..graph.signature import Signature
from ..graph.trunk_and_heads import split
from .adjoint import ADJOINTS, CONSTANTS
from .backward import takes_batches
from .recipe import Recipe

__all__ = ["write_feature_recipe", "write_recipe"]

_FEW = 1 << 18  # numbers: below this, an operation's dispatch costs more than its arithmetic
_SEQUENTIAL = ("sequential", "no features given")
_TOGETHER = 3  # least number of tasks for which running passes together is faster
_FACTORS = {"AddmmBackward0": (1, 2), "MmBackward0": (0, 1)}  # node -> positions of the features and of the weight


def write_recipe(
    losses: Sequence[Tensor],
    features: Sequence[Tensor],
    tasks: Sequence[int],
    graph: Graph,
    ownership: Ownership,
) -> Recipe | None:
    """A recipe for steps like this one; None where the model is not small, or an owner is not known yet.

    Args:
        losses: Scalars of the present tasks.
        features: Tensors between trunk and heads, or none.
        tasks: Numbers of the present tasks.
        graph: Graph behind the losses.
        ownership: Record of which parameters are shared; it must know all leaves.
    """
    k, size = len(losses), sum(leaf.numel() for leaf in graph.leaves.values() if ownership.is_shared(leaf))
    if k * size > _FEW:  # before the graph is walked, which many tasks make long
        return None
    masks = reached_by(graph, losses)
    place = {node: number for number, node in enumerate(graph.nodes)}
    shared: list[Tensor] = []
    own: list[tuple[int, list[int]]] = []
    inputs: set[int] = set()
    for key, leaf in graph.leaves.items():
        node = graph.accumulators.get(key)
        mask = 0 if node is None else masks[node]
        rows = [row for row in range(k) if mask >> row & 1]
        if node is None:
            return None
        if ownership.is_shared(leaf):
            shared.append(leaf)
            continue
        if not ownership.is_parameter(leaf):
            inputs.add(key)
        elif len(rows) != 1 or not ownership.is_of(leaf, tasks[rows[0]]):
            return None
        own.append((place[node], rows))
    kinds = {(leaf.dtype, leaf.device, leaf.layout) for leaf in graph.leaves.values()}
    if any(getattr(node, "_saved_sparse", False) for node in graph.nodes):  # an embedding's sparse gradients
        return None
    if not shared or len(kinds) != 1 or shared[0].dtype not in (torch.float32, torch.float64):
        return None
    # a parameter that is shared, but in this step behind one head alone, does not lie behind the cut
    behind = all(masks[graph.accumulators[id(leaf)]].bit_count() > 1 for leaf in shared)
    apart = all(masks[loss.grad_fn].bit_count() == 1 for loss in losses if loss.grad_fn is not None)
    cut = _cut(graph, masks, k) if behind and apart and all(len(rows) == 1 for _, rows in own) else None
    entrances = [] if cut is None else _entrances(graph, masks, cut, k)
    order = [] if cut is None else _order(graph, masks)
    signature = Signature.of([*losses, *features], graph, () if cut is None else (cut.node,), inputs)
    if signature is None:
        return None
    kept = [(place[node], name) for node in (*order, *entrances) for name in CONSTANTS.get(node.name(), ())]
    signature = replace(signature, ones=tuple(kept))
    own, linear = _heads_alone(graph, entrances, own)
    names, bytes_kept = tuple(map(ownership.name, shared)), k * size * shared[0].element_size()
    layer = LayerPlan("direct", names, "a small model", bytes_kept)
    engine, reason = ("two-phase", "every shared parameter lies behind the features") if features else _SEQUENTIAL
    return Recipe(
        signature,
        [place[graph.accumulators[id(leaf)]] for leaf in shared],
        own,
        Plan(engine, reason, k, predict_sequential(graph, losses), bytes_kept, (layer,)),
        ownership.version,
        None if cut is None else (place[cut.node], cut.output_nr),
        [place[node] for node in entrances],
        linear,
        [place[node] for node in order],
        _packs(own, graph),
        size,
    )


def write_feature_recipe(
    losses: Sequence[Tensor], features: Sequence[Tensor], graph: Graph, ownership: Ownership, plan: Plan
) -> Recipe | None:
    """A recipe for gradients at the features, for a trunk of any size.

    Args:
        losses: Scalars of the present tasks.
        features: Tensors between trunk and heads.
        graph: Graph behind the losses.
        ownership: Record of which parameters are shared.
        plan: Plan of the step.

    Returns:
        The recipe; None where heads cannot be differentiated in one call, or use the features more than once.
    """
    parts = split(losses, features, graph, ownership)
    if parts.obstacle or len(features) != 1 or not all(map(ownership.is_parameter, graph.leaves.values())):
        return None
    entrances = find_entrances(graph, parts.heads, features) or []
    signature = Signature.of([*losses, *features], graph, (), ())
    kinds = {(leaf.dtype, leaf.layout) for leaf in graph.leaves.values()}
    if sorted(entrance.head for entrance in entrances) != list(range(len(losses))) or signature is None:
        return None
    if any(entrance.rows is not None for entrance in entrances) or kinds != {(torch.float32, torch.strided)}:
        return None
    place = {node: number for number, node in enumerate(graph.nodes)}
    at = {key: place[node] for key, node in graph.accumulators.items()}
    products = [entrance.node for entrance in sorted(entrances, key=lambda entrance: entrance.head)]
    own = [(at[key], [row]) for row, head in enumerate(parts.heads) for key in head.leaves]
    own, linear = _heads_alone(graph, products, own)
    kept = [(place[node], name) for node in products for name in CONSTANTS.get(node.name(), ())]
    signature = replace(signature, ones=tuple(kept))
    shared = [at[key] for key in parts.trunk.leaves if key in at]
    return Recipe(signature, shared, own, plan, ownership.version, None, [place[node] for node in products], linear,
        packs=_packs(own, graph),
    )  # fmt: skip


def _packs(own: Sequence[tuple[int, Sequence[int]]], graph: Graph) -> bool:
    """Whether gradients of own parameters are few enough to copy into one tensor."""
    nodes = [graph.nodes[place] for place, _ in own]
    size = sum(node.variable.numel() for node in nodes)  # type: ignore[attr-defined]
    return 0 < size <= _FEW and all(len(rows) == 1 for _, rows in own)


def _cut(graph: Graph, masks: dict[Node, int], k: int) -> GradientEdge | None:
    """The single tensor at which all heads begin, if the part behind it takes several gradients at once."""
    if k < _TOGETHER:
        return None
    common = [node for node in graph.nodes if masks[node].bit_count() > 1]
    entered = {
        (parent, output)
        for node in graph.nodes
        if masks[node].bit_count() == 1
        for parent, output in graph.below[node]
        if parent is not None and masks[parent].bit_count() > 1
    }
    if len(entered) != 1:
        return None
    ((node, output),) = entered
    edge = GradientEdge(node, output)
    together = takes_batches(common)
    roots = all(masks[node].bit_count() == 1 for node in graph.nodes if node not in graph.consumers)
    small = 0 < k * prod(shape_at(edge)) <= _FEW
    every = masks[node] == (1 << k) - 1  # a task that does not reach it would have no gradient there
    return edge if together and roots and small and every and not is_accumulator(node) else None


def _order(graph: Graph, masks: dict[Node, int]) -> list[Node]:
    """The common part's nodes in the order of a backward pass, if `send_back` supports them all; else none."""
    common = [node for node in graph.nodes if masks[node].bit_count() > 1 and not is_accumulator(node)]
    for node in common:
        name, shape = node.name(), shape_at(GradientEdge(node, 0))
        sizes = [shape_at(GradientEdge(parent, at)) for parent, at in graph.below[node] if parent is not None]
        alike = name != "AddBackward0" or all(size == shape for size in sizes)
        bias = graph.below[node][0][0] if name == "AddmmBackward0" else None
        plain = bias is None or getattr(bias, "variable", torch.empty(0, 0)).dim() == 1
        ones = all(getattr(node, constant) == 1 for constant in CONSTANTS.get(name, ()))
        if name not in ADJOINTS or not (alike and plain and ones):
            return []
    return sorted(common, key=lambda node: -int(node._sequence_nr()))


def _entrances(graph: Graph, masks: dict[Node, int], cut: GradientEdge, k: int) -> list[Node]:
    """The product by which each task's head uses the cut; none where a head begins in another way."""
    found: dict[int, Node] = {}
    users = graph.consumers[cut.node]
    for node, position in users:
        place, _ = _FACTORS.get(node.name(), (-1, -1))
        if position != place or getattr(node, "_saved_alpha", 1) != 1 or obstacle_to_reading(node, "mat2"):
            return []
        found[masks[node].bit_length() - 1] = node
    return [found[row] for row in range(k)] if len(found) == len(users) == k else []


def _heads_alone(
    graph: Graph, products: Sequence[Node], own: list[tuple[int, list[int]]]
) -> tuple[list[tuple[int, list[int]]], bool]:
    """Own leaves, weights before biases if every head is one linear layer of the same shape, and whether that is so."""
    place = {node: number for number, node in enumerate(graph.nodes)}
    weights, biases, widths = list[int](), list[int](), set[object]()
    for node in products:
        *before, weight = [parent for parent, _ in graph.below[node]]
        turned = None if weight is None or weight.name() != "TBackward0" else graph.below[weight][0][0]
        bias = before[0] if len(before) == 2 else None
        leaf, shift = getattr(turned, "variable", None), getattr(bias, "variable", None)
        if turned is None or leaf is None or (bias is not None and (shift is None or shift.shape != leaf.shape[:1])):
            return own, False
        weights.append(place[turned])
        biases += [] if bias is None else [place[bias]]
        widths.add(leaf.shape)
    ordered = [*weights, *biases]
    alone = len(widths) == 1 and len(biases) in (0, len(weights)) and sorted(ordered) == sorted(at for at, _ in own)
    return ([(at, [number % len(weights)]) for number, at in enumerate(ordered)], True) if alone else (own, False)
