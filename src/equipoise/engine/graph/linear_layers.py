"""Linear layers, found in autograd's graph without hooks."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.graph import GradientEdge, Node

from .autograd_graph import Graph
from .hooks import has_hooks

__all__ = ["LinearSite", "find_linear_site", "is_turn", "obstacle_to_reading"]

# node -> (position of the weight among its inputs, name under which the node keeps the other factor)
_PRODUCTS: Mapping[str, tuple[int, str]] = {"AddmmBackward0": (2, "mat1"), "MmBackward0": (1, "self")}


@dataclass(frozen=True, eq=False)
class LinearSite:
    """A weight that is used once, by a product ``output = inputs @ weight`` (or its transpose) over N rows.

    Attributes:
        parameter: The weight, (d_out, d_in) if `transposed`, as `nn.Linear` keeps it, else (d_in, d_out).
        node: Node of the product; a task's gradient at its output is (N, d_out).
        rows: Number N of rows: batch size, times sequence length for a sequence.
        fan_in: Number d_in of the layer's inputs.
        fan_out: Number d_out of the layer's outputs.
        transposed: Whether the weight is (d_out, d_in) and enters the product transposed.
    """

    parameter: Tensor
    node: Node
    rows: int
    fan_in: int
    fan_out: int
    transposed: bool

    @property
    def edge(self) -> GradientEdge:
        """The edge at which autograd returns a task's output gradient."""
        return GradientEdge(self.node, 0)

    def inputs(self) -> Tensor:
        """(N, d_in) inputs of the layer.

        Raises:
            RuntimeError: Raised by torch if they were modified in place since.
        """
        found: Tensor = getattr(self.node, f"_saved_{_PRODUCTS[self.node.name()][1]}")
        return found.detach()


def find_linear_site(graph: Graph, leaf: Tensor) -> LinearSite | str:
    """Recognises a leaf as the weight of one linear layer.

    Args:
        graph: Graph behind all losses.
        leaf: The parameter to look up.

    Returns:
        The site, or the reason why the parameter needs ordinary passes.
    """
    if leaf.dim() != 2 or leaf.layout != torch.strided or not leaf.is_floating_point():
        return "not a dense matrix"
    users = graph.users(leaf)
    transposed = False
    while len(users) == 1 and is_turn(users[0][0]):
        transposed = not transposed
        users = graph.consumers.get(users[0][0], [])
    if len(users) != 1:
        return f"used {len(users)} times"
    node, position = users[0]
    place, factor = _PRODUCTS.get(node.name(), (-1, ""))
    if position != place:
        return f"used by {node.name()}"
    obstacle = obstacle_to_reading(node, factor)
    if obstacle:
        return obstacle
    if getattr(node, "_saved_alpha", 1) != 1:
        return "scaled product"
    if has_hooks(node, before=False):
        return "a hook waits for its gradients"
    rows, fan_in = (int(size) for size in getattr(node, f"_saved_{factor}_sym_sizes"))
    fan_out = int(leaf.shape[0] if transposed else leaf.shape[1])
    if not rows:
        return "an empty batch"
    if fan_in != int(leaf.shape[1] if transposed else leaf.shape[0]):
        return "shapes do not fit a linear layer"
    return LinearSite(leaf, node, rows, fan_in, fan_out, transposed)


def is_turn(node: Node) -> bool:
    """Whether a node transposes a matrix."""
    if node.name() == "TBackward0":
        return True
    return node.name() == "PermuteBackward0" and tuple(getattr(node, "_saved_dims", ())) == (1, 0)


def obstacle_to_reading(node: Node, factor: str) -> str:
    """Why a factor that a product keeps for backward cannot be read; "" if it can."""
    saved: Any = getattr(node, f"_raw_saved_{factor}", None)
    if saved is None or not hasattr(saved, "unpack_hook"):
        return "this torch does not show how the layer's inputs are kept"
    if saved.unpack_hook is not None:  # reading it would run the checkpoint's forward again, or move data
        return "an input is kept through saved-tensor hooks (activation checkpointing or offloading)"
    held = getattr(saved, "data", None)
    if isinstance(held, Tensor) and held.layout != torch.strided:
        return "an input is sparse"
    return ""
