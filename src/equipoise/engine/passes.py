"""Per-task gradients by reverse mode: one pass a task, in one of two orders."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..errors import InputError
from .graph import leaves_behind, tensor_hooks_off
from .jacobian import Jacobian
from .ownership import Ownership

__all__ = ["Gradients", "Own", "Plan", "differentiate", "feature_gradients"]


Own = list[tuple[Tensor, list[tuple[int, Tensor]]]]
"""Parameters that are not balanced, each with (row, gradient) of every task that has one."""


@dataclass(frozen=True)
class Plan:
    """How the gradients were computed.

    Attributes:
        engine: ``losses`` (no pass of ours), ``sequential``, ``two-phase`` or ``features``.
        reason: Why this one.
        passes: Backward passes through the shared parameters before the user's own.
    """

    engine: str
    reason: str
    passes: int


@dataclass(frozen=True, eq=False)
class Gradients:
    """What came back.

    Attributes:
        shared: The Jacobian over shared parameters, one row a present task.
        own: Every other parameter -> (row, gradient) for each task with one. More than one row only where `shared`
            was declared by the user and does not name it.
        plan: How.
    """

    shared: Jacobian
    own: Own
    plan: Plan

    def gramian(self) -> Tensor:
        """(k, k) inner products over the shared parameters, float64."""
        return self.shared.gramian()

    def combine(self, weights: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Each shared parameter with the weighted sum of its gradients."""
        pairs = zip(self.shared.parameters, self.shared.combine(weights), strict=True)
        return [(parameter, block) for parameter, block in pairs if block is not None]

    def parameters(self) -> list[Tensor]:
        """Every parameter that some task reaches."""
        return [*self.shared.parameters, *(parameter for parameter, _ in self.own)]

    def first_nonfinite(self, row: int, ownership: Ownership) -> str:
        """Where the gradient of one task first holds NaN or inf, for a message."""
        for parameter, block in zip(self.shared.parameters, self.shared.rows[row], strict=True):
            if block is not None:
                values = block.coalesce().values() if block.is_sparse else block
                count = int((~torch.isfinite(values)).sum())
                if count:
                    return f"{count} of {values.numel()} values, first in {ownership.name(parameter)}"
        return "the products of gradients overflow float64"

    def only(self, rows: Sequence[int]) -> "Gradients":
        """What some of the rows alone would have given."""
        place = {row: number for number, row in enumerate(rows)}
        own = [(leaf, [(place[n], gradient) for n, gradient in found if n in place]) for leaf, found in self.own]
        return Gradients(self.shared.only(rows), [(leaf, found) for leaf, found in own if found], self.plan)


def differentiate(
    losses: Sequence[Tensor],
    tasks: Sequence[int],
    ownership: Ownership,
    *,
    features: Sequence[Tensor] = (),
    complete: bool = True,
    retain_graph: bool = False,
) -> Gradients:
    """Gradients of each loss with respect to every parameter behind it.

    With `features`, and where every shared parameter lies behind them, heads are differentiated first and the trunk
    then gets the gradients at the features (two-phase); otherwise one full pass a loss (sequential). The numbers are
    the same.

    Args:
        losses: Scalars of the present tasks.
        tasks: Their task numbers.
        ownership: Decides what is shared; is told what came back.
        features: Tensors between trunk and heads, or none.
        complete: Whether all tasks are present.
        retain_graph: Whether the graph is needed afterwards.

    Returns:
        The gradients; parameters that no task uses do not appear. Cost: (1 + 2k)/3 plain steps in all, and k times
        the parameters in memory.
    """
    leaves = leaves_behind(losses)
    ownership.meet(leaves, complete=complete)
    with tensor_hooks_off(leaves):
        if features:
            trunk, heads, obstacle = _split(losses, features, leaves, ownership)
            if not obstacle:
                rows = _two_phase(losses, features, trunk, heads, retain_graph)
                plan = Plan("two-phase", "every shared parameter lies behind the features", len(losses))
                return _sort(leaves, rows, tasks, ownership, plan)
            reason = f"not two-phase: {obstacle}"
        else:
            reason = "no features given"
        rows = []
        for number, loss in enumerate(losses):
            keep = retain_graph or number < len(losses) - 1
            found = torch.autograd.grad(loss, leaves, torch.ones_like(loss), retain_graph=keep, allow_unused=True)
            rows.append({id(leaf): gradient for leaf, gradient in zip(leaves, found, strict=True)})
    return _sort(leaves, rows, tasks, ownership, Plan("sequential", reason, len(losses)))


