"""Getting the gradients of a step in the way that was asked for."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from ...errors import InputError, SettingError
from ...methods.base import JacobianMethod, Method, Step
from ..blocks.targets import nonfinite_heads
from ..cost.forecast import Foresight
from ..cost.memory import estimate, refuse_above
from ..graph.autograd_graph import Graph, leaves_behind, read_graph
from ..graph.inspection import inspect_graph, refuse_unreached
from ..graph.ownership import Ownership
from ..modes import Every, Exact, Features, LastLayer, Mode, Sketch
from ..passes.exact import Gradients, differentiate
from .features import FeatureSource, at_features
from .last_layer import of_layer
from .sketch import Signs, sketched
from .source import Source

__all__ = ["Batch", "Found", "Held", "Settings", "Tools", "find"]

Held = list[tuple[int, Tensor, float]]
"""Losses with their graph: row, loss, and its share of the row's mean."""


@dataclass(frozen=True)
class Settings:
    """How gradients are had and handed out; see `Balancer`."""

    heads: Literal["own", "weighted"]
    scale: Literal["mean", "sum"] = "mean"
    mode: Literal["inject", "recompute"] = "inject"
    nonfinite: Literal["raise", "skip", "propagate"] = "raise"
    gradients: Mode = field(default_factory=Exact)
    granularity: Literal["model", "module", "tensor"] = "model"
    memory_limit: float | None = None


@dataclass(eq=False)
class Tools:
    """What serves every step of one Balancer.

    Attributes:
        ownership: Who owns which parameter.
        model: The user's, or None.
        signs: Of the sketch.
        measured: Numbers of tasks for which the memory needed was looked at.
        foresight: Says what a step will cost.
    """

    ownership: Ownership
    model: nn.Module | None = None
    signs: Signs = field(default_factory=lambda: Signs(0))
    measured: set[int] = field(default_factory=set)
    foresight: Foresight = field(init=False)

    def __post_init__(self) -> None:
        self.foresight = Foresight(self.ownership)


@dataclass(frozen=True, eq=False)
class Batch:
    """The losses of one step, with their graph.

    Attributes:
        losses: Scalars of the present tasks.
        features: Tensors between trunk and heads, or none.
        retain_graph: Whether the graph is needed after the step.
        second: The same tasks on another batch, for methods that sample twice.
        third: On one more.
        stack: The losses as one tensor (k,) with their graph, where that is at hand.
    """

    losses: list[Tensor]
    features: tuple[Tensor, ...] = ()
    retain_graph: bool = False
    second: list[Tensor] | None = None
    third: list[Tensor] | None = None
    stack: Tensor | None = None

    @property
    def held(self) -> Held:
        """The losses, each with its whole share."""
        return [(row, loss, 1.0) for row, loss in enumerate(self.losses)]


class Found(NamedTuple):
    """Gradients of a step.

    Attributes:
        source: The gradients, scaled.
        power: Of two: what they were scaled by.
        gramian: (k, k) of the unscaled gradients, float64.
        again: Whether products were made again in float64, the first ones being too badly conditioned.
    """

    source: Source
    power: int
    gramian: Tensor
    again: bool = False

    def only(self, rows: Sequence[int]) -> "Found":
        """What some of the rows alone would have given."""
        chosen = list(rows)
        return self._replace(source=self.source.only(chosen), gramian=self.gramian[chosen][:, chosen])


