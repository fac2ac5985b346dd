"""The straight way through a step of a small model: what was worked out about its graph once, run as it stands.

A model whose gradients are a few hundred thousand numbers spends its step in single operations, not in arithmetic. So
heads are differentiated in one call, passes through the common part run together, and all rows lie in one tensor. Where
heads do not begin with a product they are taken one by one; where the common part cannot be entered by several
gradients at once, or tasks are two, each loss gets one pass through everything.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.graph import GradientEdge, Node

from ..blocks.stacked import StackedRows
from ..blocks.task_gradients import Gradients, Own
from ..cost.plan import Plan
from ..graph.signature import Signature

__all__ = ["Recipe"]


@dataclass(frozen=True, eq=False)
class Recipe:
    """How the gradients of one graph are computed. Places count the nodes of the signature.

    Attributes:
        signature: Of the graph.
        shared: Parameters that are balanced.
        own: Every other parameter, with the row of the one task that has it.
        plan: What the Balancer shows.
        version: Of the ownership that it was written under.
        cut: Place and output number of the tensor between the heads and the common part; None where each loss gets a
            pass through everything.
        entrances: For each task the product by which its head takes up that tensor; none where heads are taken one by
            one.
    """

    signature: Signature
    shared: Sequence[Tensor]
    own: Sequence[tuple[Tensor, int]]
    plan: Plan
    version: int
    cut: tuple[int, int] | None = None
    entrances: Sequence[int] = ()

    def run(self, losses: Sequence[Tensor], nodes: Sequence[Node], keep: bool) -> Gradients:
        """The gradients of a step.

        Args:
            losses: Of the present tasks.
            nodes: Of their graph, as the signature found them.
            keep: Whether the graph is needed afterwards.
        """
        count = len(losses)
        if self.cut is None:
            rows, own = self._one_by_one(losses, self.shared, keep)
            values = torch.stack([_flat(row, self.shared) for row in rows])
        else:
            cut = GradientEdge(nodes[self.cut[0]], self.cut[1])
            sent, own = self._heads_at_once(losses, nodes) if self.entrances else self._heads(losses, cut)
            found = _grad([cut], self.shared, [sent], keep, is_grads_batched=True)
            values = torch.cat(
                [
                    sent.new_zeros(count, leaf.numel()) if block is None else block.reshape(count, -1)
                    for leaf, block in zip(self.shared, found, strict=True)
                ],
                dim=1,
            )
        return Gradients([StackedRows(self.shared, values)], own, self.plan, count)

    def _heads_at_once(self, losses: Sequence[Tensor], nodes: Sequence[Node]) -> tuple[Tensor, Own]:
        """What all heads send back, the gradients at their products times the weights, and their parameters'."""
        places = [nodes[place] for place in self.entrances]
        factors: list[Tensor] = [node._saved_mat2.detach() for node in places]  # type: ignore[attr-defined]
        wanted = [*(leaf for leaf, _ in self.own), *(GradientEdge(node, 0) for node in places)]
        found = _grad(losses, wanted, None, True)
        columns = found[len(self.own) :]
        if any(factor.shape != factors[0].shape for factor in factors):
            return torch.stack([column @ factor.T for column, factor in zip(columns, factors, strict=True)]), self._of(
                found
            )
        return torch.stack(columns) @ torch.stack(factors).mT, self._of(found)

    def _heads(self, losses: Sequence[Tensor], cut: GradientEdge) -> tuple[Tensor, Own]:
        rows, own = self._one_by_one(losses, [cut], True)
        like = next(row[0] for row in rows if row[0] is not None)
        return torch.stack([torch.zeros_like(like) if row[0] is None else row[0] for row in rows]), own

    def _one_by_one(
        self, losses: Sequence[Tensor], goals: Sequence[Tensor | GradientEdge], keep: bool
    ) -> tuple[list[list[Any]], Own]:
        """A pass for each loss to the goals and to the task's own parameters."""
        rows, own = [], Own()
        for row, loss in enumerate(losses):
            mine = [leaf for leaf, owner in self.own if owner == row]
            found = _grad([loss], [*goals, *mine], None, keep or row + 1 < len(losses))
            rows.append(found[: len(goals)])
            own += [
                (leaf, [(row, block)])
                for leaf, block in zip(mine, found[len(goals) :], strict=True)
                if block is not None
            ]
        return rows, own

    def _of(self, found: Sequence[Tensor | None]) -> Own:
        pairs = zip(self.own, found, strict=False)
        return [(leaf, [(row, block)]) for (leaf, row), block in pairs if block is not None]


def _grad(outputs: Any, wanted: Any, gradients: Any, keep: bool, **more: bool) -> list[Any]:
    found = torch.autograd.grad(outputs, wanted, gradients, retain_graph=keep, allow_unused=True, **more)
    return list(found)


def _flat(row: Sequence[Tensor | None], like: Sequence[Tensor]) -> Tensor:
    blocks = [torch.zeros_like(p) if block is None else block for block, p in zip(row, like, strict=True)]
    return torch.cat([block.reshape(-1) for block in blocks])
