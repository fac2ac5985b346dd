"""What a step looks at, what comes of it, and the checks and ways common to all kinds of methods."""

import math
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor

from ...core.tasks import Tasks
from ...errors import ClockError, NonFiniteError, listed
from ...methods.base import Method, State, Step
from ...methods.run import Directed, Weighed
from ..blocks.targets import Targets, factor_of, head_gradients, nonfinite_heads, nothing_finite, through_losses
from ..engine_state import Carried
from ..graph.autograd_graph import leaves_behind, tensor_hooks_off
from ..graph.inspection import inspect_graph
from ..passes.exact import Plan
from ..sources.dispatch import Batch, Found, Held, Settings, Tools
from ..sources.features import FeatureSource

__all__ = [
    "Balanced",
    "Now",
    "finite_only",
    "hand_out",
    "own_targets",
    "refuse_no_clock",
    "skip_or_raise",
    "weights_overflow",
    "without",
]


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

    targets: Targets
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
class Now:
    """What every part of a step looks at.

    Attributes:
        accumulated: The losses of all micro-batches, where several make a step.
    """

    method: Method
    batch: Batch
    step: Step
    state: State
    tools: Tools
    settings: Settings
    carried: Carried
    skipped: tuple[str, ...] = ()
    accumulated: Held | None = None

    @property
    def held(self) -> Held:
        """The losses that weights go through: those of the batch, or of all micro-batches."""
        return self.batch.held if self.accumulated is None else self.accumulated

    @property
    def factor(self) -> float:
        """What ``scale=`` multiplies every gradient by."""
        return factor_of(len(self.step.tasks.present), self.settings.scale)

    def only(self, rows: list[int], names: tuple[str, ...]) -> "Now":
        """The same without some tasks."""
        place = {row: number for number, row in enumerate(rows)}
        losses, step, batch = self.step.losses, self.step, self.batch
        chosen = [
            None if part is None else [part[i] for i in rows]
            for part in (batch.losses or None, batch.second, batch.third)
        ]
        return replace(
            self,
            batch=replace(batch, losses=chosen[0] or [], second=chosen[1], third=chosen[2], stack=None),
            step=replace(
                step, tasks=step.tasks.only(rows), losses=None if losses is None else losses[rows], count=len(rows)
            ),
            skipped=self.skipped + names,
            accumulated=None
            if self.accumulated is None
            else [(place[row], loss, share) for row, loss, share in self.accumulated if row in place],
        )

    def outcome(self, targets: Targets, plan: Plan, carried: Carried, **more: object) -> Balanced:
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


def hand_out(now: Now, found: Found, weights: Tensor, heads: Tensor) -> Targets:
    """The weighted sum on shared parameters, and each head's gradient at its own weight.

    Args:
        now: The step.
        found: Its gradients, scaled.
        weights: (k,), of the shared parameters.
        heads: (k,), of each task's own parameters.
    """
    unscale = 2.0**-found.power
    if now.settings.mode == "inject":
        if isinstance(found.source, FeatureSource):
            shared: Targets | None = _through_the_trunk(now, found.source, found.power, weights * now.factor)
        else:
            shared = found.source.combine(weights * (now.factor * unscale))
        if shared is not None:
            return shared + head_gradients(found.source.own, heads * (now.factor * unscale))
    # the weighted sum gives a head a_i g_i; what is missing to its wanted gradient is injected beside it
    missing = (heads - weights.cpu()) * (now.factor * unscale)
    return through_losses(now.held, weights, now.factor) + head_gradients(found.source.own, missing)


def _through_the_trunk(now: Now, source: FeatureSource, power: int, weights: Tensor) -> Targets:
    """The mixture's own pass through the trunk, scaled as the others were, and by less as long as it overflows."""
    kept = power
    while True:
        mixed = source.combine(weights * 2.0 ** (kept - power))
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


def own_targets(now: Now, coefficients: Tensor) -> Targets:
    """On parameters that are not shared, the gradient of sum_i c_i L_i: one pass that does not enter the trunk."""
    losses, ownership = now.batch.losses, now.tools.ownership
    own = [leaf for leaf in leaves_behind(losses) if not ownership.is_shared(leaf)]
    if not own or not bool(coefficients.any()):
        return []
    scale = 2.0**now.carried.power if inspect_graph(losses).half else 1.0
    upstream = [(c * scale).to(loss).reshape(loss.shape) for c, loss in zip(coefficients, losses, strict=True)]
    with tensor_hooks_off(own):
        found = torch.autograd.grad(losses, own, upstream, retain_graph=True, allow_unused=True)
    return [(leaf, gradient / scale) for leaf, gradient in zip(own, found, strict=True) if gradient is not None]


def finite_only(now: Now, found: Found) -> "Balanced | tuple[Now, Found]":
    """The step without tasks whose gradient is not finite, or the end of it."""
    in_trunk = torch.nonzero(~torch.isfinite(found.gramian.diagonal())).ravel().tolist()
    in_heads = nonfinite_heads(found.source.own)
    bad = sorted({*in_trunk, *in_heads})
    if not bad:
        return now, found
    nothing = now.outcome([], found.source.plan, now.carried, gramian=found.gramian)
    if now.settings.nonfinite == "propagate":
        return nothing._replace(targets=nothing_finite(found.source.parameters()))
    here, ownership = now.step.tasks.here, now.tools.ownership
    spots = {row: f"first in {ownership.name(found.source.own[place][0])}" for row, place in in_heads.items()}
    spots |= {row: found.source.first_nonfinite(row, ownership) for row in in_trunk}
    shown = [f"'{here[row]}': {spots[row]}" for row in bad]
    names = skip_or_raise("gradient", [here[i] for i in bad], shown, now.settings)
    kept = without(len(here), bad)
    if not kept:
        return nothing._replace(skipped=now.skipped + names)
    return now.only(kept, names), found.only(kept)


def without(count: int, bad: list[int]) -> list[int]:
    """The rows that are left."""
    gone = set(bad)
    return [i for i in range(count) if i not in gone]


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


def weights_overflow(method: Method, now: Now, weighed: Weighed) -> NonFiniteError:
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
