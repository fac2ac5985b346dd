"""The straight way through a step of a small model: what was worked out about its graph once, run as it stands.

A model whose gradients are a few hundred thousand numbers spends its step in single operations, not in arithmetic. So
heads are differentiated in one call, passes through the common part run together, and all rows lie in one tensor. Where
heads do not begin with a product they are taken one by one; where the common part cannot be entered by several
gradients at once, or tasks are two, each loss gets one pass through everything. `writing` decides.
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

_KEPT = 8  # recipes for one set of present tasks, as for a smaller last batch; and sets of tasks


@dataclass(frozen=True, eq=False)
class Recipe:
    """How the gradients of one graph are computed. Places count the nodes of the signature.

    Attributes:
        signature: Of the graph.
        shared: Places of the parameters that are balanced.
        own: Place of every other leaf, with the rows of the tasks that have it: one, or several of an input.
        plan: What the Balancer shows.
        version: Of the ownership that it was written under.
        cut: Place and output number of the tensor between the heads and the common part; None where each loss gets a
            pass through everything.
        entrances: For each task the product by which its head takes up that tensor; none where heads are taken one by
            one.
        order: The common part's nodes as places, in the order in which gradients are sent back through them by
            `send_back`; none where that takes autograd's batches.
        linear: Whether each head is that product alone, with its weight and perhaps a bias: `own` then lists the
            weights, and the biases behind them.
        packs: Whether the gradients in `own` are put into one tensor: few numbers, each of one task.
        width: Numbers of the parameters that are balanced.
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
            losses: Of the present tasks.
            nodes: Of their graph, as the signature found them.
            features: Tensors between trunk and heads, or none.
            keep: Whether the graph is needed afterwards.
        """
        del features  # the signature knows where they are
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
        """All heads at once: the gradients at their products, the weights of these, and their parameters' gradients.

        The last of them once as they are, and once packed.
        """
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
        """For each task the places of its own leaves."""
        return [[place for place, rows in self.own if row in rows] for row in range(len(self.signature.roots))]

    def _one_by_one(
        self, losses: Sequence[Tensor], nodes: Sequence[Any], goals: Sequence[Any], keep: bool
    ) -> tuple[list[list[Tensor]], Own]:
        """A pass for each loss to the goals and to the task's own leaves."""
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
        ownership: Who owns which parameter.
        watch: Whether hooks were registered since the last step.
        known: By the tasks present, the most recent first.
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

    @property
    def wanted(self) -> bool:
        """Whether one more may be written: no hook may be waiting, and those before were of use."""
        return self.watch.quiet and self.written <= _KEPT + self.used

    def keep(self, recipe: Recipe, outputs: Sequence[Tensor], tasks: tuple[int, ...]) -> Prepared | None:
        """Takes in a recipe, for this step and later ones.

        Args:
            recipe: Written for this step's graph.
            outputs: The losses, and the features.
            tasks: Numbers of the present tasks.

        Returns:
            None where the step has to go the long way: a hook may be waiting, or tensors are kept through hooks.
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
    """What each head sends back: the gradient at its product times the weight."""
    if any([factor.shape != factors[0].shape for factor in factors]):  # noqa: C419 - a generator costs calls
        return torch.stack([column @ factor.T for column, factor in zip(columns, factors, strict=True)])
    return torch.stack(columns) @ torch.stack(factors).mT


def _grad(outputs: Sequence[Tensor], wanted: Sequence[Any], keep: bool) -> list[Any]:
    """`torch.autograd.grad` of some scalars, without its checks: they cost as much as a small head's pass."""
    if are_alike(outputs):
        upstream = (torch.ones_like(outputs[0]),) * len(outputs)
    else:
        upstream = tuple([torch.ones_like(output) for output in outputs])
    return list(_engine_run_backward(tuple(outputs), upstream, keep, False, tuple(wanted), True, accumulate_grad=False))