def find(
    method: Method,
    losses: Sequence[Tensor],
    batch: Batch,
    step: Step,
    tools: Tools,
    settings: Settings,
    power: int,
    *,
    jacobian: bool = False,
) -> Found:
    """Gradients of some losses.

    Where float16 is in play the losses are multiplied by a power of two for our passes, so that small gradients do
    not vanish; it is lowered by 2^4 as long as something overflows, and undone exactly.

    Args:
        method: Says what is needed.
        losses: Those of `batch`, or of its second or third part.
        batch: Features and whether the graph is needed.
        step: Which tasks.
        tools: Of the Balancer.
        settings: Of the Balancer.
        power: The scale to begin with, where float16 is in play.
        jacobian: Whether single gradients are looked at, and not only their products and mixtures.

    Returns:
        The gradients; `Found.power` is 0 without float16, and where no scale gave finite numbers.
    """
    graph = read_graph(losses)
    if batch.features and losses is batch.losses:
        refuse_unreached(losses, step.tasks.here, batch.features, graph)
    facts = inspect_graph(losses, graph)
    if facts.reentrant:
        raise InputError(
            "the losses' graph holds activations checkpointed with use_reentrant=True, which gives gradients to "
            "backward() only. Type torch.utils.checkpoint.checkpoint(..., use_reentrant=False)."
        )
    jacobian = jacobian or isinstance(method, JacobianMethod)
    if jacobian or not isinstance(settings.gradients, Exact | Every):  # exact products look for room themselves
        _refuse_what_does_not_fit(method, losses, batch, step, tools, settings)
    power = power if facts.half else 0
    while True:
        keep = batch.retain_graph or settings.mode == "recompute" or power > 0
        scaled = [_wide(loss) * 2.0**power for loss in losses] if power else list(losses)
        known = None if power else graph
        source = _source(method, scaled, known, batch.features, step, tools, settings, keep, jacobian)
        if isinstance(source, Gradients):
            source = replace(source, certified=settings.gradients != Exact(products="float64"))
        gramian, again = (
            source.products() if isinstance(source, Gradients | FeatureSource) else (source.gramian(), False)
        )
        fine = bool(torch.isfinite(gramian.diagonal()).all()) and not (power and nonfinite_heads(source.own))
        if fine or not power:
            return Found(source, power, gramian * 4.0**-power, again)
        power = max(power - 4, 0)


def _refuse_what_does_not_fit(
    method: Method, losses: Sequence[Tensor], batch: Batch, step: Step, tools: Tools, settings: Settings
) -> None:
    """Once for each number of tasks: before the first step nothing has been allocated yet."""
    k = len(losses)
    if k not in tools.measured:
        leaves = leaves_behind(losses)
        tools.ownership.meet(leaves, complete=k == len(step.tasks.names))
        mode, flat = settings.gradients, isinstance(method, JacobianMethod)
        needed = estimate(mode, k, leaves, tools.ownership, features=batch.features, flat=flat)
        refuse_above(settings.memory_limit, needed, k, mode, losses[0].device, flat=flat)
        tools.measured.add(k)


def _wide(loss: Tensor) -> Tensor:
    return loss.to(torch.promote_types(loss.dtype, torch.float32))


def _source(
    method: Method,
    losses: Sequence[Tensor],
    graph: Graph | None,
    features: Sequence[Tensor],
    step: Step,
    tools: Tools,
    settings: Settings,
    keep: bool,
    jacobian: bool,
) -> Source:
    mode, tasks, ownership = settings.gradients, step.tasks.present, tools.ownership
    complete, limit = len(tasks) == len(step.tasks.names), settings.memory_limit
    if isinstance(mode, Features) or method.needs == "features":
        if not features:
            who = repr(mode) if isinstance(mode, Features) else repr(method)
            raise SettingError(f"{who} works on representation gradients: call balancer(losses, features=...).")
        plan = tools.foresight.approximate(Features(), losses, features, limit, complete=complete, graph=graph)
        at = at_features(losses, features, ownership, complete=complete, retain_graph=keep, graph=graph)
        defined = "the method is defined on gradients at the features"
        return replace(at, plan=replace(plan, reason=at.plan.reason if isinstance(mode, Features) else defined))
    if isinstance(mode, Sketch | LastLayer):
        plan = tools.foresight.approximate(mode, losses, features, limit, complete=complete, graph=graph)
        source = (
            sketched(losses, tasks, ownership, tools.signs, mode.s, complete=complete)
            if isinstance(mode, Sketch)
            else of_layer(losses, tasks, ownership, mode.parameters, complete=complete, defined=method.on_layer)
        )
        return replace(source, plan=replace(plan, reason=source.plan.reason))
    return differentiate(
        losses,
        tasks,
        ownership,
        features=features,
        complete=complete,
        retain_graph=keep,
        jacobian=jacobian,
        memory=None if limit is None else int(min(limit, sys.maxsize)),
        graph=graph,
        announce=tools.foresight.exact(method, losses, limit, recompute=settings.mode == "recompute", graph=graph),
    )
