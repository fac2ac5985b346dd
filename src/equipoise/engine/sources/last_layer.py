"""The Gramian of one layer's gradients, then one weighted backward."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from ...errors import InputError, SettingError
from ..blocks.dense import Jacobian
from ..blocks.handout import mixture_at
from ..blocks.task_gradients import Gradients, Handout, Own
from ..cost.plan import Plan, predict_sequential
from ..cost.sizes import size_of
from ..graph.hooks import tensor_hooks_off
from ..graph.ownership import Ownership
from .mode import Mode, Request

__all__ = ["LastLayer"]


@dataclass(frozen=True, eq=False)
class LastLayer(Mode):
    """APPROXIMATION, except for GradNorm: the Gramian of some parameters' gradients, then one weighted backward.

    GradNorm is defined on such a layer (``layer=`` of the Balancer), and `Balancer.plan` says so; for a method on the
    whole trunk's gradients the weights are those of another matrix.

    Error:
        Whatever the chosen layer leaves out. Cosine for the last of three layers, same model as in `Features`: 0.93
        (MGDA), 0.98 (CAGrad). `equipoise.profile` measures it on your model.
    Cost:
        k passes that stop at the layer, and one weighted backward.

    Args:
        parameters: A module, a tensor, or several tensors; usually the last layer that all tasks share.

    Example:
        >>> LastLayer(nn.Linear(2, 3))
        LastLayer(2 parameters, 9 numbers)
    """

    parameters: tuple[Tensor, ...] = field(repr=False)
    merges: ClassVar[Literal["rows", "layer", "features", "sketch"]] = "layer"

    def __init__(self, parameters: nn.Module | Tensor | Iterable[Tensor]) -> None:
        given = [parameters] if isinstance(parameters, Tensor) else parameters
        tensors = tuple(given.parameters() if isinstance(given, nn.Module) else given)
        wrong = [
            f"number {i} is {type(entry).__name__}"
            if not isinstance(entry, Tensor)
            else f"number {i} of shape {tuple(entry.shape)} does not require grad"
            for i, entry in enumerate(tensors)
            if not (isinstance(entry, Tensor) and entry.requires_grad)
        ]
        if not tensors or wrong:
            found = "; ".join(wrong) or "none"
            raise SettingError(f"`LastLayer(parameters)` needs tensors that require grad; got {found}.")
        object.__setattr__(self, "parameters", tensors)

    def __repr__(self) -> str:
        count = sum(tensor.numel() for tensor in self.parameters)
        return f"LastLayer({len(self.parameters)} parameters, {count} numbers)"

    def estimate(self, k: int, leaves: Sequence[Tensor], ownership: Ownership, features: Sequence[Tensor] = ()) -> int:
        """Bytes of the layer and of parameters not yet known to be shared k times, and of every gradient once."""
        inside = {id(parameter) for parameter in self.parameters}
        unknown = [leaf for leaf in leaves if ownership.may_be_shared(leaf) and not ownership.is_shared(leaf)]
        return k * size_of([*self.parameters, *(leaf for leaf in unknown if id(leaf) not in inside)]) + size_of(leaves)

    def plan(self, request: Request) -> Plan:
        """One pass per loss down to the layer, and the weighted backward.

        Raises:
            InputError: No present task reaches the layer.
        """
        k, leaves, ownership = len(request.losses), request.leaves(), request.tools.ownership
        known = request.graph.leaves.keys()
        used = [parameter for parameter in self.parameters if id(parameter) in known]
        if not used:
            raise InputError(
                f"no present task reaches the {len(self.parameters)} parameters of the layer (shapes "
                f"{[tuple(parameter.shape) for parameter in self.parameters][:5]}). Give the parameters of a layer "
                "that every task uses, as they are after .to(device)."
            )
        shown = ", ".join(ownership.name(parameter) for parameter in used[:3])
        label = "APPROXIMATION: one layer's gradients"
        if request.method.on_layer:
            label = "the method is defined on the gradients of one layer"
        wanted = [*self.parameters, *(leaf for leaf in leaves if not ownership.is_shared(leaf))]
        cost = predict_sequential(request.graph, request.losses, wanted=wanted, again=1.0)
        memory = self.estimate(k, leaves, ownership) - size_of(leaves)
        return Plan("last layer", f"{label}: {len(used)} parameters ({shown})", k, cost, memory)

    def compute(self, request: Request) -> Gradients:
        """Gradients from one pass per loss down to the layer. The graph is kept for the weighted backward.

        Parameters that are not known to be shared take part in the passes, so that ownership is learned: the first step
        goes through the whole trunk, later ones do not.
        """
        losses, tasks, ownership = request.losses, request.tasks.present, request.tools.ownership
        plan, leaves, known = request.foreseen(self), request.leaves(), request.graph.leaves.keys()
        used = [parameter for parameter in self.parameters if id(parameter) in known]
        inside = {id(parameter) for parameter in used}
        parameters = [leaf for leaf in leaves if ownership.is_parameter(leaf)]
        open_leaves = [leaf for leaf in parameters if id(leaf) not in inside and not ownership.is_shared(leaf)]
        wanted = [*used, *open_leaves]
        rows = []
        with tensor_hooks_off(leaves):
            for loss in losses:
                found = torch.autograd.grad(loss, wanted, torch.ones_like(loss), retain_graph=True, allow_unused=True)
                rows.append(list(found))
        own: Own = []
        for place, leaf in enumerate(wanted):
            ownership.reach(leaf, [(task, row[place]) for task, row in zip(tasks, rows, strict=True)])
            if not ownership.is_shared(leaf):
                blocks = [(number, block) for number, row in enumerate(rows) if (block := row[place]) is not None]
                own += [(leaf, blocks)] if blocks else []
        jacobian = Jacobian(used, [row[: len(used)] for row in rows])
        inputs = [leaf for leaf in leaves if not ownership.is_parameter(leaf)]
        later = _later(inputs, losses) if inputs else None
        return Gradients([jacobian], own, plan, len(losses), mixed=False, reached=leaves, at_inputs=later)


def _later(inputs: Sequence[Tensor], losses: Sequence[Tensor]) -> Callable[[Tensor, Sequence[int]], Handout]:
    return lambda weights, rows: mixture_at(inputs, [losses[row] for row in rows], weights)
