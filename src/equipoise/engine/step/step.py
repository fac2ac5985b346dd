"""One step: from losses to the gradient that each parameter receives."""

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from ...errors import NonFiniteError
from ...methods.base import GramianMethod, JacobianMethod, LossMethod, Method
from ...methods.run import Outcome, Weighed, run_gramian_method, run_loss_method, run_method
from ...solve import Status
from ..blocks.handout import all_finite, nothing_finite, through_losses
from ..blocks.layout import extended, grown, laid_out, taken_apart
from ..blocks.task_gradients import Gradients, Handout, head_gradients
from ..cost.plan import Plan
from ..engine_state import Carried, Reused
from ..graph.autograd_graph import leaves_behind
from ..sources.reuse import weights_again
from .context import Balanced, Context, refuse_nonfinite_losses, skip_or_raise, weights_overflow
from .gradients import step_gradients
from .hand_out import factor_of, hand_out, head_weights, on_own
from .parameter_groups import run_by_group

__all__ = ["finite_only", "run_step"]


def run_step(now: Context, source: Gradients | None = None) -> Balanced:
    """Runs a method on one step of training.

    Args:
        now: Inputs of the step.
        source: Gradients, if they are known already (accumulation).

    Returns:
        The outcome, with the gradients to inject.

    Raises:
        NonFiniteError: With ``nonfinite="raise"``.
    """
    assert now.step.losses is not None
    method, settings, values = now.method, now.settings, now.step.losses.tolist()
    if not all(map(math.isfinite, values)):
        nothing = _ended(now, [], Plan("none", "no task is finite", 0), now.carried)
        if settings.nonfinite == "propagate":
            leaves = now.tools.shards.leaves(leaves_behind([loss for _, loss, _ in now.held] or now.losses))
            return nothing._replace(targets=nothing_finite(leaves or (source.parameters() if source else [])))
        names = refuse_nonfinite_losses(now.step, settings)
        kept = [row for row, value in enumerate(values) if math.isfinite(value)]
        if not kept:
            return nothing._replace(skipped=names)
        now, source = now.only(kept, names), None if source is None else source.only(kept)
    if isinstance(method, LossMethod):
        return _by_losses(method, now)
    if source is None:
        mode, reused = settings.gradients, now.carried.reused
        if mode.remembers and reused is not None and (now.joint is None or not now.joint.fresh):
            old = mode.recall(now.losses, now.step.tasks, now.tools.ownership, reused)
            if old is not None:
                return _with_old_weights(old, now)
        if now.second is not None:
            return _by_second_batch(method, now, now.second)
        source = step_gradients(now)
    return _by_gradients(method, now, source)


def finite_only(now: Context, source: Gradients) -> "Balanced | tuple[Context, Gradients]":
    """The step without tasks whose gradient is not finite, or the outcome that ends it."""
    squares = source.on_host[0].diagonal().tolist()
    in_trunk = [] if all(map(math.isfinite, squares)) else [i for i, v in enumerate(squares) if not math.isfinite(v)]
    in_heads = source.spots_own(now.tools.ownership)
    if not in_trunk and not in_heads:
        return now, source
    bad = sorted({*in_trunk, *in_heads})
    nothing = _ended(now, [], source.plan, now.carried, gramian=source.gramian())
    if now.settings.nonfinite == "propagate":
        return nothing._replace(targets=nothing_finite(source.parameters()))
    here, ownership = now.step.tasks.here, now.tools.ownership
    spots = in_heads | {row: source.first_nonfinite(row, ownership) for row in in_trunk}
    shown = [f"'{here[row]}': {spots[row]}" for row in bad]
    names = skip_or_raise("gradient", [here[i] for i in bad], shown, now.settings)
    kept = [row for row in range(len(here)) if row not in bad]
    if not kept:
        return nothing._replace(skipped=now.skipped + names)
    return now.only(kept, names), source.only(kept)


def _ended(now: Context, handout: Handout, plan: Plan, carried: Carried, **more: object) -> Balanced:
    """The outcome of a step; `more` are its other fields."""
    tasks, losses, factor = now.step.tasks, now.step.losses, factor_of(now)
    return Balanced(handout, plan, tasks, losses, carried, skipped=now.skipped, factor=factor, **more)  # type: ignore[arg-type]


def _named(outcome: Weighed | Outcome, source: Gradients) -> Any:
    """The outcome, with status NOTHING_SHARED where there was no shared parameter: that is not a zero gradient."""
    for part in source.parts:
        if part.parameters:
            return outcome
    return outcome._replace(status=Status.NOTHING_SHARED)


def _by_losses(method: LossMethod, now: Context) -> Balanced:
    assert now.step.losses is not None
    weighed = run_loss_method(method, now.step.losses, now.state, now.step)
    stack = now.stack
    if stack is None:
        handout = through_losses(now.held, weighed.weights, factor_of(now))
    else:
        weights = weighed.weights if factor_of(now) == 1 else weighed.weights * factor_of(now)
        handout = [(stack, weights.to(stack))]
    plan = _plan_of_losses(type(method))
    if not all_finite([gradient for _, gradient in handout], weighed.trained.values()):
        if now.settings.nonfinite == "propagate":
            leaves = now.tools.shards.leaves(leaves_behind([loss for _, loss, _ in now.held]))
            return _ended(now, nothing_finite(leaves), plan, now.carried)
        raise weights_overflow(method, now, weighed)
    return _ended(now, handout, plan, now.carried, weighed=weighed)


