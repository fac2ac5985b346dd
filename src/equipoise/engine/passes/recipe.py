"""A short path for steps of small models: the analysis of a graph is stored and used again.

A model whose gradients are a few hundred thousand numbers spends its step on dispatching operations, not on arithmetic.
So heads are differentiated in one call, passes through the common part run together, and all rows lie in one tensor.
Heads that do not begin with a product get one pass each; where the common part cannot take several gradients at once,
or with two tasks, each loss gets one pass through everything. `recipe_writing` decides.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import Tensor
from torch._C._nn import flatten_dense_tensors
from torch.autograd.graph import GradientEdge, Node, _engine_run_backward

from ...core.losses import are_alike
from ..blocks.task_gradients import Gradients, Own, StackedRows
from ..cost.plan import Plan
from ..graph.ownership import Ownership
from ..graph.signature import HookWatch, Signature
from .adjoint import send_back

__all__ = ["Prepared", "Recipe", "Recipes"]

_KEPT = 8  # recipes kept for one set of present tasks (a smaller last batch needs another), and sets of tasks


@dataclass(frozen=True, eq=False)
class Recipe:
    """Stored way to compute the gradients of one graph. A place is a node's number in the signature.

    Attributes:
        signature: Signature of the graph.
        shared: Places of the shared parameters.
        own: Place of every other leaf, with the rows of the tasks that reach it: one, or several for an input.
        plan: The plan that the Balancer shows.
        version: Version of the ownership for which the recipe was written.
        cut: Place and output number of the tensor between the heads and the common part; None where each loss gets a
            pass through everything.
        entrances: Place of the product by which each task's head uses that tensor; empty where heads get one pass each.
        order: Places of the common part's nodes in the order of `send_back`; empty where autograd's batched passes are
            used instead.
        linear: Whether each head is that product alone, with its weight and perhaps a bias: `own` then lists all
            weights, followed by the biases.
        packs: Whether the gradients in `own` go into one tensor: few numbers, each leaf of one task.
        width: Count of numbers in the shared parameters.
    """

    signature: Signature
    shared: Sequence[int]
    own: Sequence[tuple[int, Sequence[int]]]
    plan: Plan
    version: int
    cut: tuple[int, int] | None = None
    entrances: Sequence[int] = ()
    linear: bool = False
    order: Sequence[int] = ()
    packs: bool = False
    width: int = 0

    def run(self, losses: Sequence[Tensor], nodes: Sequence[Any], features: Sequence[Tensor], keep: bool) -> Gradients:
        """The gradients of a step.

        Args:
            losses: Scalars of the present tasks.
            nodes: Nodes of the losses' graph by place, as `Signature.nodes` returns them.
            features: Tensors between trunk and heads, or none.
            keep: Whether the graph is needed afterwards.
        """
        del features  # the signature holds their places
        count, shared = len(losses), [nodes[place].variable for place in self.shared]
        if self.cut is None:
            rows, own = self._one_by_one(losses, nodes, shared, keep)
            blocks = [
                torch.zeros_like(leaf) if block is None else block
                for row in rows
                for leaf, block in zip(shared, row, strict=True)
            ]
            if self.packs:
                blocks += [block for _, found in own for _, block in found]
            numbers = flatten_dense_tensors(blocks)
            values = numbers[: count * self.width].view(count, -1)
            packed = numbers[count * self.width :] if self.packs else None
        else:
            cut, later = GradientEdge(nodes[self.cut[0]], self.cut[1]), keep or not self.order
            if self.entrances:
                columns, factors, own, packed = self.heads(losses, nodes, later)
                sent = _multiplied(columns, factors)
            else:
                rows, own = self._one_by_one(losses, nodes, [cut], later)
                sent, packed = torch.stack([row[0] for row in rows]), None
            if self.order:
                brought = send_back(self.order, self.signature.below, nodes, self.cut[0], sent)
                found: Sequence[Tensor] = [brought[place] for place in self.shared]
            else:
                found = torch.autograd.grad(
                    [cut], shared, [sent], retain_graph=keep, is_grads_batched=True, materialize_grads=True
                )
            values = torch.cat([block.reshape(count, -1) for block in found], dim=1)
        return Gradients([StackedRows(shared, values)], own, self.plan, count, packed=packed)

    def heads(
        self, losses: Sequence[Tensor], nodes: Sequence[Any], keep: bool
    ) -> tuple[list[Tensor], list[Tensor], Own, Tensor | None]:
        """Gradients at the heads' products, the products' weights, and own gradients, as they are and packed."""
        places = [nodes[place] for place in self.entrances]
        factors = [node._saved_mat2.detach() for node in places]
        inputs = places[0]._saved_mat1.detach() if self.linear else None
        leaves = [nodes[place].variable for place, _ in self.own]
        edges = [GradientEdge(node, 0) for node in places]
        found = _grad(losses, edges if self.linear else [*leaves, *edges], keep)
        columns = found[-len(edges) :]
        if inputs is not None:
            sent = torch.stack(columns)
            found = list((sent.mT @ inputs).unbind())
            if len(leaves) > len(edges):
                found += sent.sum(dim=1).unbind()
        own: Own = [
            (leaf, [(rows[0], block)])
            for leaf, (_, rows), block in zip(leaves, self.own, found, strict=False)
            if block is not None
        ]
        packed = flatten_dense_tensors([found[0][1] for _, found in own]) if self.packs and own else None
        return columns, factors, own, packed

    @cached_property
    def _mine(self) -> list[list[int]]:
        """Places of each task's own leaves."""
        return [[place for place, rows in self.own if row in rows] for row in range(len(self.signature.roots))]

    def _one_by_one(
        self, losses: Sequence[Tensor], nodes: Sequence[Any], goals: Sequence[Any], keep: bool
    ) -> tuple[list[list[Tensor]], Own]:
        """Gradients from one pass per loss, at the goals and at the task's own leaves."""
        brought: dict[int, list[tuple[int, Tensor]]] = {place: [] for place, _ in self.own}
        found = []
        for row, loss in enumerate(losses):
            mine = self._mine[row]
            wanted = [*goals, *[nodes[place].variable for place in mine]]
            blocks = _grad([loss], wanted, keep or row + 1 < len(losses))
            found.append(blocks[: len(goals)])
            for place, block in zip(mine, blocks[len(goals) :], strict=True):
                if block is not None:
                    brought[place].append((row, block))
        return found, [(nodes[place].variable, blocks) for place, blocks in brought.items() if blocks]


