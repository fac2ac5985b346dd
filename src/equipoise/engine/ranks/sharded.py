"""Per-task gradients of sharded parameters: one backward a task through FSDP2, then products of the shards.

FSDP averages each gradient over ranks and leaves every rank its piece, so k passes bring the rows of the merged
Jacobian, scattered. Pieces are disjoint columns, therefore G is the sum over ranks of the pieces' Gramians, and a
mixture of pieces is the piece of the mixture: nothing but k x k numbers is sent besides.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from ..blocks.dense import Jacobian
from ..blocks.task_gradients import Gradients, Own, nonfinite_heads
from ..cost.plan import LayerPlan, Plan, predict_sequential
from ..cost.sizes import size_of
from ..graph.hooks import tensor_hooks_off
from ..graph.ownership import Ownership
from ..graph.shards import Behind
from ..graph.undo import taken_back
from ..pieces import full_of, local_of, replicas_of, scattered_numbers
from .joint import Joint
from .merging import MergedGradients
from .wire import Wire

__all__ = ["ShardRows", "merged_shards", "plan_of_shards", "shard_gradients"]


@dataclass(frozen=True, eq=False)
class ShardRows:
    """Merged rows, of which each rank holds the pieces that belong to its shards.

    Attributes:
        parameters: Sharded parameters of the rows.
        inner: This rank's pieces of the rows.
        wire: Collectives of the ranks; None for one rank.
    """

    parameters: Sequence[Tensor]
    inner: Jacobian
    wire: Wire | None

    def gramian(self) -> Tensor:
        """(k, k) inner products of the whole rows, float64; each rank calls it the first time."""
        return self._products

    @cached_property
    def _products(self) -> Tensor:
        groups: dict[int, list[Tensor]] = {}
        for parameter in self.parameters:
            groups.setdefault(replicas_of(parameter), []).append(parameter)
        k = len(self.inner.rows)
        total = torch.zeros(k, k, dtype=torch.float64)
        for count, chosen in groups.items():
            total += self.inner.of(chosen).gramian().to(total.device) / count
        if self.wire is not None:
            device = self.parameters[0].device if self.parameters else total.device
            total = self.wire.sum(total.to(self.wire.place(device)))
        return (total + total.T).mul_(0.5)  # rings add the two halves in different orders

    def combine(self, weights: Tensor) -> list[Tensor | None]:
        """This rank's pieces of the weighted sum."""
        return self.inner.combine(weights)

    def only(self, rows: Sequence[int]) -> "ShardRows":
        """Some of the rows."""
        kept = replace(self, inner=self.inner.only(rows))
        if "_products" in vars(self):
            vars(kept)["_products"] = self._products[list(rows)][:, list(rows)]
        return kept

    def of(self, parameters: Sequence[Tensor]) -> "ShardRows":
        """Some of the parameters."""
        inner = self.inner.of(parameters)
        return ShardRows(inner.parameters, inner, self.wire)

    def nonfinite(self, row: int) -> tuple[Tensor, int, int] | None:
        """First place of NaN or inf in this rank's pieces of a row."""
        return self.inner.nonfinite(row)


def plan_of_shards(losses: Sequence[Tensor], behind: Behind, ownership: Ownership) -> Plan:
    """The plan of a step: one backward a task, pieces kept."""
    k, names = len(losses), tuple(ownership.name(parameter) for parameter in behind.parameters)
    kept = k * size_of([local_of(parameter) for parameter in behind.parameters])
    layer = LayerPlan("direct", names, "pieces of this rank's shards", kept)
    cost = predict_sequential(behind.graph, losses, wanted=list(behind.graph.leaves.values()))
    return Plan("sharded", "parameters are sharded by FSDP2, which reduces in backward", k, cost, kept, (layer,))


