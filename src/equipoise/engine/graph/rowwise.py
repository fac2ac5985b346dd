"""Whether the shared part of a network treats each row of the batch separately, read from the graph."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

from torch import Tensor
from torch.autograd.graph import GradientEdge, Node

from .autograd_graph import Graph, is_accumulator, shape_at
from .hooks import has_hooks
from .linear_layers import LinearSite, find_linear_site

__all__ = ["NormSite", "RowwiseTrunk", "read_rowwise"]

_VIEWS = {"ViewBackward0", "UnsafeViewBackward0", "UnsqueezeBackward0", "SqueezeBackward0", "SqueezeBackward1"}
_ELEMENTWISE = {
    f"{name}Backward0"
    for name in (
        "Abs",
        "Add",
        "Celu",
        "Clone",
        "Cos",
        "Div",
        "Elu",
        "Exp",
        "Gelu",
        "Hardshrink",
        "Hardsigmoid",
        "Hardswish",
        "Hardtanh",
        "LeakyRelu",
        "LogSigmoid",
        "Mish",
        "Mul",
        "NativeDropout",
        "Neg",
        "Relu",
        "Rsub",
        "Selu",
        "Sigmoid",
        "Silu",
        "Sin",
        "Softplus",
        "Softshrink",
        "Sqrt",
        "Sub",
        "Tanh",
        "Threshold",
    )
}
_NORM = "NativeLayerNormBackward0"


@dataclass(frozen=True, eq=False)
class NormSite:
    """A layer norm with its own scale and shift.

    Attributes:
        node: Node of the layer norm.
        scale: Parameter that multiplies the normalised input, of the normalised shape; None without one.
        shift: Parameter that is added, of the normalised shape; None without one.
    """

    node: Node
    scale: Tensor | None
    shift: Tensor | None

    @property
    def edge(self) -> GradientEdge:
        """The edge at which autograd returns a task's output gradient."""
        return GradientEdge(self.node, 0)

    def normalised(self) -> Tensor:
        """(rows, size): the input, centred and scaled to unit variance."""
        held: Tensor = self.node._saved_input  # type: ignore[attr-defined]
        mean, inverse = self.node._saved_result1, self.node._saved_result2  # type: ignore[attr-defined]
        found: Tensor = ((held - mean) * inverse).detach()
        return found.reshape(mean.numel(), -1)


@dataclass(frozen=True, eq=False)
class RowwiseTrunk:
    """A trunk in which nothing passes from one row of the batch to another.

    Attributes:
        weights: Linear layers of the trunk.
        biases: Biases of linear layers, each with its layer.
        norms: Layer norms of the trunk.
    """

    weights: list[LinearSite]
    biases: list[tuple[Tensor, LinearSite]]
    norms: list[NormSite]


def read_rowwise(whole: Graph, trunk: Graph, features: Sequence[Tensor]) -> RowwiseTrunk | str:
    """Recognises a trunk made of linear layers, elementwise functions, dropout and layer norms.

    Reshapes are accepted because they keep the numbers of a row together. Operations that move axes or combine rows
    (batch norm in training), and unknown ones, are not.

    Args:
        whole: Graph behind all losses, in which the uses of each parameter are counted.
        trunk: Graph behind the features.
        features: Tensors between trunk and heads, all with the batch as first axis.

    Returns:
        The trunk's layers, or the reason why rows may mix.
    """
    batch = {feature.shape[0] if feature.dim() else 0 for feature in features}
    if len(batch) != 1 or 0 in batch:
        return "the features have no common first axis"
    (rows,) = batch
    sites = {id(leaf): find_linear_site(whole, leaf) for leaf in trunk.leaves.values() if leaf.dim() == 2}
    weights = {site.node: site for site in sites.values() if isinstance(site, LinearSite)}
    allowed = {node for site in weights.values() for node in _weight_path(site)}
    biases: list[tuple[Tensor, LinearSite]] = []
    norms: list[NormSite] = []
    claimed = {id(site.parameter) for site in weights.values()}
    for node in trunk.nodes:
        if is_accumulator(node) or node in allowed:
            continue
        name, shape = node.name(), shape_at(GradientEdge(node, 0))
        if has_hooks(node, before=False):
            return f"a hook acts on {name}"
        if prod(shape) % rows:
            return f"{name} does not keep the batch's rows"
        if node in weights:
            if weights[node].rows % rows:
                return f"{name} does not keep the batch's rows"
            bias = _own_parameter(whole, node, 0) if name == "AddmmBackward0" else None
            if name == "AddmmBackward0" and node.next_functions[0][0] is not None:
                if bias is None or bias.shape != (weights[node].fan_out,):
                    return "a bias that is no parameter of one layer"
                biases.append((bias, weights[node]))
                claimed.add(id(bias))
        elif name == _NORM:
            norm = _norm_site(whole, node, shape, rows)
            if isinstance(norm, str):
                return norm
            norms.append(norm)
            claimed |= {id(leaf) for leaf in (norm.scale, norm.shift) if leaf is not None}
        elif name in _ELEMENTWISE:
            below = [GradientEdge(parent, number) for parent, number in node.next_functions if parent is not None]
            if any(is_accumulator(edge.node) or shape_at(edge) != shape for edge in below):
                return f"{name} joins tensors of different shapes, or a parameter"
        elif name not in _VIEWS:
            return f"{name} is not known to keep rows apart"
    left = [leaf for leaf in trunk.leaves.values() if id(leaf) not in claimed]
    if left:
        return f"a parameter of shape {tuple(left[0].shape)} is used in another way than by one layer"
    return RowwiseTrunk(list(weights.values()), biases, norms)


def _weight_path(site: LinearSite) -> list[Node]:
    """Nodes that only transpose or cast the weight."""
    position = 2 if site.node.name() == "AddmmBackward0" else 1
    path, node = [], site.node.next_functions[position][0]
    while node is not None and not is_accumulator(node):
        path.append(node)
        node = node.next_functions[0][0]
    return path


def _own_parameter(graph: Graph, node: Node, position: int) -> Tensor | None:
    """The leaf at a node's input, if nothing else uses it."""
    parent = node.next_functions[position][0]
    leaf: Tensor | None = getattr(parent, "variable", None)
    return leaf if leaf is not None and len(graph.users(leaf)) == 1 else None


def _norm_site(graph: Graph, node: Node, shape: tuple[int, ...], rows: int) -> NormSite | str:
    raw = getattr(node, "_raw_saved_input", None)
    if raw is None or getattr(raw, "unpack_hook", raw) is not None:
        return f"{node.name()} keeps its input through saved-tensor hooks"
    extents: list[Any] = list(node._saved_normalized_shape)  # type: ignore[attr-defined]
    size = prod(map(int, extents))
    if not size or (prod(shape) // size) % rows:
        return f"{node.name()} normalises over the batch"
    found: list[Tensor | None] = []
    for position in (1, 2):
        present = position < len(node.next_functions) and node.next_functions[position][0] is not None
        leaf = _own_parameter(graph, node, position) if present else None
        if present and leaf is None:
            return f"{node.name()} uses a parameter that is used elsewhere"
        found.append(leaf)
    return NormSite(node, *found)
