"""Networks taken apart at their features, and the heads differentiated."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..errors import InputError
from .backward import arriving
from .chosen_rows import Chosen, ChosenRows
from .entrances import Entrance, Head, find_entrances, read_heads
from .factors import FactoredRows, Factors
from .gradients import Own
from .graph import Graph, read_graph, tensor_hooks_off
from .jacobian import Jacobian
from .joint_rows import JointRows
from .ownership import Ownership

__all__ = ["Split", "differentiate_heads", "feature_gradients", "heads_at_once", "split"]

HeadRow = dict[int, Tensor | None]
"""Gradients of one loss by the identity of the parameter."""


@dataclass(frozen=True, eq=False)
class Split:
    """A network taken apart at its features.

    Attributes:
        trunk: The graph behind the features.
        heads: One a loss.
        obstacle: What stands in the way of two phases; "" if nothing does.
    """

    trunk: Graph
    heads: Sequence[Head]
    obstacle: str


def split(losses: Sequence[Tensor], features: Sequence[Tensor], graph: Graph, ownership: Ownership) -> Split:
    """Takes the graph apart at the features.

    Args:
        losses: Scalars of the present tasks.
        features: Tensors between trunk and heads.
        graph: Of the losses.
        ownership: Gives names; knows what is shared.

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
    return Split(trunk, heads, _obstacle(trunk, heads, losses, features, graph, ownership))


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
        name = ownership.name(leaf)
        if id(leaf) in trunk.leaves and id(leaf) in count:
            return f"{name} is used before and after the features"
        if count.get(id(leaf), 0) > 1 or (id(leaf) in count and ownership.is_shared(leaf)):
            return f"{name} is shared, but not behind the features"
    return ""


def differentiate_heads(
    losses: Sequence[Tensor], features: Sequence[Tensor], heads: Sequence[Head], graph: Graph, *, apart: bool
) -> tuple[list[HeadRow], list[list[Tensor | None]], JointRows | None]:
    """Differentiates every head, all at once where that can be seen to be right.

    Args:
        losses: Scalars of the present tasks.
        features: Tensors between trunk and heads.
        heads: One a loss.
        graph: Of all losses.
        apart: Whether tasks that own their rows of the batch are looked for.

    Returns:
        The heads' own gradients; for each task those at the features; or, where each task owns its rows, no such
        gradients but their sum.
    """
    apart = apart and all(
        feature.numel() and feature.dim() and len(feature) == len(features[0]) for feature in features
    )
    together = heads_at_once(losses, features, heads, graph)
    if together is not None:
        own, found = together
        joint = JointRows.of(found) if apart else None
        return own, found.formed() if joint is None else [], joint
    own, at_features, joint = [], list[list[Tensor | None]](), JointRows(features) if apart else None
    for loss, head in zip(losses, heads, strict=True):
        own_row, gradients = _head_pass(loss, features, head)
        own.append(own_row)
        if joint is not None and not joint.add(gradients):
            at_features, joint = joint.apart(), None
        if joint is None:
            at_features.append(gradients)
    return own, at_features, joint


def _head_pass(loss: Tensor, features: Sequence[Tensor], head: Head) -> tuple[HeadRow, list[Tensor | None]]:
    """Differentiates one head.

    Returns:
        Its parameters' gradients by identity, and those at the features.
    """
    wanted = [*features, *head.leaves.values()]
    found = torch.autograd.grad(loss, wanted, torch.ones_like(loss), retain_graph=True, allow_unused=True)
    own: HeadRow = dict(zip(head.leaves, found[len(features) :], strict=True))
    return own, list(found[: len(features)])


