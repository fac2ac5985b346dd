"""Recipes of a Balancer: written after a step that went the long way, found again by the graph's signature."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from math import prod

import torch
from torch import Tensor
from torch.autograd.graph import GradientEdge, Node

from ..blocks.task_gradients import Gradients
from ..cost.plan import LayerPlan, Plan, predict_sequential
from ..graph.autograd_graph import Graph, is_accumulator, shape_at
from ..graph.linear_layers import obstacle_to_reading
from ..graph.ownership import Ownership
from ..graph.signature import HookWatch, Signature
from .recipe import Recipe

__all__ = ["Recipes"]

_FEW = 1 << 18  # numbers: for so few, every single operation costs more than its arithmetic
_TOGETHER = 3  # tasks from which on passes gain by being run at once
_KEPT = 8  # sets of present tasks, a smaller last batch
_FACTORS = {"AddmmBackward0": (1, 2), "MmBackward0": (0, 1)}  # node -> positions of the features and of the weight
_BATCHED = {
    f"{name}Backward{number}"
    for number in (0, 1)
    for name in (
        *("Abs", "Add", "Addmm", "Bmm", "Cat", "Celu", "Clamp", "Clone", "Cos", "Div", "Elu", "Exp", "Expand", "Gelu"),
        *("Hardswish", "Hardtanh", "Index", "LeakyRelu", "Log", "LogSigmoid", "LogSoftmax", "MaskedFill", "Max"),
        *("Maximum", "Mean", "Minimum", "Mish", "Mm", "Mul", "NativeDropout", "NativeLayerNorm", "Neg", "Permute"),
        *("Pow", "Relu", "Rsqrt", "Select", "Sigmoid", "Silu", "Sin", "Slice", "Softmax", "Softplus", "Split", "Sqrt"),
        *("Squeeze", "Stack", "Sub", "Sum", "T", "Tanh", "Transpose", "UnsafeView", "Unsqueeze", "View", "Where"),
    )
}


Prepared = tuple[Recipe, Sequence[Node]]
"""A recipe, and the nodes of the graph that it is run on."""


@dataclass(eq=False)
class Recipes:
    """The recipes of one Balancer.

    Attributes:
        ownership: Who owns which parameter.
        watch: Whether hooks were registered since the last step.
        known: By the tasks present, the most recently written first.
        written: How many were written, and `used` how often one served: a graph that is new in every step is not
            analysed for ever.
    """

    ownership: Ownership
    watch: HookWatch = field(default_factory=HookWatch)
    known: dict[tuple[int, ...], list[Recipe]] = field(default_factory=dict)
    written: int = 0
    used: int = 0

    def find(self, losses: Sequence[Tensor], features: Sequence[Tensor], tasks: tuple[int, ...]) -> Prepared | None:
        """The recipe of a graph that is known, and this step's nodes; None where anything has changed."""
        for recipe in self.known.get(tasks, ()):
            if recipe.version == self.ownership.version:
                nodes = recipe.signature.nodes([*losses, *features], self.watch)
                if nodes is not None:
                    self.used += 1
                    return recipe, nodes
        return None

    def run(self, known: Prepared, losses: Sequence[Tensor], keep: bool) -> Gradients:
        """The gradients of a step that `find` or `write` has prepared."""
        recipe, nodes = known
        found = recipe.run(losses, nodes, keep)
        self.watch.note()
        return found

    def write(
        self,
        losses: Sequence[Tensor],
        features: Sequence[Tensor],
        tasks: tuple[int, ...],
        graph: Graph,
        plan: Plan,
        limit: float | None,
    ) -> Prepared | None:
        """Writes down how a step like this one goes; None where it has to go the long way.

        Args:
            losses: Of the present tasks.
            features: Tensors between trunk and heads, or none.
            tasks: Numbers of the present tasks.
            graph: Of the losses.
            plan: Name and reason.
            limit: Bytes that gradients may take, or None.
        """
        if self.written > _KEPT + self.used:
            return None
        recipe = _write(losses, features, tasks, graph, plan, self.ownership)
        if recipe is not None and limit is not None and (recipe.plan.memory or 0) > limit:
            return None
        nodes = None if recipe is None else recipe.signature.nodes([*losses, *features], self.watch)
        if recipe is None or nodes is None:
            return None
        self.written += 1
        here = [old for old in self.known.get(tasks, []) if old.version == self.ownership.version]
        self.known[tasks] = [recipe, *here[: _KEPT - 1]]
        while len(self.known) > _KEPT:
            del self.known[next(iter(self.known))]
        return recipe, nodes


