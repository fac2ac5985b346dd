"""What a step looks at, what comes of it, and the checks and ways common to all kinds of methods."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor

from ...core.tasks import Tasks
from ...errors import ClockError, NonFiniteError, listed
from ...methods.base import Method, State, Step
from ...methods.run import Directed, Weighed
from ..blocks.handout import (
    factor_of,
    head_gradients,
    mixture_at,
    nonfinite_heads,
    nothing_finite,
    through_losses,
)
from ..blocks.task_gradients import Gradients, Handout
from ..cost.plan import Plan
from ..engine_state import Carried
from ..graph.autograd_graph import leaves_behind
from ..graph.inspection import inspect_graph
from ..sources.dispatch import Settings, gradients_of
from ..sources.mode import Tools

__all__ = [
    "Balanced",
    "Context",
    "Held",
    "finite_only",
    "hand_out",
    "own_targets",
    "refuse_no_clock",
    "refuse_nonfinite_losses",
    "skip_or_raise",
    "weights_overflow",
]


Held = list[tuple[int, Tensor, float]]
"""Losses with their graph: row, loss, and its share of the row's mean."""


class Balanced(NamedTuple):
    """The outcome of a step.

    Attributes:
        targets: Tensors (parameters, or losses that lead to them) and the gradient that each is to receive.
        plan: How gradients were computed.
        tasks: Which tasks took part in the end.
        losses: Their losses, float64.
        carried: What the engine takes to the next step.
        weighed: What the method returned; None where NaN was propagated or every task skipped.
        gramian: Of the gradients that the method saw.
        skipped: Names of tasks left out because they were not finite.
        factor: 1, or the number of tasks with ``scale="sum"``.
        groups: Names of the groups that the rows of the weights belong to (``granularity=``).
        reused: Whether the weights are those of an earlier step.
        again: Whether products of gradients were made again in float64.
    """

    targets: Handout
    plan: Plan
    tasks: Tasks
    losses: Tensor | None
    carried: Carried
    weighed: Weighed | Directed | None = None
    gramian: Tensor | None = None
    skipped: tuple[str, ...] = ()
    factor: float = 1.0
    groups: tuple[str, ...] = ()
    reused: bool = False
    again: bool = False

    @property
    def empty(self) -> bool:
        """Whether every task was skipped."""
        return self.weighed is None and bool(self.skipped)


@dataclass(frozen=True, eq=False)
class Context:
    """Everything that a step looks at.

    Attributes:
        method: Whose step it is.
        losses: Scalars of the present tasks, with their graph; none where micro-batches were accumulated.
        step: Names and numbers of the same.
        state: Of all tasks, on the losses' device; trained tensors among them.
        tools: Of the Balancer.
        settings: Of the Balancer.
        carried: From the step before.
        features: Tensors between trunk and heads, or none.
        retain_graph: Whether the graph is needed after the step.
        second: The same tasks' losses on another batch, for methods that sample twice.
        third: On one more.
        stack: The losses as one tensor (k,) with their graph, where that is at hand.
        skipped: Names of tasks that were left out.
        accumulated: The losses of all micro-batches, where several make a step.
    """

    method: Method
    losses: Sequence[Tensor]
    step: Step
    state: State
    tools: Tools
    settings: Settings
    carried: Carried
    features: Sequence[Tensor] = ()
    retain_graph: bool = False
    second: Sequence[Tensor] | None = None
    third: Sequence[Tensor] | None = None
    stack: Tensor | None = None
    skipped: tuple[str, ...] = ()
    accumulated: Held | None = None

    @property
    def held(self) -> Held:
        """The losses that weights go through: those of the batch, or of all micro-batches."""
        return (
            [(row, loss, 1.0) for row, loss in enumerate(self.losses)] if self.accumulated is None else self.accumulated
        )

    @property
    def factor(self) -> float:
        """What ``scale=`` multiplies every gradient by."""
        return factor_of(len(self.step.tasks.present), self.settings.scale)

    def gradients(
        self, losses: Sequence[Tensor], *, features: Sequence[Tensor] = (), keep: bool = False, jacobian: bool = False
    ) -> Gradients:
        """Gradients of the present tasks' losses, or of theirs on another batch."""
        tasks, power = self.step.tasks, self.carried.power
        return gradients_of(
            self.method,
            losses,
            tasks,
            self.tools,
            self.settings,
            power,
            features=features,
            keep=keep,
            jacobian=jacobian,
        )

    def only(self, rows: list[int], names: tuple[str, ...]) -> "Context":
        """The same without some tasks."""
        place = {row: number for number, row in enumerate(rows)}
        losses, step = self.step.losses, self.step
        return replace(
            self,
            losses=[self.losses[row] for row in rows] if self.losses else [],
            second=None if self.second is None else [self.second[row] for row in rows],
            third=None if self.third is None else [self.third[row] for row in rows],
            stack=None,
            step=replace(
                step, tasks=step.tasks.only(rows), losses=None if losses is None else losses[rows], count=len(rows)
            ),
            skipped=self.skipped + names,
            accumulated=None
            if self.accumulated is None
            else [(place[row], loss, share) for row, loss, share in self.accumulated if row in place],
        )

    def outcome(self, targets: Handout, plan: Plan, carried: Carried, **more: object) -> Balanced:
        """A `Balanced` of this step; `more` are its other fields."""
        return Balanced(
            targets,
            plan,
            self.step.tasks,
            self.step.losses,
            carried,
            skipped=self.skipped,
            factor=self.factor,
            **more,  # type: ignore[arg-type]
        )


