"""Plans: the engine of each group of parameters, the reason, and the predicted cost."""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.autograd.graph import GradientEdge, Node

from ..graph.autograd_graph import Graph, shape_at
from ..graph.linear_layers import LinearSite, find_linear_site
from .sizes import free_bytes, in_words

__all__ = [
    "LayerPlan",
    "Plan",
    "choose_sites",
    "memory_limit",
    "multiplications",
    "predict",
    "predict_sequential",
    "reached_by",
    "visits",
]

_DOUBLE = 2  # a float64 product takes twice the time of a float32 one
_TRIANGLE = 0.65  # of a full product, for a triangular factor multiplied in bands
_MULTIPLYING = ("AddmmBackward", "MmBackward", "ConvolutionBackward", "ScaledDotProduct")
_ASK = 256 << 20  # bytes below which free memory is not queried


@dataclass(frozen=True)
class LayerPlan:
    """An engine, and the parameters that use it.

    Attributes:
        engine: ``direct`` (a gradient a task, kept), ``ghost`` (output gradients kept, weight gradients never formed),
            ``separable`` (one pass for tasks that own their rows) or ``streamed`` (products kept, gradients dropped).
        parameters: Names of the parameters.
        reason: Reason for this engine.
        memory: Bytes kept for the rows.
    """

    engine: str
    parameters: tuple[str, ...]
    reason: str
    memory: int


@dataclass(frozen=True)
class Plan:
    """Engine, passes and predicted cost of a step's gradients.

    Attributes:
        engine: ``losses`` (no pass of ours), ``sequential``, ``two-phase``, ``separable``, ``streaming``,
            ``sharded`` (one backward a task through FSDP2), ``features``, ``sketch``, ``last layer`` or ``reused``.
        reason: Reason for this engine.
        passes: Number of backward passes through the shared parameters before the user's own.
        cost: Predicted time in plain steps (forward and backward of the sum of the losses), counting multiplications;
            None where the graph holds no known product.
        memory: Predicted bytes kept for per-task rows, beyond a plain step.
        layers: The engine of each group of parameters.
        ranks: Number of ranks whose rows make the step.
        merged: Way in which their gradients, or losses, became one.
        sent: Count of numbers that this rank sent for it, as rings send them; without the reduction in `backward`.
    """

    engine: str
    reason: str
    passes: int
    cost: float | None = None
    memory: int | None = None
    layers: tuple[LayerPlan, ...] = ()
    ranks: int = 1
    merged: str = ""
    sent: int = 0

    def __str__(self) -> str:
        """The plan as a few lines of text."""
        cost = "unknown" if self.cost is None else f"{self.cost:.1f} plain steps"
        memory = "unknown" if self.memory is None else in_words(self.memory)
        lines = [f"{self.engine}: {self.reason}", f"  passes {self.passes}, predicted cost {cost}, rows {memory}"]
        for layer in self.layers:
            shown = ", ".join(layer.parameters[:3]) + (", ..." if len(layer.parameters) > 3 else "")
            lines.append(
                f"  {layer.engine}: {shown} ({len(layer.parameters)}), {layer.reason}, {in_words(layer.memory)}"
            )
        if self.ranks > 1:
            lines.append(f"  {self.ranks} ranks: {self.merged}; {self.sent:,} numbers sent by this rank")
        return "\n".join(lines)


def choose_sites(graph: Graph, leaves: Sequence[Tensor], k: int) -> tuple[list[LinearSite], dict[str, list[Tensor]]]:
    """Chooses the ghost engine for the linear layers where it is cheaper.

    It is cheaper where rows are few: multiply-adds 2 N² d_in + .65 k N² d_out + 2 k² N d_out + N d_in d_out against
    k N d_in d_out + 2 k² d_in d_out (a float64 product counted twice). Measured at d = 768: both ways cost
    the same at about 700 rows for k = 10, 380 for k = 3 and 250 for k = 2.

    Args:
        graph: Graph behind all losses.
        leaves: Parameters that are, or may be, shared.
        k: Number of passes.

    Returns:
        The layers for the ghost engine, and every other leaf by the reason against it.
    """
    sites: list[LinearSite] = []
    direct: dict[str, list[Tensor]] = {}
    for leaf in leaves:
        found = find_linear_site(graph, leaf)
        if isinstance(found, str):
            cast = found == "used by ToCopyBackward0"  # what autograd calls a cast
            direct.setdefault("cast or moved before use (autocast)" if cast else found, []).append(leaf)
        elif k < 2 or found.rows >= found.fan_in or _ghost(found, k) >= _direct(found, k):
            reason = "few tasks" if k < 3 else "many rows"
            direct.setdefault(f"{reason}: its weight gradients are cheaper than its products", []).append(leaf)
        else:
            sites.append(found)
    return sites, direct


def _ghost(site: LinearSite, k: int) -> float:
    rows, fan_in, fan_out = site.rows, site.fan_in, site.fan_out
    products = 2 * rows**2 * fan_in + _TRIANGLE * k * rows**2 * fan_out + _DOUBLE * k**2 * rows * fan_out
    return products + rows * fan_in * fan_out


def _direct(site: LinearSite, k: int) -> float:
    size = site.fan_in * site.fan_out
    return k * site.rows * size + _DOUBLE * k**2 * size