def _split(
    losses: Sequence[Tensor], features: Sequence[Tensor], leaves: Sequence[Tensor], ownership: Ownership
) -> tuple[list[Tensor], list[list[Tensor]], str]:
    """Leaves behind the features, leaves of each head, and what stands in the way of two phases ("" if nothing)."""
    detached = [number for number, feature in enumerate(features) if feature.grad_fn is None]
    if detached:
        raise InputError(
            f"`features` must be outputs of the shared part of the network; number {detached} has no grad_fn. "
            "Was it detached, or computed under no_grad?"
        )
    trunk = leaves_behind(features)
    heads = [leaves_behind([loss], stop=features) for loss in losses]
    behind = {id(leaf) for leaf in trunk}
    count: dict[int, int] = {}
    for head in heads:
        for leaf in head:
            count[id(leaf)] = count.get(id(leaf), 0) + 1
    for leaf in leaves:
        name = ownership.name(leaf)
        if id(leaf) in behind and id(leaf) in count:
            return trunk, heads, f"{name} is used before and after the features"
        if count.get(id(leaf), 0) > 1 or (id(leaf) in count and ownership.is_shared(leaf)):
            return trunk, heads, f"{name} is shared, but not behind the features"
    return trunk, heads, ""


def _two_phase(
    losses: Sequence[Tensor],
    features: Sequence[Tensor],
    trunk: Sequence[Tensor],
    heads: Sequence[Sequence[Tensor]],
    retain_graph: bool,
) -> list[dict[int, Tensor | None]]:
    rows = [_head_pass(loss, features, head) for loss, head in zip(losses, heads, strict=True)]
    for number, (row, at_features) in enumerate(rows):
        keep = retain_graph or number < len(rows) - 1
        row.update(_trunk_pass(features, trunk, at_features, keep))
    return [row for row, _ in rows]


def _head_pass(
    loss: Tensor, features: Sequence[Tensor], head: Sequence[Tensor]
) -> tuple[dict[int, Tensor | None], list[Tensor | None]]:
    wanted = [*features, *head]
    found = torch.autograd.grad(loss, wanted, torch.ones_like(loss), retain_graph=True, allow_unused=True)
    own: dict[int, Tensor | None] = dict(zip(map(id, head), found[len(features) :], strict=True))
    return own, list(found[: len(features)])


def _trunk_pass(
    features: Sequence[Tensor], trunk: Sequence[Tensor], at_features: Sequence[Tensor | None], keep: bool
) -> dict[int, Tensor | None]:
    used = [
        (feature, gradient) for feature, gradient in zip(features, at_features, strict=True) if gradient is not None
    ]
    if not used or not trunk:
        return {id(leaf): None for leaf in trunk}
    found = torch.autograd.grad(
        [feature for feature, _ in used],
        list(trunk),
        [gradient for _, gradient in used],
        retain_graph=keep,
        allow_unused=True,
    )
    return {id(leaf): gradient for leaf, gradient in zip(trunk, found, strict=True)}


def _sort(
    leaves: Sequence[Tensor],
    rows: Sequence[dict[int, Tensor | None]],
    tasks: Sequence[int],
    ownership: Ownership,
    plan: Plan,
) -> Gradients:
    for leaf in leaves:
        ownership.reach(leaf, [(task, row.get(id(leaf))) for task, row in zip(tasks, rows, strict=True)])
    used = [leaf for leaf in leaves if any(row.get(id(leaf)) is not None for row in rows)]
    shared = [leaf for leaf in used if ownership.is_shared(leaf)]
    own: Own = []
    for leaf in used:
        if not ownership.is_shared(leaf):
            found = [(number, row[id(leaf)]) for number, row in enumerate(rows) if row.get(id(leaf)) is not None]
            own.append((leaf, [(number, gradient) for number, gradient in found if gradient is not None]))
    return Gradients(Jacobian(shared, [[row.get(id(leaf)) for leaf in shared] for row in rows]), own, plan)


def feature_gradients(
    losses: Sequence[Tensor], features: Sequence[Tensor], ownership: Ownership, *, complete: bool
) -> tuple[Jacobian, Own, list[Tensor]]:
    """Gradients at the features alone, for methods that weigh by them.

    Args:
        losses: Scalars of the present tasks.
        features: Tensors between trunk and heads.
        ownership: Gives names.
        complete: Whether all tasks are present.

    Returns:
        The Jacobian with respect to the features (kept per sample), head gradients as in `Gradients.own`, and the
        parameters behind the features.
    """
    leaves = leaves_behind(losses)
    ownership.meet(leaves, complete=complete)
    with tensor_hooks_off(leaves):
        trunk, heads, obstacle = _split(losses, features, leaves, ownership)
        if obstacle:
            raise InputError(
                f"a method on representation gradients needs every shared parameter behind `features`: {obstacle}."
            )
        passes = [_head_pass(loss, features, head) for loss, head in zip(losses, heads, strict=True)]
    own: Own = []
    for number, (row, _) in enumerate(passes):
        for leaf in heads[number]:
            gradient = row[id(leaf)]
            if gradient is not None:
                own.append((leaf, [(number, gradient)]))
    return Jacobian(features, [at_features for _, at_features in passes]), own, trunk