def refuse_no_clock(method: Method, steps_per_epoch: int | str | None) -> None:
    """Raises `ClockError` where a method that moves per epoch would never be told of one."""
    if method.per_epoch and steps_per_epoch is None:
        raise ClockError(
            f"{method!r} moves per epoch and needs to know when one ends. Build it with "
            "eq.Balancer(..., steps_per_epoch=len(loader)), or steps_per_epoch='manual' and call "
            "balancer.end_epoch() after each epoch."
        )


def hand_out(now: Context, source: Gradients, weights: Tensor, heads: Tensor) -> Handout:
    """The weighted sum on shared parameters, and each head's gradient at its own weight.

    Args:
        now: The step.
        source: Its gradients, scaled.
        weights: (k,), of the shared parameters.
        heads: (k,), of each task's own parameters.
    """
    if now.settings.mode == "inject" and source.mixed:
        others = _not_shared(now, source, heads, None)  # a pass to inputs comes before the one that frees the graph
        return _mixture(now, source, weights * now.factor) + others
    # the weighted sum gives a head a_i g_i; what is missing to its wanted gradient is injected beside it
    return through_losses(now.held, weights, now.factor) + _not_shared(now, source, heads, weights.cpu())


def _not_shared(now: Context, source: Gradients, heads: Tensor, given: Tensor | None) -> Handout:
    """On leaves that are not balanced: each head's gradient at its weight, that of an input at the mean's.

    Args:
        now: The step.
        source: Its gradients, scaled.
        heads: (k,), of each task's own parameters.
        given: (k,), weights that these leaves have from the losses' own graph; None where that is not used.
    """
    unscale, later = 2.0**-source.power, source.at_inputs
    if given is None and now.settings.heads == "own" and later is None:
        return head_gradients(source.own, heads * (now.factor * unscale))  # all alike
    inputs = _weights_of_inputs(now, heads)
    if given is not None:
        heads, inputs = heads - given, inputs - given
    handout: Handout = []
    own = source.own
    if not torch.equal(heads, inputs):
        at_inputs = [entry for entry in own if not now.tools.ownership.is_parameter(entry[0])]
        own = [entry for entry in own if now.tools.ownership.is_parameter(entry[0])]
        handout += head_gradients(at_inputs, inputs * (now.factor * unscale))
    if given is None or bool(heads.any()):  # nothing is missing: nothing is handed out, the losses' graph is all
        handout += head_gradients(own, heads * (now.factor * unscale))
    if later is not None:
        handout += [(leaf, block * unscale) for leaf, block in later(inputs * now.factor, source.numbers)]
    return handout


def _weights_of_inputs(now: Context, heads: Tensor) -> Tensor:
    """(k,): the mean's, unless everything is to receive the gradient of the value that is returned."""
    return heads if now.settings.value == "weighted" else torch.full_like(heads, 1 / len(heads))


def _mixture(now: Context, source: Gradients, weights: Tensor) -> Handout:
    """The mixture, unscaled. One that makes a pass of its own is scaled by less as long as it overflows."""
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


