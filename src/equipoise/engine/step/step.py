"""One step: losses in, what each parameter is to receive out."""

import math
from dataclasses import replace
from functools import lru_cache

import torch

from ...errors import NonFiniteError
from ...methods.base import GramianMethod, JacobianMethod, LossMethod, Method, State, Step
from ...methods.run import Directed, run_gramian_method, run_loss_method, run_method
from ..blocks.layout import extended, grown, laid_out, taken_apart
from ..blocks.sampling import cross_gramian
from ..blocks.targets import Targets, all_finite, head_gradients, head_weights, nothing_finite, through_losses
from ..engine_state import Carried, Reused
from ..graph.autograd_graph import leaves_behind
from ..modes import Every, Features
from ..passes.exact import Gradients, Plan
from ..sources.dispatch import Batch, Found, Held, Settings, Tools, find
from ..sources.features import warn_of_no_common_sample
from ..sources.reuse import remembered, reusable, weights_again
from .context import Balanced, Now, finite_only, hand_out, own_targets, skip_or_raise, weights_overflow, without
from .parameter_groups import run_by_group

__all__ = ["Balanced", "balance"]


def balance(
    method: Method,
    batch: Batch,
    step: Step,
    state: State,
    tools: Tools,
    settings: Settings,
    carried: Carried,
    *,
    held: Held | None = None,
    found: Found | None = None,
) -> Balanced:
    """Runs a method on one step of training.

    Args:
        method: Any.
        batch: Losses of the present tasks, with their graph; features.
        step: Names and numbers of the same.
        state: Of all tasks, on the losses' device; trained tensors among them.
        tools: Decides what is shared; learns from this step.
        settings: Of the Balancer.
        carried: From the step before.
        held: The losses that the weights go through, where they are not those of `batch` (accumulation).
        found: Gradients, where they are known already (accumulation).

    Returns:
        What is to be injected.

    Raises:
        NonFiniteError: With ``nonfinite="raise"``.
    """
    assert step.losses is not None
    now = Now(method, batch, step, state, tools, settings, carried, accumulated=held)
    values = step.losses.tolist()
    if all(map(math.isfinite, values)):
        bad = []
        if isinstance(method, LossMethod):
            return _by_losses(method, now)
    else:
        bad = [row for row, value in enumerate(values) if not math.isfinite(value)]
    nothing = now.outcome([], Plan("none", "no task is finite", 0), carried)
    if bad and settings.nonfinite == "propagate":
        leaves = leaves_behind([loss for _, loss, _ in now.held] or batch.losses)
        return nothing._replace(targets=nothing_finite(leaves or (found.source.parameters() if found else [])))
    if bad:
        shown = [f"'{step.tasks.here[i]}': {values[i]}" for i in bad]
        names = skip_or_raise("loss", [step.tasks.here[i] for i in bad], shown, settings)
        kept = without(len(step.losses), bad)
        if not kept:
            return nothing._replace(skipped=names)
        now, found = now.only(kept, names), None if found is None else found.only(kept)
    if isinstance(method, LossMethod):
        return _by_losses(method, now)
    assert isinstance(method, GramianMethod | JacobianMethod), f"{method!r} is of no known kind"
    if isinstance(settings.gradients, Every) and found is None:
        old = reusable(now.batch.losses, now.step, tools.ownership, settings.gradients.n, carried.reused)
        if old is not None:
            return _with_old_weights(old, now)
    if now.batch.second is not None:
        return _by_second_batch(method, now)
    if found is None:
        found = find(method, now.batch.losses, now.batch, now.step, tools, settings, carried.power)
    return _by_gradients(method, now, found)._replace(again=found.again)


def _by_losses(method: LossMethod, now: Now) -> Balanced:
    assert now.step.losses is not None
    weighed = run_loss_method(method, now.step.losses, now.state, now.step)
    stack = now.batch.stack
    if stack is None:
        targets = through_losses(now.held, weighed.weights, now.factor)
    else:
        weights = weighed.weights if now.factor == 1 else weighed.weights * now.factor
        targets = [(stack, weights.to(stack))]
    plan = _plan_of_losses(type(method))
    if not all_finite([gradient for _, gradient in targets], weighed.trained.values()):
        if now.settings.nonfinite == "propagate":
            leaves = leaves_behind([loss for _, loss, _ in now.held])
            return now.outcome(nothing_finite(leaves), plan, now.carried)
        raise weights_overflow(method, now, weighed)
    return now.outcome(targets, plan, now.carried, weighed=weighed)


@lru_cache(maxsize=64)
def _plan_of_losses(kind: type) -> Plan:
    return Plan("losses", f"{kind.__name__} looks at losses alone", 0, 1.0, 0)


