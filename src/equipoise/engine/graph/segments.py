"""Cuts through a graph, so that gradients pass one stretch at a time."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod

from torch import Tensor
from torch.autograd.graph import GradientEdge, Node

from .autograd_graph import Graph, is_accumulator, shape_at

__all__ = ["Cut", "Stretch", "cut_into_stretches"]

Cut = tuple[GradientEdge, ...]
"""Edges through which everything behind them is reached."""


@dataclass(frozen=True, eq=False)
class Stretch:
    """A part of the graph between two cuts.

    Attributes:
        leaves: Parameters used in this stretch and nowhere else.
        below: The cut at its lower end.
        memory: Bytes of k gradients of its parameters and at its two cuts.
    """

    leaves: list[Tensor]
    below: Cut
    memory: int


def cut_into_stretches(
    graph: Graph, passes: int, limit: int, above: int, size: Callable[[Tensor], int]
) -> list[Stretch] | str:
    """Cuts a graph so that every stretch fits into memory; each is as long as it can be.

    Args:
        graph: Graph behind the features or the losses.
        passes: Number of gradients that go through it.
        limit: Bytes that the gradients of one stretch may take.
        above: Count of numbers in one gradient at the graph's roots.
        size: Function that gives the count of numbers kept for one gradient of a parameter.

    Returns:
        Stretches from the roots down, or why there are none. A parameter or activation that is used in two places
        keeps everything between them in one stretch: residual networks are cut between blocks.
    """
    order = [node for node in graph.nodes if not is_accumulator(node)]
    order.sort(key=lambda node: int(node._sequence_nr()), reverse=True)
    place = {node: number for number, node in enumerate(order)}
    users = {id(leaf): [place[node] for node, _ in graph.users(leaf)] for leaf in graph.leaves.values()}
    spans = [(min(users[id(leaf)]), max(users[id(leaf)]), leaf) for leaf in graph.leaves.values() if users[id(leaf)]]
    if not spans:
        return "there is nothing to cut"
    closed: set[int] = set()
    for consumers in graph.consumers.values():  # a gradient at a cut must come from above the cut alone
        places = [place[node] for node, _ in consumers]
        closed.update(range(min(places), max(places)))
    cuts = _cuts(order)
    width = max(leaf.element_size() for _, _, leaf in spans)
    found: list[Stretch] = []
    start, entering = 0, above
    while start < len(order):
        best: tuple[int, int] | None = None
        needed = 0
        for number in range(start, len(order)):
            inside = sum(size(leaf) for _, last, leaf in spans if start <= last <= number)
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
    """After each node, the edges from visited nodes to unvisited ones."""
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