def own_targets(now: Context, heads: Tensor, given: Tensor) -> Handout:
    """What is missing on leaves that are not shared, by a pass that does not enter the trunk (but to inputs).

    Args:
        now: The step.
        heads: (k,), wanted weights of each task's own parameters; those of inputs are the mean's.
        given: (k,), weights that these leaves have from the losses' own graph.
    """
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
        missing = (wanted - given) * now.factor
        if bool(missing.any()):
            handout += [(leaf, block / scale) for leaf, block in mixture_at(chosen, losses, missing * scale)]
    return handout


def finite_only(now: Context, source: Gradients) -> "Balanced | tuple[Context, Gradients]":
    """The step without tasks whose gradient is not finite, or the end of it."""
    in_trunk = torch.nonzero(~torch.isfinite(source.gramian().diagonal())).ravel().tolist()
    in_heads = nonfinite_heads(source.own)
    bad = sorted({*in_trunk, *in_heads})
    if not bad:
        return now, source
    nothing = now.outcome([], source.plan, now.carried, gramian=source.gramian())
    if now.settings.nonfinite == "propagate":
        return nothing._replace(targets=nothing_finite(source.parameters()))
    here, ownership = now.step.tasks.here, now.tools.ownership
    spots = {row: f"first in {ownership.name(source.own[place][0])}" for row, place in in_heads.items()}
    spots |= {row: source.first_nonfinite(row, ownership) for row in in_trunk}
    shown = [f"'{here[row]}': {spots[row]}" for row in bad]
    names = skip_or_raise("gradient", [here[i] for i in bad], shown, now.settings)
    kept = [row for row in range(len(here)) if row not in bad]
    if not kept:
        return nothing._replace(skipped=now.skipped + names)
    return now.only(kept, names), source.only(kept)


def refuse_nonfinite_losses(step: Step, settings: Settings) -> tuple[str, ...]:
    """Names of the tasks to skip, or `NonFiniteError`, for losses that are NaN or inf."""
    values = [] if step.losses is None else step.losses.tolist()
    shown = {name: value for name, value in zip(step.tasks.here, values, strict=True) if not math.isfinite(value)}
    if not shown:
        return ()
    return skip_or_raise("loss", list(shown), [f"'{name}': {value}" for name, value in shown.items()], settings)


def skip_or_raise(what: str, names: list[str], shown: list[str], settings: Settings) -> tuple[str, ...]:
    """Names of the tasks to skip.

    Raises:
        NonFiniteError: Unless ``nonfinite="skip"``.
    """
    if settings.nonfinite == "skip":
        return tuple(names)
    raise NonFiniteError(
        f"every {what} must be finite; {'; '.join(shown)}. Weights were not changed. Check these tasks' losses, or use "
        "eq.Balancer(..., nonfinite='skip') to leave such tasks out for a step and count it."
    )


def weights_overflow(method: Method, now: Context, weighed: Weighed) -> NonFiniteError:
    """The error for finite losses whose weights are not, or are too large for the losses' type."""
    assert now.step.losses is not None
    types = {row: loss.dtype for row, loss, _ in now.held}
    given = [(weight * now.factor).to(types[row]).item() for row, weight in enumerate(weighed.weights)]
    shown = [
        f"'{name}' (loss {value:.6g}): weight {weight} in {types[row]}"
        for row, (name, value, weight) in enumerate(
            zip(now.step.tasks.here, now.step.losses.tolist(), given, strict=True)
        )
        if not math.isfinite(weight)
    ]
    shown += [
        f"'{now.step.tasks.names[task]}': gradient {slope} of its {name}"
        for name, slopes in weighed.trained.items()
        for task, slope in enumerate(slopes.tolist())
        if not math.isfinite(slope)
    ]
    lost = [name for name in weighed.trained if not torch.isfinite(now.state[name]).all()]
    cure = (
        f"Its trained {listed(lost, quote='')} holds NaN or inf: lower its learning rate, and load an earlier state"
        if lost
        else "Bring the losses near 1, for example by dividing each by its first value, or hand them over in float32"
    )
    return NonFiniteError(
        f"{method!r} must give every task a finite weight; found {'; '.join(shown)}. Nothing was changed. {cure}."
    )
