"""Recognition of a graph that was seen before: the same network, run again, has new nodes in the same places."""

from collections.abc import Container, Sequence
from dataclasses import dataclass
from functools import lru_cache
from weakref import ref

import torch
from torch import Size, Tensor, dtype
from torch.autograd.graph import Node
from torch.nn import Parameter
from torch.utils.hooks import RemovableHandle

from .autograd_graph import Graph
from .hooks import OURS

__all__ = ["HookWatch", "Signature"]

_Below = tuple[tuple[int, int], ...]


class HookWatch:
    """Tells whether user code has registered any hook since the last step ended.

    PyTorch does not show the hooks on an activation's node, but it numbers every handle that it issues. Where that
    number has not moved and every node is younger than the last step, no node can hold a hook.
    """

    def __init__(self) -> None:
        with torch.enable_grad():
            self.note(torch.zeros((), requires_grad=True).clone().grad_fn)

    def note(self, youngest: Node | None) -> None:
        """Marks the end of a step.

        Args:
            youngest: The node that was made last; PyTorch numbers nodes in order.
        """
        self.handles, self.youngest = RemovableHandle.next_id - OURS[0], youngest._sequence_nr()  # type: ignore[union-attr]

    @property
    def quiet(self) -> bool:
        """Whether user code has registered no hook since."""
        return bool(self.handles == RemovableHandle.next_id - OURS[0])


@dataclass(frozen=True, eq=False)
class Signature:
    """Structure of a graph, node by node; a place is a node's number in that order.

    Attributes:
        roots: Place of the node and number of its output, for each loss and each feature tensor.
        kinds: Class of each node.
        below: Targets of each node's gradients as pairs (place, output number); place -1 means no target.
        leaves: Place, parameter, type and shape of each leaf. Parameters are held weakly; None stands for an input,
            which may be another tensor each time.
        saved: Place and name of every tensor that a node keeps for backward.
        extents: Place and output shape of the nodes whose shape matters.
        ones: Place and name of saved numbers that must be 1.
    """

    roots: tuple[tuple[int, int], ...]
    kinds: tuple[type, ...]
    below: tuple[_Below, ...]
    leaves: tuple[tuple[int, ref[Tensor] | None, dtype, Size | None], ...]
    saved: tuple[tuple[int, str], ...]
    extents: tuple[tuple[int, Size], ...]
    ones: tuple[tuple[int, str], ...] = ()

    @staticmethod
    def of(
        outputs: Sequence[Tensor], graph: Graph, shaped: Sequence[Node], inputs: Container[int]
    ) -> "Signature | None":
        """The signature of a graph.

        Args:
            outputs: The losses, followed by the features.
            graph: Graph behind the losses.
            shaped: Nodes whose output shape belongs to the signature.
            inputs: Identities of the leaves that are no parameters.

        Returns:
            The signature, or None for graphs that no signature can describe: outputs that are leaves or not part of the
            graph, nodes written in Python.
        """
        place: dict[Node | None, int] = {node: number for number, node in enumerate(graph.nodes)}
        if any(loss.grad_fn not in place for loss in outputs) or any(hasattr(n, "_forward_cls") for n in graph.nodes):
            return None
        place[None] = -1
        leaves = [(place[graph.accumulators[key]], leaf) for key, leaf in graph.leaves.items()]
        return Signature(
            tuple((place[loss.grad_fn], loss.output_nr) for loss in outputs),
            tuple(type(node) for node in graph.nodes),
            tuple(tuple((place[parent], output) for parent, output in graph.below[node]) for node in graph.nodes),
            tuple(
                (number, None, leaf.dtype, None) if id(leaf) in inputs else (number, ref(leaf), leaf.dtype, leaf.shape)
                for number, leaf in leaves
            ),
            tuple((number, name) for number, node in enumerate(graph.nodes) for name in _keeps(type(node))),
            tuple((place[node], node._input_metadata[0].shape) for node in shaped),
        )

    def nodes(self, outputs: Sequence[Tensor], watch: HookWatch) -> list[Node] | None:
        """This step's nodes in the signature's order, or None where anything differs.

        Beside the structure these are: the leaves, their type or shape; a hook; a tensor kept through saved-tensor
        hooks (activation checkpointing, offloading). Cost: under a microsecond per node.
        """
        if watch.handles != RemovableHandle.next_id - OURS[0] or len(outputs) != len(self.roots):
            return None
        found: list[Node | None] = [None] * len(self.kinds)
        for loss, (number, output) in zip(outputs, self.roots, strict=True):
            if found[number] is None:
                found[number] = loss.grad_fn
            if loss.output_nr != output or found[number] is not loss.grad_fn:
                return None
        oldest = watch.youngest
        for node, kind, below in zip(found, self.kinds, self.below, strict=True):
            if type(node) is not kind or node._sequence_nr() <= oldest:  # type: ignore[union-attr]
                return None
            parents = node.next_functions  # type: ignore[union-attr]
            if len(parents) != len(below):
                return None
            for (parent, output), (number, wanted) in zip(parents, below, strict=True):
                if number < 0:
                    if parent is not None:
                        return None
                elif output != wanted:
                    return None
                elif found[number] is None:
                    found[number] = parent
                elif found[number] is not parent:
                    return None
        if len(set(found)) != len(found):  # two places that have become one
            return None
        nodes: list[Node] = found  # type: ignore[assignment]
        for number, known, kind_of, shape in self.leaves:
            leaf: Tensor = nodes[number].variable  # type: ignore[attr-defined]
            if leaf.dtype != kind_of or leaf._backward_hooks:
                return None
            if isinstance(leaf, Parameter) if known is None else leaf is not known() or leaf.shape != shape:
                return None
        for number, shape in self.extents:
            if nodes[number]._input_metadata[0].shape != shape:
                return None
        for number, name in self.ones:
            if getattr(nodes[number], name) != 1:
                return None
        for number, name in self.saved:
            held = getattr(nodes[number], name)
            for one in held if type(held) is tuple else (held,):
                if one.unpack_hook is not None:
                    return None
        return nodes


@lru_cache(maxsize=512)
def _keeps(kind: type) -> tuple[str, ...]:
    """Names of the packed tensors that nodes of a class keep for backward."""
    return tuple(name for name in dir(kind) if name.startswith("_raw_saved_"))
