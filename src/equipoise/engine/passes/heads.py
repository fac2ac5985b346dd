"""Differentiation of heads, in a single pass where the graph allows it."""

from collections.abc import Sequence

import torch
from torch import Tensor

from ...errors import InputError
from ..blocks.dense import Jacobian
from ..blocks.factored import FactoredRows, Factors
from ..blocks.joint_rows import JointRows
from ..blocks.row_sparse import Chosen, ChosenRows
from ..blocks.task_gradients import Own
from ..graph.autograd_graph import Graph, read_graph
from ..graph.head_inputs import Entrance, Head, find_entrances
from ..graph.hooks import tensor_hooks_off
from ..graph.ownership import Ownership
from ..graph.trunk_and_heads import split
from .backward import arriving

__all__ = ["differentiate_heads", "feature_gradients", "heads_at_once"]

HeadRow = dict[int, Tensor | None]
"""Gradients of one loss, by the identity of the parameter."""


def differentiate_heads(
    losses: Sequence[Tensor], features: Sequence[Tensor], heads: Sequence[Head], graph: Graph, *, apart: bool
) -> tuple[list[HeadRow], list[list[Tensor | None]], JointRows | None]:
    """Differentiates every head, in a single pass where the graph allows it.

    Args:
        losses: Scalars of the present tasks.
        features: Tensors between trunk and heads.
        heads: One head per loss.
        graph: Graph behind all losses.
        apart: Whether to look for tasks that own their rows of the batch.

    Returns:
        The heads' own gradients; each task's gradients at the features, empty where each task owns its rows; and their
        sum in that case, else None.
    """
    apart = apart and all(
        feature.numel() and feature.dim() and len(feature) == len(features[0]) and not feature.is_complex()
        for feature in features
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
    """Gradients of one head's parameters, by identity, and those at the features."""
    wanted = [*features, *head.leaves.values()]
    found = torch.autograd.grad(loss, wanted, torch.ones_like(loss), retain_graph=True, allow_unused=True)
    own: HeadRow = dict(zip(head.leaves, found[len(features) :], strict=True))
    return own, list(found[: len(features)])


def heads_at_once(
    losses: Sequence[Tensor], features: Sequence[Tensor], heads: Sequence[Head], graph: Graph
) -> tuple[list[HeadRow], FactoredRows | ChosenRows] | None:
    """Differentiates all heads in one pass, where each uses the features by nodes of its own (`find_entrances`).

    The gradient at such a node comes from one loss only, and no parameter is behind two heads; so one pass of the sum
    of the losses gives the same gradients as a pass per loss.

    Returns:
        Each loss's gradients of its head's parameters, by identity; and those at the features. None where the heads do
        not begin in that way, where an input is behind two heads, or where features are complex (their products hold
        conjugates).
    """
    if any(loss.grad_fn is feature.grad_fn for loss in losses for feature in features):
        return None
    if any(feature.is_complex() for feature in features):
        return None
    entrances = find_entrances(graph, heads, features)
    if not entrances:
        return None
    leaves = {key: leaf for head in heads for key, leaf in head.leaves.items()}
    if len(leaves) < sum(len(head.leaves) for head in heads):
        return None
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
    """Gradients at the features alone, for methods that compute weights from them.

    Args:
        losses: Scalars of the present tasks.
        features: Tensors between trunk and heads.
        ownership: Record of which parameters are shared, and of their names.
        complete: Whether all tasks are present.
        graph: The losses' graph, if it has been read already.

    Returns:
        The Jacobian with respect to the features (per sample), head gradients as in `Gradients.own`, and the parameters
        and inputs behind the features.
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