def heads_at_once(
    losses: Sequence[Tensor], features: Sequence[Tensor], heads: Sequence[Head], graph: Graph
) -> tuple[list[HeadRow], FactoredRows | ChosenRows] | None:
    """Differentiates all heads in one pass, where each takes up the features by nodes of its own (`find_entrances`).

    What arrives at such a node comes from one loss only, and no parameter is behind two heads; so the pass of the sum
    of the losses brings back what a pass for each would.

    Returns:
        For each loss its parameters' gradients by identity; and those at the features. None where the heads do not
        begin in that way.
    """
    if any(loss.grad_fn is feature.grad_fn for loss in losses for feature in features):
        return None
    entrances = find_entrances(graph, heads, features)
    if not entrances:
        return None
    leaves = {key: leaf for head in heads for key, leaf in head.leaves.items()}
    products = entrances[0].rows is None
    wanted = [*leaves.values(), *(() if products else (entrance.edge for entrance in entrances))]
    ones = [torch.ones_like(loss) for loss in losses]
    with arriving([entrance.node for entrance in entrances] if products else []) as seen:
        brought = torch.autograd.grad(losses, wanted, ones, retain_graph=True, allow_unused=True)
    if not products:
        seen = {n: value for n, value in enumerate(brought[len(leaves) :]) if value is not None}
    gradients: HeadRow = dict(zip(leaves, brought, strict=False))
    own = [{key: gradients[key] for key in head.leaves} for head in heads]
    pairs = [(entrances[number], value) for number, value in sorted(seen.items())]
    if products:
        return own, FactoredRows(features, [_side_by_side(pairs, n) for n in range(len(features))], len(losses))
    return own, ChosenRows(features, [_below(pairs, n) for n in range(len(features))], len(losses))


def _side_by_side(pairs: Sequence[tuple[Entrance, Tensor]], feature: int) -> Factors | None:
    here = sorted((pair for pair in pairs if pair[0].feature == feature), key=lambda pair: pair[0].head)
    if not here:
        return None
    owner = [entrance.head for entrance, gradient in here for _ in range(gradient.shape[1])]
    return Factors(
        torch.cat([gradient for _, gradient in here], dim=1),
        torch.cat([entrance.factor() for entrance, _ in here]),
        torch.tensor(owner),
    )


def _below(pairs: Sequence[tuple[Entrance, Tensor]], feature: int) -> Chosen | None:
    here = [(entrance, gradient) for entrance, gradient in pairs if entrance.feature == feature]
    if not here:
        return None
    pieces = [gradient if gradient.dim() == 2 else gradient.reshape(-1, gradient.shape[-1]) for _, gradient in here]
    heads = torch.tensor([entrance.head for entrance, _ in here], device=pieces[0].device)
    sizes = torch.tensor([len(piece) for piece in pieces], device=pieces[0].device)
    rows = [entrance.rows.reshape(-1) for entrance, _ in here if entrance.rows is not None]
    return Chosen(torch.cat(pieces), torch.cat(rows), heads.repeat_interleave(sizes))


def feature_gradients(
    losses: Sequence[Tensor],
    features: Sequence[Tensor],
    ownership: Ownership,
    *,
    complete: bool,
    graph: Graph | None = None,
) -> tuple[Jacobian | FactoredRows, Own, list[Tensor]]:
    """Gradients at the features alone, for methods that weigh by them.

    Args:
        losses: Scalars of the present tasks.
        features: Tensors between trunk and heads.
        ownership: Gives names.
        complete: Whether all tasks are present.
        graph: That of the losses, where it was read already.

    Returns:
        The Jacobian with respect to the features (kept per sample), head gradients as in `Gradients.own`, and the
        parameters behind the features.
    """
    graph = read_graph(losses) if graph is None else graph
    leaves = list(graph.leaves.values())
    ownership.meet(leaves, complete=complete)
    with tensor_hooks_off(leaves):
        parts = split(losses, features, graph, ownership)
        if parts.obstacle:
            raise InputError(
                f"a method on representation gradients needs every shared parameter behind `features`: "
                f"{parts.obstacle}."
            )
        rows, at = _all_heads(losses, features, parts.heads, graph)
    own: Own = []
    for number, (row, head) in enumerate(zip(rows, parts.heads, strict=True)):
        for key, leaf in head.leaves.items():
            gradient = row[key]
            if gradient is not None:
                own.append((leaf, [(number, gradient)]))
    return at, own, list(parts.trunk.leaves.values())


def _all_heads(
    losses: Sequence[Tensor], features: Sequence[Tensor], heads: Sequence[Head], graph: Graph
) -> tuple[list[HeadRow], Jacobian | FactoredRows]:
    together = heads_at_once(losses, features, heads, graph)
    if together is None:
        passes = [_head_pass(loss, features, head) for loss, head in zip(losses, heads, strict=True)]
        return [row for row, _ in passes], Jacobian(features, [found for _, found in passes])
    rows, found = together
    return rows, found if isinstance(found, FactoredRows) else Jacobian(features, found.formed())