def _write(
    losses: Sequence[Tensor],
    features: Sequence[Tensor],
    tasks: Sequence[int],
    graph: Graph,
    plan: Plan,
    ownership: Ownership,
) -> Recipe | None:
    k, masks = len(losses), _reached_by(graph, losses)
    shared: list[Tensor] = []
    own: list[tuple[Tensor, int]] = []
    for key, leaf in graph.leaves.items():
        node = graph.accumulators.get(key)
        mask = 0 if node is None else masks[node]
        if ownership.is_shared(leaf):
            shared.append(leaf)
        elif mask.bit_count() == 1 and ownership.is_of(leaf, tasks[mask.bit_length() - 1]):
            own.append((leaf, mask.bit_length() - 1))
        else:
            return None
    size = sum(leaf.numel() for leaf in shared)
    kinds = {(leaf.dtype, leaf.device, leaf.layout) for leaf in [*shared, *(leaf for leaf, _ in own)]}
    if not shared or k * size > _FEW or len(kinds) != 1 or shared[0].dtype not in (torch.float32, torch.float64):
        return None
    place = {node: number for number, node in enumerate(graph.nodes)}
    cut = _cut(graph, masks, k)
    entrances = [] if cut is None else _entrances(graph, masks, cut, k)
    signature = Signature.of([*losses, *features], graph, () if cut is None else (cut.node,))
    if signature is None:
        return None
    name = ownership.name
    layer = LayerPlan("direct", tuple(map(name, shared)), "a small model", k * size * shared[0].element_size())
    told = replace(plan, cost=predict_sequential(graph, losses), memory=layer.memory, layers=(layer,))
    return Recipe(
        signature,
        shared,
        own,
        told,
        ownership.version,
        None if cut is None else (place[cut.node], cut.output_nr),
        [place[node] for node in entrances],
    )


def _cut(graph: Graph, masks: dict[Node, int], k: int) -> GradientEdge | None:
    """The one tensor that all heads begin at, if what lies behind it takes several gradients at once."""
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
    together = all(is_accumulator(inner) or inner.name() in _BATCHED for inner in common)
    roots = all(masks[node].bit_count() == 1 for node in graph.nodes if node not in graph.consumers)
    small = 0 < k * prod(shape_at(edge)) <= _FEW
    return edge if together and roots and small and not is_accumulator(node) else None


def _entrances(graph: Graph, masks: dict[Node, int], cut: GradientEdge, k: int) -> list[Node]:
    """For each task the product by which its head takes up the cut; none where that is not how they begin."""
    found: dict[int, Node] = {}
    users = graph.consumers[cut.node]
    for node, position in users:
        place, _ = _FACTORS.get(node.name(), (-1, -1))
        if position != place or getattr(node, "_saved_alpha", 1) != 1 or obstacle_to_reading(node, "mat2"):
            return []
        found[masks[node].bit_length() - 1] = node
    return [found[row] for row in range(k)] if len(found) == len(users) == k else []


def _reached_by(graph: Graph, losses: Sequence[Tensor]) -> dict[Node, int]:
    """By which of the losses each node is reached, as bits."""
    reached: dict[Node, int] = dict.fromkeys(graph.nodes, 0)
    for number, loss in enumerate(losses):
        if loss.grad_fn is not None:
            reached[loss.grad_fn] |= 1 << number
    waiting = {node: len(users) for node, users in graph.consumers.items()}
    ready = [node for node in graph.nodes if node not in waiting]
    while ready:
        node = ready.pop()
        mine = reached[node]
        for parent, _ in graph.below[node]:
            if parent is not None:
                reached[parent] |= mine
                waiting[parent] -= 1
                if not waiting[parent]:
                    ready.append(parent)
    return reached