def multiplications(node: Node) -> float:
    """Multiply-adds of a node's forward; 0 for nodes that do not multiply matrices, or are not known."""
    name = node.name()
    if not name.startswith(_MULTIPLYING):
        return 0.0
    shape, size = shape_at(GradientEdge(node, 0)), 1.0
    for extent in shape:
        size *= extent
    if name in {"AddmmBackward0", "MmBackward0"}:
        sizes = getattr(node, "_saved_mat1_sym_sizes" if name[0] == "A" else "_saved_self_sym_sizes", (0, 0))
        return size * float(sizes[-1])
    if name == "ConvolutionBackward0":
        weight = [parent for parent, _ in node.next_functions][1]
        leaf = getattr(weight, "variable", None)
        return 0.0 if leaf is None or not shape else size * leaf.numel() / leaf.shape[0]
    return 2 * size * float(shape[-2]) if name.startswith("ScaledDotProduct") and len(shape) > 1 else 0.0


def _work(graph: Graph) -> dict[Node, float]:
    """Multiply-adds of each node that multiplies, computed once per graph."""
    if graph.work is None:
        graph.work = {node: size for node in graph.nodes if (size := multiplications(node))}
    return graph.work


def predict(
    graph: Graph,
    shared: Sequence[Node],
    passes: int,
    sites: Sequence[LinearSite],
    *,
    again: float = 0.0,
    products: float = 0.0,
) -> float | None:
    """Predicted time of a step in plain steps.

    Args:
        graph: Graph behind all losses.
        shared: Nodes that every pass goes through.
        passes: Number of passes.
        sites: Layers of the ghost engine.
        again: Number of further backward passes (a weighted one, for streaming).
        products: Multiply-adds of Gramians, beyond those of the ghost engine.

    Returns:
        Multiplications of the step over those of a plain one; None where there are none.
    """
    sizes = _work(graph)
    if not sizes:
        return None
    whole, inner = sum(sizes.values()), sum(sizes.get(node, 0.0) for node in shared)
    formed = inner - sum(sizes.get(site.node, 0.0) for site in sites)
    work = whole + 2 * (whole - inner) + passes * (inner + formed) + 2 * again * inner + products
    work += sum(_ghost(site, passes) for site in sites)
    return work / (3 * whole)


def predict_sequential(
    graph: Graph,
    losses: Sequence[Tensor],
    sites: Sequence[LinearSite] = (),
    *,
    wanted: Collection[Tensor] | None = None,
    again: float = 0.0,
) -> float | None:
    """Predicted time of a step with one pass per loss, in plain steps.

    A pass goes only where its loss leads, so a head counts once and the trunk k times.

    Args:
        graph: Graph behind all losses.
        losses: Scalars at which the passes start.
        sites: Layers of the ghost engine.
        wanted: Parameters whose gradients the passes compute; all of them if None.
        again: Number of further backward passes through everything.

    Returns:
        Multiplications of the step over those of a plain one; None where there are none.
    """
    sizes = _work(graph)
    whole = sum(sizes.values())
    if not sizes:
        return None
    counts = visits(graph, losses)
    accumulators = {graph.accumulators[id(leaf)] for leaf in wanted or () if id(leaf) in graph.accumulators}
    leading = set(graph.nodes) if wanted is None else _leading_to(graph, accumulators)
    ghosts = {site.node: site for site in sites}
    work = whole + 2 * again * whole
    for node, size in sizes.items():
        if node not in leading:
            continue
        below = [parent for parent, _ in node.next_functions if parent in leading]
        onward = wanted is None or any(_turned(parent) not in accumulators for parent in below)
        formed = wanted is None or any(_turned(parent) in accumulators for parent in below)
        work += counts[node] * size * (onward + (formed and node not in ghosts))
        if node in ghosts:
            work += _ghost(ghosts[node], counts[node])
    return work / (3 * whole)


def visits(graph: Graph, losses: Sequence[Tensor]) -> dict[Node, int]:
    """Number of losses that reach each node."""
    return {node: found.bit_count() for node, found in reached_by(graph, losses).items()}


def reached_by(graph: Graph, losses: Sequence[Tensor]) -> dict[Node, int]:
    """The losses that reach each node, as bits. Cost: a few operations per node, on integers of k bits."""
    reached: dict[Node, int] = dict.fromkeys(graph.nodes, 0)
    for number, loss in enumerate(losses):
        if loss.grad_fn is not None:
            reached[loss.grad_fn] |= 1 << number
    waiting = {node: len(users) for node, users in graph.consumers.items()}
    ready = [node for node in graph.nodes if node not in waiting]
    while ready:
        node = ready.pop()
        mine = reached[node]
        for parent, _ in graph.below[node]:
            if parent is not None:
                reached[parent] |= mine
                waiting[parent] -= 1
                if not waiting[parent]:
                    ready.append(parent)
    return reached


def _leading_to(graph: Graph, accumulators: Collection[Node]) -> set[Node]:
    """The accumulators, and all nodes from which one of them is reached."""
    found, stack = set(accumulators), list(accumulators)
    while stack:
        for consumer, _ in graph.consumers.get(stack.pop(), ()):
            if consumer not in found:
                found.add(consumer)
                stack.append(consumer)
    return found


def _turned(node: Node) -> Node:
    """The end of a chain of nodes with one input each, such as transposes and casts of a leaf."""
    while len(node.next_functions) == 1 and node.next_functions[0][0] is not None:
        node = node.next_functions[0][0]
    return node


def memory_limit(limit: int | None, needed: int, device: torch.device) -> int:
    """Bytes that rows may take: the given limit, else four fifths of the free memory."""
    if limit is not None:
        return limit
    if needed < _ASK:
        return needed
    free = free_bytes(device)
    return needed if math.isinf(free) else int(0.8 * free)