def _by_gradients(method: GramianMethod | JacobianMethod, now: Now, found: Found) -> Balanced:
    checked = finite_only(now, found)
    if isinstance(checked, Balanced):
        return checked
    now, found = checked
    settings, source = now.settings, found.source
    carried = replace(now.carried, power=found.power) if found.power else now.carried
    unscale = 2.0**-found.power
    if isinstance(settings.gradients, Features):
        warn_of_no_common_sample(found.gramian)
    if isinstance(method, JacobianMethod):
        assert isinstance(source, Gradients)
        shared, directed, carried = _by_jacobian(method, now, source, carried, unscale)
        k = len(now.step.tasks.present)
        heads = torch.full((k,), now.factor * unscale / k, dtype=torch.float64)  # their own gradients, as heads="own"
        targets = shared + head_gradients(source.own, heads)
        return now.outcome(targets, source.plan, carried, weighed=directed, gramian=found.gramian)
    if settings.granularity != "model":
        assert isinstance(source, Gradients)
        grouped = run_by_group(
            method, source, now.tools.ownership, now.state, now.step, carried.groups, settings.granularity,
            unscale, now.factor,
        )  # fmt: skip
        targets = grouped.targets + head_gradients(
            source.own, head_weights(grouped.weighed, settings.heads) * (now.factor * unscale)
        )
        carried = replace(carried, groups=grouped.known)
        return now.outcome(
            targets, source.plan, carried, weighed=grouped.weighed, gramian=found.gramian, groups=grouped.here
        )
    weighed = run_gramian_method(method, found.gramian, now.state, now.step)
    heads = head_weights(weighed, settings.heads)
    if isinstance(settings.gradients, Every):
        carried = replace(carried, reused=remembered(weighed, heads, now.step))
    targets = hand_out(now, found, weighed.weights, heads)
    return now.outcome(targets, source.plan, carried, weighed=weighed, gramian=found.gramian)


def _by_jacobian(
    method: JacobianMethod, now: Now, source: Gradients, carried: Carried, unscale: float
) -> tuple[Targets, Directed, Carried]:
    ownership, parameters = now.tools.ownership, source.shared.parameters
    layout = extended(carried.layout, parameters, ownership)
    flat = laid_out(source.shared, layout, ownership) * unscale
    state = grown(method, now.state, len(now.step.tasks.names), flat.shape[1])
    outcome = run_method(method, flat, state, now.step)
    directed = Directed(outcome.state, outcome.status, outcome.certificate)
    targets = taken_apart(outcome.direction * now.factor, parameters, layout, ownership)
    return targets, directed, replace(carried, layout=layout)


def _with_old_weights(old: Reused, now: Now) -> Balanced:
    weights, heads, plan, weighed = weights_again(old, now.state)
    targets = through_losses(now.held, weights, now.factor)
    targets += own_targets(now, (heads - weights) * now.factor)
    return now.outcome(targets, plan, replace(now.carried, reused=old), weighed=weighed, reused=True)


def _of_two(one: Plan, two: Plan, more: float) -> Plan:
    """The plan of two batches; a plain step is that of one of them, and `more` of them come on top."""
    return replace(
        one,
        reason=f"two batches for the weights; {one.reason}",
        passes=one.passes + two.passes,
        cost=None if one.cost is None or two.cost is None else one.cost + two.cost + more,
        memory=None if one.memory is None or two.memory is None else one.memory + two.memory,
    )


def _by_second_batch(method: GramianMethod | JacobianMethod, now: Now) -> Balanced:
    batch, third = now.batch, now.batch.third
    assert batch.second is not None
    assert isinstance(method, GramianMethod)
    plain = replace(batch, features=())
    pairs = (batch.losses, batch.second) if third is None else (batch.second, third)
    one, two = (
        find(method, losses, plain, now.step, now.tools, now.settings, now.carried.power, jacobian=True)
        for losses in pairs
    )
    for found, which in ((one, "first"), (two, "second")):
        checked = finite_only(now, found)
        if isinstance(checked, Balanced):
            return checked
        if len(checked[1].gramian) != len(found.gramian):
            raise NonFiniteError(
                f"a gradient of the {which} of two batches holds NaN or inf; a task cannot be skipped."
            )
    assert isinstance(one.source, Gradients)
    assert isinstance(two.source, Gradients)
    cross = cross_gramian(one.source.shared, two.source.shared) * 2.0 ** -(one.power + two.power)
    weighed = run_gramian_method(method, one.gramian, now.state, replace(now.step, cross_gramian=cross.cpu()))
    heads = head_weights(weighed, now.settings.heads)
    plan = _of_two(one.source.plan, two.source.plan, 0.0 if third is None else 1.0)
    if third is None:
        targets = hand_out(now, one, weighed.weights, heads)
    else:
        targets = through_losses(now.held, weighed.weights, now.factor)
        targets += own_targets(now, (heads - weighed.weights.cpu()) * now.factor)
    return now.outcome(targets, plan, now.carried, weighed=weighed, gramian=one.gramian)
