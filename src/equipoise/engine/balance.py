"""One step: losses in, what each parameter is to receive out."""

from dataclasses import dataclass, field, replace
from typing import NamedTuple

import torch
from torch import Tensor

from ..errors import NonFiniteError
from ..methods.base import GramianMethod, JacobianMethod, LossMethod, Method, State, Step
from ..methods.run import Weighed, run_gramian_method, run_loss_method, run_method
from ..types import Tasks
from .approximations.features import warn_of_no_common_sample
from .approximations.modes import Every, Features
from .approximations.reuse import remembered, reusable, weights_again
from .carried import Carried, Reused
from .find import Batch, Found, Held, Settings, Tools, find
from .granular import run_by_group
from .graph import leaves_behind, tensor_hooks_off
from .handout import Targets, factor_of, head_gradients, head_weights, nonfinite_heads, nothing_finite, through_losses
from .inspection import inspect_graph
from .layout import extended, grown, laid_out, taken_apart
from .passes import Gradients, Plan
from .sampling import cross_gramian

__all__ = ["Balanced", "balance"]


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
    """

    targets: Targets
    plan: Plan
    tasks: Tasks
    losses: Tensor | None
    carried: Carried
    weighed: Weighed | None = None
    gramian: Tensor | None = None
    skipped: tuple[str, ...] = ()
    factor: float = 1.0
    groups: tuple[str, ...] = ()
    reused: bool = False

    @property
    def empty(self) -> bool:
        """Whether every task was skipped."""
        return self.weighed is None and bool(self.skipped)


@dataclass(frozen=True, eq=False)
class _Now:
    """What every part of a step looks at."""

    method: Method
    held: Held
    batch: Batch
    step: Step
    state: State
    tools: Tools
    settings: Settings
    carried: Carried
    skipped: tuple[str, ...] = field(default=())

    @property
    def factor(self) -> float:
        return factor_of(len(self.step.tasks.present), self.settings.scale)

    def only(self, rows: list[int], names: tuple[str, ...]) -> "_Now":
        """The same without some tasks."""
        place = {row: number for number, row in enumerate(rows)}
        losses, step, batch = self.step.losses, self.step, self.batch
        chosen = [
            None if part is None else [part[i] for i in rows]
            for part in (batch.losses or None, batch.second, batch.third)
        ]
        return replace(
            self,
            held=[(place[row], loss, share) for row, loss, share in self.held if row in place],
            batch=replace(batch, losses=chosen[0] or [], second=chosen[1], third=chosen[2]),
            step=replace(
                step, tasks=step.tasks.only(rows), losses=None if losses is None else losses[rows], count=len(rows)
            ),
            skipped=self.skipped + names,
        )

    def outcome(self, targets: Targets, plan: Plan, carried: Carried, **more: object) -> Balanced:
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
    now = _Now(method, batch.held if held is None else held, batch, step, state, tools, settings, carried)
    nothing = now.outcome([], Plan("none", "no task is finite", 0), carried)
    bad = torch.nonzero(~torch.isfinite(step.losses)).ravel().tolist()
    if bad and settings.nonfinite == "propagate":
        leaves = leaves_behind([loss for _, loss, _ in now.held] or batch.losses)
        return nothing._replace(targets=nothing_finite(leaves or (found.source.parameters() if found else [])))
    if bad:
        values = step.losses[bad].tolist()
        shown = [f"'{step.tasks.here[i]}': {value}" for i, value in zip(bad, values, strict=True)]
        names = _skip_or_raise("loss", [step.tasks.here[i] for i in bad], shown, settings)
        kept = _without(len(step.losses), bad)
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
    return _by_gradients(method, now, found)


def _by_losses(method: LossMethod, now: _Now) -> Balanced:
    assert now.step.losses is not None
    weighed = run_loss_method(method, now.step.losses, now.state, now.step)
    plan = Plan("losses", f"{type(method).__name__} looks at losses alone", 0)
    return now.outcome(through_losses(now.held, weighed.weights, now.factor), plan, now.carried, weighed=weighed)


def _by_gradients(method: GramianMethod | JacobianMethod, now: _Now, found: Found) -> Balanced:
    checked = _finite_only(now, found)
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
        shared, weighed, carried = _by_jacobian(method, now, source, carried, unscale)
        targets = shared + head_gradients(source.own, head_weights(weighed, settings.heads) * (now.factor * unscale))
        return now.outcome(targets, source.plan, carried, weighed=weighed, gramian=found.gramian)
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
    targets = _hand_out(now, found, weighed.weights, heads)
    return now.outcome(targets, source.plan, carried, weighed=weighed, gramian=found.gramian)


def _hand_out(now: _Now, found: Found, weights: Tensor, heads: Tensor) -> Targets:
    unscale = 2.0**-found.power
    if now.settings.mode == "inject":
        shared = found.source.combine(weights * (now.factor * unscale))
        if shared is not None:
            return shared + head_gradients(found.source.own, heads * (now.factor * unscale))
    # the weighted sum gives a head a_i g_i; what is missing to its wanted gradient is injected beside it
    missing = (heads - weights.cpu()) * (now.factor * unscale)
    return through_losses(now.held, weights, now.factor) + head_gradients(found.source.own, missing)


def _by_jacobian(
    method: JacobianMethod, now: _Now, source: Gradients, carried: Carried, unscale: float
) -> tuple[Targets, Weighed, Carried]:
    ownership, parameters = now.tools.ownership, source.shared.parameters
    layout = extended(carried.layout, parameters, ownership)
    flat = laid_out(source.shared, layout, ownership) * unscale
    state = grown(method, now.state, len(now.step.tasks.names), flat.shape[1])
    outcome = run_method(method, flat, state, now.step)
    k = len(now.step.tasks.present)
    equal = torch.full((k,), 1 / k, dtype=torch.float64)
    weighed = Weighed(equal, outcome.state, outcome.status, outcome.certificate)
    targets = taken_apart(outcome.direction * now.factor, parameters, layout, ownership)
    return targets, weighed, replace(carried, layout=layout)


def _with_old_weights(old: Reused, now: _Now) -> Balanced:
    weights, heads, plan, weighed = weights_again(old, now.state)
    targets = through_losses(now.held, weights, now.factor)
    targets += _own_targets(now, (heads - weights) * now.factor)
    return now.outcome(targets, plan, replace(now.carried, reused=old), weighed=weighed, reused=True)


def _own_targets(now: _Now, coefficients: Tensor) -> Targets:
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


def _by_second_batch(method: GramianMethod | JacobianMethod, now: _Now) -> Balanced:
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
        checked = _finite_only(now, found)
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
    passes = one.source.plan.passes + two.source.plan.passes
    plan = Plan(one.source.plan.engine, f"two batches for the weights; {one.source.plan.reason}", passes)
    if third is None:
        targets = _hand_out(now, one, weighed.weights, heads)
    else:
        targets = through_losses(now.held, weighed.weights, now.factor)
        targets += _own_targets(now, (heads - weighed.weights.cpu()) * now.factor)
    return now.outcome(targets, plan, now.carried, weighed=weighed, gramian=one.gramian)


def _finite_only(now: _Now, found: Found) -> "Balanced | tuple[_Now, Found]":
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
    names = _skip_or_raise("gradient", [here[i] for i in bad], shown, now.settings)
    kept = _without(len(here), bad)
    if not kept:
        return nothing._replace(skipped=now.skipped + names)
    return now.only(kept, names), found.only(kept)


def _without(count: int, bad: list[int]) -> list[int]:
    gone = set(bad)
    return [i for i in range(count) if i not in gone]


def _skip_or_raise(what: str, names: list[str], shown: list[str], settings: Settings) -> tuple[str, ...]:
    if settings.nonfinite == "skip":
        return tuple(names)
    raise NonFiniteError(
        f"every {what} must be finite; {'; '.join(shown)}. Weights were not changed. Check these tasks' losses, or use "
        "eq.Balancer(..., nonfinite='skip') to leave such tasks out for a step and count it."
    )
