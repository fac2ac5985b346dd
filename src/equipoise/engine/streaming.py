"""Gradients that are not kept: products stretch by stretch, then one weighted backward.

The graph is cut between layers. In each stretch every task's gradient goes from one cut to the next; the stretch's
parameter gradients give their products and are dropped. What is kept at once is k gradients at two cuts and k gradients
of one stretch, in place of k gradients of all parameters.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor
from torch.autograd.graph import GradientEdge, Node

from .graph import Graph, is_accumulator, shape_at

__all__ = ["Cut", "StreamedRows", "Stretch", "cut_into_stretches"]

Cut = tuple[GradientEdge, ...]
"""Edges that everything behind them is reached through."""


@dataclass(frozen=True, eq=False)
class Stretch:
    """A part of the graph between two cuts.

    Attributes:
        leaves: Parameters used in it, and nowhere else.
        below: The cut at its end.
        memory: Bytes of k gradients of its parameters and at its two cuts.
    """

    leaves: list[Tensor]
    below: Cut
    memory: int


@dataclass(frozen=True, eq=False)
class StreamedRows:
    """Products of rows that were dropped, and how to get a mixture of them.

    Attributes:
        parameters: Those whose gradients were seen.
        gramians: For each the (k, k) products, float64.
        backward: Weights (k,) and parameters -> the weighted gradients, by one pass.
        spoilt: For each row the first parameter with NaN or inf, how many, of how many.
        rows: Which of the original rows these are.
        count: k, of the original rows.
    """

    parameters: Sequence[Tensor]
    gramians: Sequence[Tensor]
    backward: Callable[[Tensor, Sequence[Tensor]], list[Tensor | None]]
    spoilt: dict[int, tuple[Tensor, int, int]]
    rows: Sequence[int]
    count: int

    def gramian(self) -> Tensor:
        """(k, k), float64: the sum over the parameters."""
        index = list(self.rows)
        total = torch.zeros(len(index), len(index), dtype=torch.float64)
        for number, gramian in enumerate(self.gramians):
            term = gramian[index][:, index]
            total = term if number == 0 else total + term.to(total.device)
        return total

    def combine(self, weights: Tensor) -> list[Tensor | None]:
        """One weighted backward."""
        whole = torch.zeros(self.count, dtype=weights.dtype, device=weights.device)
        whole[list(self.rows)] = weights
        return self.backward(whole, self.parameters)

    def only(self, rows: Sequence[int]) -> "StreamedRows":
        """Some of the rows."""
        kept = [self.rows[row] for row in rows]
        return StreamedRows(self.parameters, self.gramians, self.backward, self.spoilt, kept, self.count)

    def of(self, parameters: Sequence[Tensor]) -> "StreamedRows":
        """Some of the parameters."""
        wanted = {id(parameter) for parameter in parameters}
        chosen = [number for number, parameter in enumerate(self.parameters) if id(parameter) in wanted]
        return StreamedRows(
            [self.parameters[n] for n in chosen],
            [self.gramians[n] for n in chosen],
            self.backward,
            self.spoilt,
            self.rows,
            self.count,
        )

    def nonfinite(self, row: int) -> tuple[Tensor, int, int] | None:
        """As it was seen when the row passed by."""
        return self.spoilt.get(self.rows[row])


def cut_into_stretches(graph: Graph, passes: int, limit: int, above: int) -> list[Stretch] | str:
    """Cuts a graph so that every stretch fits; each is as long as it can be.

    Args:
        graph: Behind the features or the losses.
        passes: Gradients that go through it.
        limit: Bytes.
        above: Numbers in one gradient at the graph's roots.

    Returns:
        Stretches from the roots down, or why there are none. A parameter that is used in two places keeps everything
        between them in one stretch.
    """
    order = [node for node in graph.nodes if not is_accumulator(node)]
    order.sort(key=lambda node: int(node._sequence_nr()), reverse=True)  # type: ignore[attr-defined]
    place = {node: number for number, node in enumerate(order)}
    users = {id(leaf): [place[node] for node, _ in graph.users(leaf)] for leaf in graph.leaves.values()}
    spans = [(min(users[id(leaf)]), max(users[id(leaf)]), leaf) for leaf in graph.leaves.values() if users[id(leaf)]]
    if not spans:
        return "there is nothing to cut"
    closed = {number for first, last, _ in spans for number in range(first, last)}
    cuts = _cuts(order)
    width = max(leaf.element_size() for _, _, leaf in spans)
    found: list[Stretch] = []
    start, entering = 0, above
    while start < len(order):
        best: tuple[int, int] | None = None
        needed = 0
        for number in range(start, len(order)):
            inside = sum(leaf.numel() for _, last, leaf in spans if start <= last <= number)
            if passes * width * (entering + inside) > limit and best is not None:
                break
            needed = passes * width * (entering + inside + _numbers(cuts[number]))
            if number not in closed and needed <= limit:
                best = (number, needed)
        if best is None:
            return f"a stretch that cannot be cut needs {needed} bytes"
        end, memory = best
        found.append(Stretch([leaf for _, last, leaf in spans if start <= last <= end], cuts[end], memory))
        start, entering = end + 1, _numbers(cuts[end])
    return found


def _cuts(order: Sequence[Node]) -> list[Cut]:
    """After each visit, the edges from what was visited to what was not."""
    pending: dict[tuple[Node, int], GradientEdge] = {}
    found = []
    for node in order:
        for key in [key for key in pending if key[0] is node]:
            del pending[key]
        for parent, output in node.next_functions:
            if parent is not None and not is_accumulator(parent):
                pending[parent, output] = GradientEdge(parent, output)
        found.append(tuple(pending.values()))
    return found


def _numbers(cut: Cut) -> int:
    return sum(prod(shape_at(edge)) for edge in cut)