@lru_cache(maxsize=64)
def _plan_of_losses(kind: type) -> Plan:
    return Plan("losses", f"{kind.__name__} looks at losses alone", 0, 1.0, 0)


def _by_gradients(method: Method, now: Context, source: Gradients) -> Balanced:
    checked = finite_only(now, source)
    if isinstance(checked, Balanced):
        return checked
    now, source = checked
    settings, carried, metric = now.settings, now.carried, now.settings.metric
    gramian = source.gramian() if metric is None else metric.gramian(source, now.tools.ownership)
    if now.tools.hold is not None:
        now.tools.hold.append((now.step.tasks.present, source))
    unscale = 2.0**-source.power
    groups: tuple[str, ...] = ()
    if source.found_power:
        carried = replace(carried, power=source.found_power)
    outcome: Weighed | Outcome
    if isinstance(method, JacobianMethod):
        shared, outcome, carried = _by_jacobian(method, now, source, carried, unscale)
        k = len(now.step.tasks.present)
        heads = torch.full((k,), 1 / k, dtype=torch.float64)  # their own gradients, as with heads="own"
        handout = shared + head_gradients(source.own, heads, factor_of(now) * unscale)
    elif settings.granularity != "model":
        assert isinstance(method, GramianMethod)
        grouped = run_by_group(
            method, source, now.tools.ownership, now.state, now.step, carried.groups, settings.granularity,
            unscale, factor_of(now),
        )  # fmt: skip
        outcome, groups, carried = grouped.weighed, grouped.here, replace(carried, groups=grouped.known)
        heads = head_weights(outcome, settings.heads)
        handout = grouped.targets + head_gradients(source.own, heads, factor_of(now) * unscale)
    else:
        assert isinstance(method, GramianMethod), f"{method!r} is of no known kind"
        seen = source.on_host[0] if method.on_host and metric is None else gramian
        outcome = run_gramian_method(method, seen, now.state, now.step)
        heads = head_weights(outcome, settings.heads)
        if settings.gradients.remembers:
            carried = replace(carried, reused=settings.gradients.remember(outcome.weights, heads, now.step))
        handout = hand_out(now, source, outcome.weights, heads)
    return _ended(now,
        handout, source.plan, carried, weighed=_named(outcome, source), gramian=gramian, groups=groups,
        again=source.products[1],
    )  # fmt: skip


def _by_jacobian(
    method: JacobianMethod, now: Context, source: Gradients, carried: Carried, unscale: float
) -> tuple[Handout, Outcome, Carried]:
    ownership, parameters = now.tools.ownership, source.shared.parameters
    layout = extended(carried.layout, parameters, ownership)
    flat = laid_out(source.shared, layout, ownership) * unscale
    state = grown(method, now.state, len(now.step.tasks.names), flat.shape[1])
    outcome = run_method(method, flat, state, now.step)
    handout = taken_apart(outcome.direction * factor_of(now), parameters, layout, ownership)
    return handout, outcome._replace(direction=flat.new_empty(0)), replace(carried, layout=layout)


def _with_old_weights(old: Reused, now: Context) -> Balanced:
    weights, heads, plan, weighed = weights_again(old, now.state)
    handout = through_losses(now.held, weights, factor_of(now), refuse=now.settings.nonfinite != "propagate")
    handout += on_own(now, heads, weights)
    return _ended(now, handout, plan, replace(now.carried, reused=old), weighed=weighed, reused=True)


def _of_two(one: Plan, two: Plan, more: float) -> Plan:
    """The plan of two batches, in plain steps of one batch; `more` such steps are added."""
    return replace(
        one,
        reason=f"two batches for the weights; {one.reason}",
        passes=one.passes + two.passes,
        cost=None if one.cost is None or two.cost is None else one.cost + two.cost + more,
        memory=None if one.memory is None or two.memory is None else one.memory + two.memory,
    )


def _by_second_batch(method: Method, now: Context, second: Sequence[Tensor]) -> Balanced:
    assert isinstance(method, GramianMethod)
    third = now.third
    pairs = (now.losses, second) if third is None else (second, third)
    first = 0 if third is None else 1
    one, two = (step_gradients(now, losses, first + number, jacobian=True) for number, losses in enumerate(pairs))
    for found, which in ((one, "first"), (two, "second")):
        checked = finite_only(now, found)
        if isinstance(checked, Balanced):
            return checked
        if checked[1].count != found.count:
            raise NonFiniteError(
                f"a gradient of the {which} of two batches holds NaN or inf; a task cannot be skipped."
            )
    cross = one.shared.cross(two.shared) * 2.0 ** -(one.power + two.power)
    weighed = run_gramian_method(method, one.gramian(), now.state, replace(now.step, cross_gramian=cross.cpu()))
    heads = head_weights(weighed, now.settings.heads)
    if third is None:
        handout = hand_out(now, one, weighed.weights, heads)
    else:
        handout = through_losses(now.held, weighed.weights, factor_of(now))
        handout += on_own(now, heads, weighed.weights.cpu())
    plan = _of_two(one.plan, two.plan, 0.0 if third is None else 1.0)
    return _ended(now, handout, plan, now.carried, weighed=_named(weighed, one), gramian=one.gramian())