Prepared = tuple[Recipe, Sequence[Node]]
"""A recipe, and the nodes of the graph that it is run on."""


@dataclass(eq=False)
class Recipes:
    """The recipes of one Balancer.

    Attributes:
        ownership: Record of which parameters are shared.
        watch: Detector of hooks registered since the last step.
        known: Recipes by the tasks present, the most recent first.
        written: Number of recipes written.
        used: Number of steps that followed a stored recipe; while none does, only a few more are written.
    """

    ownership: Ownership
    watch: HookWatch = field(default_factory=HookWatch)
    known: dict[tuple[int, ...], list[Recipe]] = field(default_factory=dict)
    written: int = 0
    used: int = 0

    def find(self, losses: Sequence[Tensor], features: Sequence[Tensor], tasks: tuple[int, ...]) -> Prepared | None:
        """The recipe of a known graph, and this step's nodes; None where anything has changed."""
        for recipe in self.known.get(tasks, ()):
            if recipe.version == self.ownership.version:
                nodes = recipe.signature.nodes([*losses, *features], self.watch)
                if nodes is not None:
                    self.used += 1
                    return recipe, nodes
        return None

    @property
    def wanted(self) -> bool:
        """Whether to write another recipe: no hook can be present, and earlier recipes were used."""
        return self.watch.quiet and self.written <= _KEPT + self.used

    def keep(self, recipe: Recipe, outputs: Sequence[Tensor], tasks: tuple[int, ...]) -> Prepared | None:
        """Stores a recipe, for this step and later ones.

        Args:
            recipe: Recipe written for this step's graph.
            outputs: The losses, followed by the features.
            tasks: Numbers of the present tasks.

        Returns:
            The recipe and this step's nodes; None where it cannot be used: a hook may be present, or tensors are kept
            through hooks.
        """
        nodes = recipe.signature.nodes(outputs, self.watch)
        if nodes is None:
            return None
        self.written += 1
        here = [old for old in self.known.get(tasks, []) if old.version == self.ownership.version]
        self.known[tasks] = [recipe, *here[: _KEPT - 1]]
        while len(self.known) > _KEPT:
            del self.known[next(iter(self.known))]
        return recipe, nodes


def _multiplied(columns: list[Tensor], factors: list[Tensor]) -> Tensor:
    """Gradient of each head at the cut: the gradient at its product times the weight."""
    if any([factor.shape != factors[0].shape for factor in factors]):  # noqa: C419 - a generator costs calls
        return torch.stack([column @ factor.T for column, factor in zip(columns, factors, strict=True)])
    return torch.stack(columns) @ torch.stack(factors).mT


def _grad(outputs: Sequence[Tensor], wanted: Sequence[Any], keep: bool) -> list[Any]:
    """`torch.autograd.grad` of some scalars without its checks, which cost as much as a small head's pass."""
    if are_alike(outputs):
        upstream = (torch.ones_like(outputs[0]),) * len(outputs)
    else:
        upstream = tuple([torch.ones_like(output) for output in outputs])
    return list(_engine_run_backward(tuple(outputs), upstream, keep, False, tuple(wanted), True, accumulate_grad=False))
