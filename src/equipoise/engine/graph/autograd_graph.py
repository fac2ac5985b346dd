"""A reading of autograd's graph: which parameters a loss reaches, and which node uses what."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from torch import Tensor
from torch.autograd.graph import GradientEdge, Node

__all__ = ["Graph", "is_accumulator", "leaves_behind", "read_graph", "shape_at"]


Below = tuple[tuple[Node | None, int], ...]


@dataclass(eq=False)
class Graph:
    """One reading of the graph behind some tensors.

    Attributes:
        nodes: Every node, roots first, in the order of a depth-first walk.
        leaves: Leaf tensors that require grad, each once, in the same order.
        consumers: Node -> (node, input position) of everything that uses its output.
        accumulators: Identity of a leaf -> the node that accumulates its gradient.
        below: Node -> the (node, output number) pairs that it sends gradients to; stored because torch builds them
            anew at every access.
        work: Node -> multiply-adds of its forward, for nodes that multiply; None until the cost is predicted.
    """

    nodes: list[Node] = field(default_factory=list)
    leaves: dict[int, Tensor] = field(default_factory=dict)
    consumers: dict[Node, list[tuple[Node, int]]] = field(default_factory=dict)
    accumulators: dict[int, Node] = field(default_factory=dict)
    below: dict[Node, Below] = field(default_factory=dict)
    work: dict[Node, float] | None = None

    def walk(self, nodes: Iterable[Node | None]) -> Iterator[Node]:
        """Some nodes and every node behind them, in no fixed order; nodes of other graphs too."""
        stack, seen = [node for node in nodes if node is not None], set[Node]()
        while stack:
            node = stack.pop()
            if node not in seen:
                seen.add(node)
                yield node
                below = self.below.get(node)
                below = node.next_functions if below is None else below
                stack += [parent for parent, _ in below if parent is not None]

    def activations(self) -> list[Node]:
        """Nodes that a gradient passes, without those that only transpose or cast a leaf."""
        weights: set[Node] = set()
        for node in self.nodes:
            inner = node
            while len(inner.next_functions) == 1 and (below := inner.next_functions[0][0]) is not None:
                inner = below
            if is_accumulator(inner):
                weights.add(node)
        return [node for node in self.nodes if node not in weights]

    def users(self, leaf: Tensor) -> list[tuple[Node, int]]:
        """(node, input position) of everything that uses a leaf."""
        node = self.accumulators.get(id(leaf))
        return [] if node is None else self.consumers.get(node, [])


def read_graph(tensors: Iterable[Tensor], stop: Iterable[Tensor] = (), known: Graph | None = None) -> Graph:
    """Walks the graph behind some tensors once.

    Args:
        tensors: Tensors at which the walk starts.
        stop: Tensors whose graph is not entered.
        known: An earlier reading of a larger graph, whose edges are used again.

    Returns:
        Nodes, leaves and their users. The order is the same in every run of the same model. Cost: half a microsecond
        per node.
    """
    graph, stack = Graph(), list[Node]()
    seen_before = {} if known is None else known.below
    seen = {tensor.grad_fn for tensor in stop if tensor.grad_fn is not None}
    blocked_leaves = {id(tensor) for tensor in stop if tensor.grad_fn is None}
    for tensor in reversed(list(tensors)):
        if tensor.grad_fn is not None:
            stack.append(tensor.grad_fn)
        elif tensor.requires_grad and id(tensor) not in blocked_leaves:
            graph.leaves[id(tensor)] = tensor
    consumers = graph.consumers
    while stack:
        node = stack.pop()
        if node in seen:
            continue
        seen.add(node)
        graph.nodes.append(node)
        below = seen_before.get(node)
        if below is None:
            below = node.next_functions
        graph.below[node] = below
        if not below:
            leaf = getattr(node, "variable", None)  # only AccumulateGrad has one
            if leaf is not None and id(leaf) not in blocked_leaves:
                graph.leaves[id(leaf)] = leaf
                graph.accumulators[id(leaf)] = node
            continue
        parents = []
        for position, (parent, _) in enumerate(below):
            if parent is not None:
                consumers.setdefault(parent, []).append((node, position))
                parents.append(parent)
        parents.reverse()
        stack += parents
    return graph


def leaves_behind(tensors: Iterable[Tensor], stop: Iterable[Tensor] = ()) -> list[Tensor]:
    """Leaf tensors that require grad and lie in the graph behind some tensors.

    Reachability is necessary, not sufficient: a node with several outputs makes everything behind it look reached.
    Ownership is decided from returned gradients (`Ownership`).

    Args:
        tensors: Tensors at which the walk starts.
        stop: Tensors whose graph is not entered.

    Returns:
        Each leaf once, in the order of a depth-first walk, which is the same in every run of the same model.

    Example:
        >>> import torch
        >>> w, b = torch.ones(2, requires_grad=True), torch.zeros(1, requires_grad=True)
        >>> [leaf.shape for leaf in leaves_behind([(w * 2).sum() + b])]
        [torch.Size([2]), torch.Size([1])]
    """
    return list(read_graph(tensors, stop).leaves.values())


def is_accumulator(node: Node) -> bool:
    """Whether a node accumulates a leaf's gradient."""
    return hasattr(node, "variable")


def shape_at(edge: GradientEdge) -> tuple[int, ...]:
    """Shape of the tensor whose gradient passes an edge; () where torch does not show it."""
    known: Sequence[object] = getattr(edge.node, "_input_metadata", ())
    return tuple(getattr(known[edge.output_nr], "shape", ())) if edge.output_nr < len(known) else ()
