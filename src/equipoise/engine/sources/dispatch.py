"""Compute per-task gradients with the configured mode."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from ...core.tasks import Tasks
from ...errors import InputError
from ...methods.base import JacobianMethod, Method
from ..blocks.task_gradients import Gradients
from ..cost.memory import flat_copies, refuse_above
from ..graph.autograd_graph import read_graph
from ..graph.inspection import hold_statistics, inspect_graph, refuse_unreached
from .features import Features
from .mode import Mode, Request, Tools
from .optimizer_metric import OptimizerMetric

__all__ = ["Settings", "gradients_of"]


@dataclass(frozen=True)
class Settings:
    """How gradients are computed and distributed; see `Balancer`."""

    heads: Literal["own", "weighted"]
    scale: Literal["mean", "sum"]
    mode: Literal["inject", "recompute"]
    nonfinite: Literal["raise", "skip", "propagate"]
    gradients: Mode
    granularity: Literal["model", "module", "tensor"] = "model"
    memory_limit: float | None = None
    value: Literal["mean", "weighted"] | None = None
    metric: OptimizerMetric | None = None


def gradients_of(
    method: Method,
    losses: Sequence[Tensor],
    tasks: Tasks,
    tools: Tools,
    settings: Settings,
    power: int,
    *,
    features: Sequence[Tensor] = (),
    keep: bool = False,
    jacobian: bool = False,
) -> Gradients:
    """Per-task gradients of some losses.

    A known step of a small model follows its recipe (`Recipes`). Where float16 occurs the losses are multiplied by a
    power of two for our passes, so that small gradients do not vanish; the factor is lowered by 2^4 as long as a
    gradient overflows, and undone exactly.

    Args:
        method: Method that will use the gradients.
        losses: Scalars of the present tasks.
        tasks: All task names, and which tasks are present.
        tools: Shared objects of the Balancer.
        settings: Settings of the Balancer.
        power: Exponent of the first power of two to try where float16 occurs.
        features: Tensors between trunk and heads, or none.
        keep: Whether the graph is needed afterwards.
        jacobian: Whether single gradients are used, and not only their products and mixtures.

    Returns:
        The gradients; their power is 0 without float16, and where no scale gave finite numbers.
    """
    mode: Mode = Features() if method.needs == "features" else settings.gradients
    keep, recipes = keep or settings.mode == "recompute", tools.recipes
    straight = mode.straight and method.needs != "jacobian" and not jacobian
    known = recipes.find(losses, features, tasks.present) if straight else None
    if known is not None:
        return known[0].run(losses, known[1], features, keep)
    hold_statistics(tools.model)
    graph = read_graph(losses)
    if features:
        refuse_unreached(losses, tasks.here, features, graph)
    facts = inspect_graph(losses, graph)
    if facts.reentrant:
        raise InputError(
            "the losses' graph holds activations checkpointed with use_reentrant=True, which gives gradients to "
            "backward() only. Type torch.utils.checkpoint.checkpoint(..., use_reentrant=False)."
        )
    request = Request(
        method, losses, tasks, graph, tools, features, keep,
        jacobian or isinstance(method, JacobianMethod) or settings.metric is not None,
        settings.memory_limit, settings.mode == "recompute",
    )  # fmt: skip
    if request.jacobian or not mode.looks_for_room:
        _refuse_what_does_not_fit(mode, request)
    if straight and not facts.half and recipes.wanted:
        request.leaves()
        written = mode.write(request)
        known = None if written is None else recipes.keep(written, [*losses, *features], tasks.present)
        if known is not None:
            request.announced(known[0].plan)
            return known[0].run(losses, known[1], features, keep)
    power = power if facts.half else 0
    while True:
        if power:
            scaled = [_wide(loss) * 2.0**power for loss in losses]
            request = replace(request, losses=scaled, graph=read_graph(scaled), keep=True)
        found = replace(mode.compute(request), power=power)
        fine = bool(torch.isfinite(found.on_host[0].diagonal()).all()) and not (power and found.nonfinite_own())
        if fine or not power:
            return found
        power = max(power - 4, 0)
        request = replace(request, losses=losses, graph=graph, keep=keep)


def _refuse_what_does_not_fit(mode: Mode, request: Request) -> None:
    """Checks memory once for each number of tasks: nothing is allocated before the first step."""
    k, tools = len(request.losses), request.tools
    if k not in tools.measured:
        leaves, flat = request.leaves(), isinstance(request.method, JacobianMethod)
        needed = mode.estimate(k, leaves, tools.ownership, request.features)
        needed += flat_copies(k, leaves, tools.ownership) if flat else 0
        refuse_above(request.limit, needed, k, mode, request.losses[0].device, flat=flat)
        tools.measured.add(k)


def _wide(loss: Tensor) -> Tensor:
    return loss.to(torch.promote_types(loss.dtype, torch.float32))