def shard_gradients(
    losses: Sequence[Tensor],
    shares: Sequence[float],
    tasks: Sequence[int],
    behind: Behind,
    ownership: Ownership,
    plan: Plan,
    wire: Wire | None,
    *,
    retain_graph: bool,
) -> Gradients:
    """This rank's pieces of every task's merged gradient; ownership learns from them.

    Args:
        losses: Scalars of all tasks of the step.
        shares: R times this rank's share of each task's rows; FSDP divides by R.
        tasks: Numbers of the tasks.
        behind: Leaves behind the losses.
        ownership: Record of which parameters are shared.
        plan: Plan of the step.
        wire: Collectives of the ranks, which count FSDP's reduction, too; None for one rank.
        retain_graph: Whether the graph is needed afterwards.

    Returns:
        One part with every sharded parameter, heads too; inputs that require grad are gradients of their own, of this
        rank's losses.
    """
    leaves = [*behind.parameters, *behind.others]
    rows: list[dict[int, Tensor]] = []
    with tensor_hooks_off(behind.others), _gradients_aside(leaves):
        for number, (loss, share) in enumerate(zip(losses, shares, strict=True)):
            last = number + 1 == len(losses)
            torch.autograd.backward([loss], [torch.full_like(loss, share)], retain_graph=retain_graph or not last)
            row = {id(leaf): local_of(leaf.grad) for leaf in leaves if leaf.grad is not None}
            for leaf in behind.others:
                if id(leaf) in row:
                    row[id(leaf)] = row[id(leaf)] / share
            for leaf in leaves:
                leaf.grad = None
            rows.append(row)
    used = [leaf for leaf in behind.parameters if any(id(leaf) in row for row in rows)]
    for leaf in used:
        ownership.reach(leaf, [(task, row[id(leaf)]) for task, row in zip(tasks, rows, strict=True) if id(leaf) in row])
        if wire is not None:
            wire.sent += sum(id(leaf) in row for row in rows) * scattered_numbers(leaf)
    inputs: Own = [
        (leaf, [(number, row[id(leaf)]) for number, row in enumerate(rows) if id(leaf) in row])
        for leaf in behind.others
    ]
    part = Jacobian(used, [[row.get(id(leaf)) for leaf in used] for row in rows])
    own = [entry for entry in inputs if entry[1]]
    return Gradients([part], own, plan, len(losses), certified=False, merged=True)


def merged_shards(
    found: Gradients, tasks: Sequence[int], joint: Joint | None, ownership: Ownership, *, whole: bool
) -> MergedGradients:
    """Pieces of this rank as gradients of all ranks' rows, after the ranks have agreed which parameters are shared.

    Args:
        found: Gradients from `shard_gradients`, or sums of such.
        tasks: Numbers of the tasks.
        joint: Step that the ranks take together; None for one rank.
        ownership: Record of which parameters are shared; it learns what other ranks know.
        whole: Whether the method needs whole rows: they are gathered then.
    """
    rows: dict[int, list[tuple[int, Tensor]]] = {}
    leaves: dict[int, Tensor] = {}
    jacobian = found.shared
    for number, leaf in enumerate(jacobian.parameters):
        blocks = [(row, block) for row, line in enumerate(jacobian.rows) if (block := line[number]) is not None]
        leaves[id(leaf)], rows[id(leaf)] = leaf, blocks
    for leaf, blocks in found.own:
        leaves[id(leaf)], rows[id(leaf)] = leaf, list(blocks)
    known = [(leaf, rows[key]) for key, leaf in leaves.items() if ownership.is_parameter(leaf)]
    alone = [(leaf, blocks) for leaf, blocks in known if not ownership.is_shared(leaf)]
    bad = list(nonfinite_heads(alone))
    wire = None if joint is None else joint.wire
    if joint is not None:
        here = [(leaf, [tasks[row] for row, _ in blocks]) for leaf, blocks in known]
        agreed = joint.roster.agree(here, None, ownership, complete=joint.complete, bad=[tasks[row] for row in bad])
        bad = [row for row, task in enumerate(tasks) if task in agreed.bad]
    shared = [leaf for leaf, _ in known if ownership.is_shared(leaf)]
    inside = {id(leaf) for leaf in shared}
    own: Own = [(leaf, rows[key]) for key, leaf in leaves.items() if key not in inside]
    table: list[list[Tensor | None]] = [[None] * len(shared) for _ in tasks]
    for number, leaf in enumerate(shared):
        for row, block in rows[id(leaf)]:
            table[row][number] = full_of(block, leaf) if whole else block
        if whole and wire is not None:
            wire.sent += len(rows[id(leaf)]) * leaf.numel() * (1 - replicas_of(leaf) / wire.size)
    pieces, plan = Jacobian(shared, table), found.plan
    if wire is not None:
        how = "rows gathered on all ranks" if whole else "products of the shards added"
        plan = replace(plan, ranks=wire.size, merged=f"FSDP2 scatters each task's gradient; {how}")
    part = pieces if whole else ShardRows(shared, pieces, wire)
    return MergedGradients([part] if shared else [], own, plan, len(tasks), certified=False, bad=bad)


@contextmanager
def _gradients_aside(leaves: Sequence[Tensor]) -> Iterator[None]:
    """Keeps the user's gradients, and hooks that run after accumulation, out of our passes; puts them back after."""
    before = [(leaf, leaf.grad) for leaf in leaves]
    hooks: list[tuple[Any, dict[Any, Any]]] = []

    def put_back() -> None:
        for leaf, gradient in before:
            leaf.grad = gradient
        for waiting, kept in hooks:
            waiting.update(kept)

    with taken_back(put_back):
        for leaf in leaves:
            leaf.grad = None
            waiting = leaf._post_accumulate_grad_hooks
            if waiting:
                hooks.append((waiting, dict(waiting)))
                waiting.clear()
        yield
