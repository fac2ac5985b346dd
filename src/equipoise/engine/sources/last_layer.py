"""The Gramian of one layer's gradients, and of the heads what they need."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ...errors import InputError
from ..blocks.dense import Jacobian
from ..graph.autograd_graph import leaves_behind, tensor_hooks_off
from ..graph.ownership import Ownership
from ..passes.exact import Own, Plan
from .features import only_own

__all__ = ["LayerSource", "of_layer"]


@dataclass(frozen=True, eq=False)
class LayerSource:
    """Gradients of a layer and of the heads.

    Attributes:
        layer: The layer's Jacobian.
        own: The heads' gradients.
        reached: Every parameter in the graph.
        plan: How.
    """

    layer: Jacobian
    own: Own
    reached: list[Tensor]
    plan: Plan

    def gramian(self) -> Tensor:
        """(k, k) inner products over the layer, float64."""
        return self.layer.gramian()

    def combine(self, weights: Tensor) -> None:
        """Only the layer is known: the losses' own graph gives the direction."""
        del weights

    def only(self, rows: Sequence[int]) -> "LayerSource":
        """What some of the rows alone would have given."""
        return LayerSource(self.layer.only(rows), only_own(self.own, rows), self.reached, self.plan)

    def parameters(self) -> list[Tensor]:
        """Every parameter in the graph."""
        return self.reached

    def first_nonfinite(self, row: int, ownership: Ownership) -> str:
        """Where the gradient of one task first holds NaN or inf."""
        for parameter, block in zip(self.layer.parameters, self.layer.rows[row], strict=True):
            count = 0 if block is None else int((~torch.isfinite(block)).sum())
            if count:
                return f"{count} of {parameter.numel()} values in {ownership.name(parameter)}"
        return "the products of gradients overflow float64"


def of_layer(
    losses: Sequence[Tensor],
    tasks: Sequence[int],
    ownership: Ownership,
    layer: Sequence[Tensor],
    *,
    complete: bool,
    defined: bool = False,
) -> LayerSource:
    """One pass a loss, down to the layer. The graph is kept for the weighted backward.

    Parameters that are not known to be shared take part in the passes, so that ownership is learned: the first step
    goes through the whole trunk, later ones do not.

    Args:
        losses: Scalars of the present tasks.
        tasks: Their task numbers.
        ownership: Decides what is shared; is told what came back.
        layer: The layer's parameters.
        complete: Whether all tasks are present.
        defined: Whether the method is defined on these gradients, so that nothing is approximated.

    Raises:
        InputError: No present task reaches the layer.
    """
    leaves = leaves_behind(losses)
    ownership.meet(leaves, complete=complete)
    known = {id(leaf) for leaf in leaves}
    used = [parameter for parameter in layer if id(parameter) in known]
    if not used:
        raise InputError(
            f"no present task reaches the {len(layer)} parameters of the layer (shapes "
            f"{[tuple(parameter.shape) for parameter in layer][:5]}). Give the parameters of a layer that every task "
            "uses, as they are after .to(device)."
        )
    inside = {id(parameter) for parameter in used}
    open_leaves = [leaf for leaf in leaves if id(leaf) not in inside and not ownership.is_shared(leaf)]
    wanted = [*used, *open_leaves]
    rows = []
    with tensor_hooks_off(leaves):
        for loss in losses:
            found = torch.autograd.grad(loss, wanted, torch.ones_like(loss), retain_graph=True, allow_unused=True)
            rows.append(list(found))
    for place, leaf in enumerate(wanted):
        ownership.reach(leaf, [(task, row[place]) for task, row in zip(tasks, rows, strict=True)])
    own: Own = []
    for place, leaf in enumerate(wanted):
        if not ownership.is_shared(leaf):
            found_here = [(number, row[place]) for number, row in enumerate(rows)]
            kept = [(number, gradient) for number, gradient in found_here if gradient is not None]
            if kept:
                own.append((leaf, kept))
    shown = ", ".join(ownership.name(parameter) for parameter in used[:3])
    label = "the method is defined on the gradients of one layer" if defined else "APPROXIMATION: one layer's gradients"
    reason = f"{label}: {len(used)} parameters ({shown})"
    jacobian = Jacobian(used, [row[: len(used)] for row in rows])
    return LayerSource(jacobian, own, leaves, Plan("last layer", reason, len(losses)))
