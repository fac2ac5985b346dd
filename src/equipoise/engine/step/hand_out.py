"""From weights to the gradient that each parameter receives."""

from functools import lru_cache
from typing import Literal

import torch
from torch import Tensor

from ...errors import NonFiniteError
from ...methods.run import Weighed
from ..blocks.handout import mixture_at, through_losses
from ..blocks.task_gradients import Gradients, Handout, head_gradients, nonfinite_heads
from ..graph.autograd_graph import leaves_behind
from ..graph.inspection import hold_statistics, inspect_graph
from .context import Context

__all__ = ["factor_of", "hand_out", "head_weights", "on_own"]


def factor_of(now: Context) -> float:
    """The factor of every gradient: 1, or with ``scale="sum"`` the number of tasks in the step."""
    return float(len(now.step.tasks.present)) if now.settings.scale == "sum" else 1.0


def head_weights(weighed: Weighed, heads: Literal["own", "weighted"]) -> Tensor:
    """(k,) weight of each task's gradient on its own parameters."""
    weights = weighed.weights
    if heads == "own":
        return _uniform(weights.shape[-1], weights.dtype)
    weights = weights.cpu().clone()
    weights[list(weighed.left_out)] = 1 / len(weights)  # a task without a gradient in the trunk still trains its head
    return weights


@lru_cache(maxsize=64)
def _uniform(k: int, dtype: torch.dtype) -> Tensor:
    """(k,) weights 1/k; shared between calls, so never write into it."""
    return torch.full((k,), 1 / k, dtype=dtype)


def hand_out(now: Context, source: Gradients, weights: Tensor, heads: Tensor) -> Handout:
    """The weighted sum on shared parameters, and each head's gradient at its own weight.

    Args:
        now: Inputs of the step.
        source: Gradients of the step, scaled.
        weights: (k,) weights of the shared parameters.
        heads: (k,) weight of each task's own parameters.
    """
    if now.settings.mode == "inject" and source.mixed:
        others = _not_shared(now, source, heads, None)  # a pass to inputs comes before the one that frees the graph
        factor = factor_of(now)
        return _mixture(now, source, weights if factor == 1 else weights * factor) + others
    # the weighted sum gives a head a_i g_i; the difference to its wanted gradient is injected beside it
    refuse = now.settings.nonfinite != "propagate"
    shared = through_losses(now.held, weights, factor_of(now), refuse=refuse)
    return shared + _not_shared(now, source, heads, weights.cpu())


def _not_shared(now: Context, source: Gradients, heads: Tensor, given: Tensor | None) -> Handout:
    """Gradients of leaves that are not balanced: heads with their own weights, inputs with those of the mean.

    `given` holds the weights (k,) that the losses' own graph applies already; None where it is not used.
    """
    unscale, later = 2.0**-source.power, source.at_inputs
    if given is None and now.settings.heads == "own" and later is None:
        return source.on_own(heads, factor_of(now) * unscale)  # all with the same weights
    inputs = _weights_of_inputs(now, heads)
    if given is not None:
        heads, inputs = heads - given, inputs - given
    handout: Handout = []
    own = source.own
    if not torch.equal(heads, inputs):
        at_inputs = [entry for entry in own if not now.tools.ownership.is_parameter(entry[0])]
        own = [entry for entry in own if now.tools.ownership.is_parameter(entry[0])]
        handout += head_gradients(at_inputs, inputs, factor_of(now) * unscale)
    if given is None or bool(heads.any()):  # nothing is missing: the losses' graph gives it all
        handout += head_gradients(own, heads, factor_of(now) * unscale)
    if later is not None:
        handout += [(leaf, block * unscale) for leaf, block in later(inputs * factor_of(now), source.numbers)]
    return handout


def _weights_of_inputs(now: Context, heads: Tensor) -> Tensor:
    """(k,) weights of inputs: the mean's, or with ``value="weighted"`` those of the heads."""
    return heads if now.settings.value == "weighted" else torch.full_like(heads, 1 / len(heads))


def _mixture(now: Context, source: Gradients, weights: Tensor) -> Handout:
    """The mixture, unscaled. Where it takes a pass of its own, the scale is lowered as long as it overflows."""
    if not source.by_pass:
        return source.combine(weights * 2.0**-source.power if source.power else weights)
    kept = source.power
    while True:
        mixed = source.combine(weights * 2.0 ** (kept - source.power))
        fine = not nonfinite_heads([(leaf, [(0, gradient)]) for leaf, gradient in mixed])
        if fine or not kept:
            break
        kept = max(kept - 4, 0)
    if not fine and now.settings.nonfinite != "propagate":
        raise NonFiniteError(
            "the gradients at the features are finite, but their mixture is not once it has gone through the trunk; "
            "weights were not changed. With gradients=eq.Exact() the message names the task and the parameter."
        )
    return [(leaf, gradient * 2.0**-kept) for leaf, gradient in mixed] if kept else mixed


def on_own(now: Context, heads: Tensor, given: Tensor) -> Handout:
    """Missing gradients of leaves that are not shared, by a pass that enters the trunk only for inputs.

    Args:
        now: Inputs of the step.
        heads: (k,) wanted weight of each task's own parameters.
        given: (k,) weights that the losses' own graph applies already.
    """
    hold_statistics(now.tools.model)
    losses, ownership = now.losses, now.tools.ownership
    leaves = [leaf for leaf in leaves_behind(losses) if not ownership.is_shared(leaf)]
    inputs = _weights_of_inputs(now, heads)
    parts = [(leaves, heads)]
    if not torch.equal(heads, inputs):
        parts = [
            ([leaf for leaf in leaves if ownership.is_parameter(leaf) is own], wanted)
            for own, wanted in ((True, heads), (False, inputs))
        ]
    scale = 2.0**now.carried.power if inspect_graph(losses).half else 1.0
    handout: Handout = []
    for chosen, wanted in parts:
        missing = now.at_losses((wanted - given) * factor_of(now))
        if bool(missing.any()):
            handout += [(leaf, block / scale) for leaf, block in mixture_at(chosen, losses, missing * scale)]
    return handout
