"""Networks split at their features into trunk and heads."""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from ...errors import InputError
from .autograd_graph import Graph, read_graph
from .head_inputs import Head, read_heads
from .ownership import Ownership

__all__ = ["Split", "split"]


@dataclass(frozen=True, eq=False)
class Split:
    """A network split at its features.

    Attributes:
        trunk: The graph behind the features.
        heads: One head per loss.
        obstacle: Reason why trunk and heads cannot be differentiated separately; "" if they can.
    """

    trunk: Graph
    heads: Sequence[Head]
    obstacle: str


def split(losses: Sequence[Tensor], features: Sequence[Tensor], graph: Graph, ownership: Ownership) -> Split:
    """Splits the graph at the features.

    Args:
        losses: Scalars of the present tasks.
        features: Tensors between trunk and heads.
        graph: Graph behind the losses.
        ownership: Record of which parameters are shared, and of their names.

    Raises:
        InputError: A feature has no graph.
    """
    detached = [number for number, feature in enumerate(features) if feature.grad_fn is None]
    if detached:
        raise InputError(
            f"`features` must be outputs of the shared part of the network; number {detached} has no grad_fn. "
            "Was it detached, or computed under no_grad?"
        )
    trunk = read_graph(features, known=graph)
    heads = read_heads(losses, features, graph)
    obstacle = _obstacle(trunk, heads, losses, features, graph, ownership)
    if not obstacle:
        for key in {key for head in heads for key in head.leaves}:  # inputs used on both sides: a pass from a head goes
            trunk.leaves.pop(key, None)  # on through the features and brings back all of their gradient
    return Split(trunk, heads, obstacle)


def _obstacle(
    trunk: Graph,
    heads: Sequence[Head],
    losses: Sequence[Tensor],
    features: Sequence[Tensor],
    graph: Graph,
    ownership: Ownership,
) -> str:
    outputs = {(feature.grad_fn, feature.output_nr) for feature in features}
    nodes = {feature.grad_fn for feature in features}
    for number, loss in enumerate(losses):
        if loss.grad_fn in nodes and (loss.grad_fn, loss.output_nr) not in outputs:
            return f"loss {number} is another output of {loss.grad_fn.name()} beside a feature"  # type: ignore[union-attr]
    for number, feature in enumerate(features):
        assert feature.grad_fn is not None
        if trunk.consumers.get(feature.grad_fn):  # the heads' gradient there holds what comes back through the other
            return f"feature {number} lies behind another one"
        used = graph.consumers.get(feature.grad_fn, ())
        if any(graph.below[node][position] not in outputs for node, position in used):
            return f"a head uses another output of {feature.grad_fn.name()} beside feature {number}"
    count: dict[int, int] = {}
    for head in heads:
        for key in head.leaves:
            count[key] = count.get(key, 0) + 1
    for leaf in graph.leaves.values():
        if not ownership.is_parameter(leaf):  # an input may be used anywhere: what comes back is added up
            continue
        name = ownership.name(leaf)
        if id(leaf) in trunk.leaves and id(leaf) in count:
            return f"{name} is used before and after the features"
        if count.get(id(leaf), 0) > 1 or (id(leaf) in count and ownership.is_shared(leaf)):
            return f"{name} is shared, but not behind the features"
    return ""
