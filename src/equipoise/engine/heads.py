"""Networks taken apart at their features: heads first, then what lies behind."""

from collections.abc import Sequence

import torch
from torch import Tensor

from ..errors import InputError
from .gradients import Own
from .graph import Graph, read_graph, tensor_hooks_off
from .jacobian import Jacobian
from .ownership import Ownership

__all__ = ["feature_gradients", "head_pass", "split"]


def split(
    losses: Sequence[Tensor], features: Sequence[Tensor], leaves: Sequence[Tensor], ownership: Ownership
) -> tuple[Graph, list[list[Tensor]], str]:
    """Takes the graph apart at the features.

    Args:
        losses: Scalars of the present tasks.
        features: Tensors between trunk and heads.
        leaves: Behind the losses.
        ownership: Gives names; knows what is shared.

    Returns:
        The graph behind the features, leaves of each head, and what stands in the way of two phases ("" if nothing).

    Raises:
        InputError: A feature has no graph.
    """
    detached = [number for number, feature in enumerate(features) if feature.grad_fn is None]
    if detached:
        raise InputError(
            f"`features` must be outputs of the shared part of the network; number {detached} has no grad_fn. "
            "Was it detached, or computed under no_grad?"
        )
    trunk = read_graph(features)
    heads = [list(read_graph([loss], stop=features).leaves.values()) for loss in losses]
    count: dict[int, int] = {}
    for head in heads:
        for leaf in head:
            count[id(leaf)] = count.get(id(leaf), 0) + 1
    nested = [number for number, feature in enumerate(features) if trunk.consumers.get(feature.grad_fn)]  # type: ignore[arg-type]
    if nested:  # the heads' gradient there would hold what also comes back through the other feature
        return trunk, heads, f"feature {nested[0]} lies behind another one"
    for leaf in leaves:
        name = ownership.name(leaf)
        if id(leaf) in trunk.leaves and id(leaf) in count:
            return trunk, heads, f"{name} is used before and after the features"
        if count.get(id(leaf), 0) > 1 or (id(leaf) in count and ownership.is_shared(leaf)):
            return trunk, heads, f"{name} is shared, but not behind the features"
    return trunk, heads, ""


def head_pass(
    loss: Tensor, features: Sequence[Tensor], head: Sequence[Tensor]
) -> tuple[dict[int, Tensor | None], list[Tensor | None]]:
    """Differentiates one head.

    Returns:
        Its parameters' gradients by identity, and those at the features.
    """
    wanted = [*features, *head]
    found = torch.autograd.grad(loss, wanted, torch.ones_like(loss), retain_graph=True, allow_unused=True)
    own: dict[int, Tensor | None] = dict(zip(map(id, head), found[len(features) :], strict=True))
    return own, list(found[: len(features)])


def feature_gradients(
    losses: Sequence[Tensor],
    features: Sequence[Tensor],
    ownership: Ownership,
    *,
    complete: bool,
    graph: Graph | None = None,
) -> tuple[Jacobian, Own, list[Tensor]]:
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
    leaves = list((read_graph(losses) if graph is None else graph).leaves.values())
    ownership.meet(leaves, complete=complete)
    with tensor_hooks_off(leaves):
        trunk, heads, obstacle = split(losses, features, leaves, ownership)
        if obstacle:
            raise InputError(
                f"a method on representation gradients needs every shared parameter behind `features`: {obstacle}."
            )
        passes = [head_pass(loss, features, head) for loss, head in zip(losses, heads, strict=True)]
    own: Own = []
    for number, (row, _) in enumerate(passes):
        for leaf in heads[number]:
            gradient = row[id(leaf)]
            if gradient is not None:
                own.append((leaf, [(number, gradient)]))
    return Jacobian(features, [at_features for _, at_features in passes]), own, list(trunk.leaves.values())
