"""One scalar whose backward delivers gradients that were already computed."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ...errors import EquipoiseError
from ...methods.base import JacobianMethod, LossMethod, Method, WeightedSum
from ..graph.hooks import ours
from ..pieces import layout_of, local_of, with_layout

__all__ = ["hand_over", "inject", "inject_weights"]


class _Inject(torch.autograd.Function):
    """Forward: a given value. Backward: the incoming gradient times stored tensors."""

    @staticmethod
    def forward(ctx: Any, value: Tensor, gradients: Sequence[Tensor], refusal: str, *targets: Tensor) -> Tensor:
        # save_for_backward frees them after use: a second backward raises instead of doubling the gradient
        ctx.save_for_backward(*map(local_of, gradients))
        ctx.refusal, ctx.layouts = refusal, [layout_of(target) for target in targets]
        # stored gradients belong to the parameters as they are now; autograd watches saved tensors, these are not
        ctx.leaves = [(target, target._version) for target in targets if target.is_leaf]
        return value.clone()

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
        twice = torch.is_grad_enabled()  # create_graph=True
        if twice and ctx.refusal:
            raise EquipoiseError(f"backward(create_graph=True) asks for second derivatives, {ctx.refusal}")
        gradients = ctx.saved_tensors
        changed = [tuple(leaf.shape) for leaf, version in ctx.leaves if leaf._version != version]
        if changed:
            raise EquipoiseError(
                f"{len(changed)} parameters (shapes {changed[:5]}) were changed in place between balancer(losses) and "
                "backward, so the stored gradients are those of other parameters. Call backward before "
                "optimizer.step()."
            )
        if (
            not twice and upstream.device.type == "cpu" and upstream.item() == 1.0
        ):  # as after a plain `loss.backward()`: no copy
            return (None, None, None, *map(with_layout, gradients, ctx.layouts))
        scaled = [gradient * upstream.to(gradient.device, gradient.dtype) for gradient in gradients]
        return (None, None, None, *map(with_layout, scaled, ctx.layouts))


def inject(value: Tensor, targets: Sequence[Tensor], gradients: Sequence[Tensor], refusal: str = "") -> Tensor:
    """A scalar with a chosen value and chosen gradients.

    Args:
        value: Value that ``item()`` shows; not differentiated.
        targets: Tensors that take part in autograd: parameters, or losses that lead to them.
        gradients: One gradient per target, of its shape, for an upstream gradient of 1.
        refusal: Reason why second derivatives would be wrong, and what to type; "" where gradients are constant.

    Returns:
        A scalar. Its backward adds ``upstream * gradient`` to each target, through every hook and scaler on the way,
        once; without targets it does nothing.

    Raises:
        EquipoiseError: In backward, if a target that is a leaf was modified in place since, or for a second derivative
            that is refused.

    Example:
        >>> w = torch.ones(2, requires_grad=True)
        >>> inject(torch.tensor(7.0), [w], [torch.tensor([1.0, 2.0])]).backward()
        >>> w.grad
        tensor([1., 2.])
    """
    if not targets:
        return value.detach().clone().requires_grad_()
    scalar: Tensor = _Inject.apply(value.detach(), gradients, refusal, *targets)  # type: ignore[no-untyped-call]
    return scalar


def hand_over(value: Tensor, targets: Sequence[tuple[Tensor, Tensor]], stack: Tensor | None, method: Method) -> Tensor:
    """The scalar that the user receives.

    Args:
        value: Value that ``item()`` shows.
        targets: Parameters, or losses that lead to them, each with its gradient.
        stack: The losses as one tensor (k,), where weights apply to that; else None.
        method: Method of the step; its kind decides whether second derivatives are refused.
    """
    if len(targets) == 1 and targets[0][0] is stack:
        return inject_weights(value, *targets[0], constant=isinstance(method, WeightedSum))
    stored = any([target.is_leaf for target, _ in targets])  # noqa: C419 - a generator costs a call an entry
    if isinstance(method, LossMethod):
        refusal = "" if isinstance(method, WeightedSum) and not stored else _WEIGHTS_DEPEND
    else:
        refusal = _STORED if stored else ""  # through the losses alone: weights count as constants
    if refusal and isinstance(method, JacobianMethod):
        refusal = _DIRECTION
    return inject(value, [target for target, _ in targets], [gradient for _, gradient in targets], refusal)


def inject_weights(value: Tensor, losses: Tensor, weights: Tensor, *, constant: bool) -> Tensor:
    """A scalar with a chosen value, and weights as its gradient with respect to losses.

    The same as ``inject(value, [losses], [weights])`` in a third of the time, for losses that are one tensor already:
    it uses PyTorch's own product in place of a node written in Python.

    Args:
        value: Value that ``item()`` shows; not differentiated.
        losses: (k,) losses with their graph.
        weights: (k,) weights of the same type.
        constant: Whether the weights count as constants in the criterion itself, as in a weighted sum. Only then the
            scalar can be differentiated twice.

    Returns:
        A scalar. A second backward raises.

    Raises:
        EquipoiseError: In ``backward(create_graph=True)``, unless `constant`.

    Example:
        >>> losses = torch.tensor([1.0, 2.0], requires_grad=True)
        >>> scalar = inject_weights(torch.tensor(7.0), losses, torch.tensor([0.5, 3.0]), constant=True)
        >>> scalar.backward()
        >>> scalar.item(), losses.grad
        (7.0, tensor([0.5000, 3.0000]))
    """
    scalar = torch.dot(losses, weights)
    scalar.detach().copy_(value)  # its backward does not read it
    if not constant:
        ours(scalar.register_hook, _refuse_second_derivative)
    return scalar


_WEIGHTS_DEPEND = (
    "and they would be wrong: this method's weights depend on the losses and are not differentiated. Take them of the "
    "losses themselves, or use LinearScalarization."
)
_STORED = (
    "and the gradients that were stored are constants. Use eq.Balancer(..., mode='recompute', heads='weighted'), which "
    "differentiates the weighted sum of the losses with its weights as constants (and has no inputs that require grad "
    "beside parameters), or take them of the losses themselves."
)
_DIRECTION = (
    "and the direction of a Jacobian method is a constant. Use a method on the Gramian with mode='recompute' and "
    "heads='weighted', or take them of the losses themselves."
)


def _refuse_second_derivative(upstream: Tensor) -> None:
    if torch.is_grad_enabled():
        raise EquipoiseError(f"backward(create_graph=True) asks for second derivatives, {_WEIGHTS_DEPEND}")
