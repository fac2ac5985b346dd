"""One step: losses in, what each parameter is to receive out."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from ..errors import EquipoiseError, NonFiniteError, SettingError
from ..losses import mean_of
from ..methods.base import GramianMethod, JacobianMethod, LossMethod, Method, State, Step
from ..methods.run import Weighed, run_gramian_method, run_loss_method, run_method
from ..types import Tasks
from .ownership import Ownership
from .passes import Own, Plan, differentiate, feature_gradients

__all__ = ["Balanced", "Settings", "balance"]

Targets = list[tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class Settings:
    """How a direction is handed out; see `Balancer`."""

    heads: Literal["own", "weighted"]
    scale: Literal["mean", "sum"]
    mode: Literal["inject", "recompute"]
    nonfinite: Literal["raise", "skip", "propagate"]


class Balanced(NamedTuple):
    """The outcome of a step.

    Attributes:
        value: Mean of the present, finite losses.
        targets: Tensors (parameters, or losses that lead to them) and the gradient that each is to receive.
        plan: How gradients were computed.
        tasks: Which tasks took part in the end.
        losses: Their losses, float64.
        weighed: What the method returned; None where NaN was propagated or every task skipped.
        gramian: Of the gradients that the method saw.
        skipped: Names of tasks left out because they were not finite.
        factor: 1, or the number of tasks with ``scale="sum"``.
    """

    value: Tensor
    targets: Targets
    plan: Plan
    tasks: Tasks
    losses: Tensor | None
    weighed: Weighed | None = None
    gramian: Tensor | None = None
    skipped: tuple[str, ...] = ()
    factor: float = 1.0


def balance(
    method: Method,
    losses: list[Tensor],
    step: Step,
    state: State,
    ownership: Ownership,
    settings: Settings,
    features: Sequence[Tensor],
    retain_graph: bool,
) -> Balanced:
    """Runs a method on one step of training.

    Args:
        method: Any.
        losses: Scalars of the present tasks, with their graph.
        step: Names and numbers of the same.
        state: Of all tasks, on the losses' device; trained tensors among them.
        ownership: Decides what is shared; learns from this step.
        settings: Of the Balancer.
        features: Between trunk and heads, or none.
        retain_graph: Whether the losses' graph is needed afterwards.

    Returns:
        What is to be injected.

    Raises:
        NonFiniteError: With ``nonfinite="raise"``.
    """
    none = Balanced(mean_of(losses), [], Plan("none", "no task is finite", 0), step.tasks, step.losses)
    assert step.losses is not None
    skipped: tuple[str, ...] = ()
    if settings.nonfinite != "propagate":
        bad = torch.nonzero(~torch.isfinite(step.losses)).ravel().tolist()
        if bad:
            shown = [
                f"'{step.tasks.here[i]}': {value}" for i, value in zip(bad, step.losses[bad].tolist(), strict=True)
            ]
            skipped = _skip_or_raise("loss", [step.tasks.here[i] for i in bad], shown, settings)
            kept = [i for i in range(len(losses)) if i not in bad]
            if not kept:
                return none._replace(value=torch.zeros_like(none.value), skipped=skipped)
            losses, step = [losses[i] for i in kept], _step_of(step, kept)
    if isinstance(method, LossMethod):
        found = _by_losses(method, losses, step, state, settings)
    elif method.needs == "features":
        found = _by_features(method, losses, step, state, ownership, settings, features)
    else:
        found = _by_gradients(method, losses, step, state, ownership, settings, features, retain_graph)
    return found._replace(skipped=skipped + found.skipped)


def _by_losses(method: LossMethod, losses: list[Tensor], step: Step, state: State, settings: Settings) -> Balanced:
    assert step.losses is not None
    weighed = run_loss_method(method, step.losses, state, step)
    plan = Plan("losses", f"{type(method).__name__} looks at losses alone", 0)
    factor = _factor(losses, settings)
    targets = _through_losses(losses, weighed.weights, factor)
    return Balanced(mean_of(losses), targets, plan, step.tasks, step.losses, weighed, factor=factor)


def _by_gradients(
    method: Method,
    losses: list[Tensor],
    step: Step,
    state: State,
    ownership: Ownership,
    settings: Settings,
    features: Sequence[Tensor],
    retain_graph: bool,
) -> Balanced:
    gradients = differentiate(
        losses,
        step.tasks.present,
        ownership,
        features=features,
        complete=len(step.tasks.present) == len(step.tasks.names),
        retain_graph=retain_graph or settings.mode == "recompute",
    )
    gramian = gradients.gramian()
    base = Balanced(mean_of(losses), [], gradients.plan, step.tasks, step.losses, gramian=gramian)
    bad = torch.nonzero(~torch.isfinite(gramian.diagonal())).ravel().tolist()
    skipped: tuple[str, ...] = ()
    if bad and settings.nonfinite == "propagate":
        return base._replace(targets=[(leaf, torch.full_like(leaf, torch.nan)) for leaf in gradients.parameters()])
    if bad:
        shown = [f"'{step.tasks.here[row]}': {gradients.first_nonfinite(row, ownership)}" for row in bad]
        skipped = _skip_or_raise("gradient", [step.tasks.here[i] for i in bad], shown, settings)
        kept = [i for i in range(len(losses)) if i not in bad]
        if not kept:
            return base._replace(skipped=skipped)
        losses, step, gradients = [losses[i] for i in kept], _step_of(step, kept), gradients.only(kept)
        gramian = gramian[kept][:, kept]
    factor = _factor(losses, settings)
    if isinstance(method, JacobianMethod):
        flat = gradients.shared.flat()
        outcome = run_method(method, flat, state or method.init(len(step.tasks.names), flat.shape[1]), step)
        blocks = gradients.shared.unflatten(outcome.direction * factor)
        shared = [(p, b) for p, b in zip(gradients.shared.parameters, blocks, strict=True) if b is not None]
        equal = torch.full((len(losses),), 1 / len(losses), dtype=torch.float64)
        weighed = Weighed(equal, outcome.state, outcome.status, outcome.certificate)
    elif isinstance(method, GramianMethod):
        weighed = run_gramian_method(method, gramian, state, step)
        shared = None
    else:
        raise EquipoiseError(f"{method!r} is of no known kind: subclass one of the kinds in methods.base.")
    heads = _head_weights(weighed, settings) * factor
    if settings.mode == "recompute" and shared is None:
        weights = weighed.weights.cpu() * factor
        # the weighted sum gives a head a_i g_i; what is missing to its wanted gradient is injected beside it
        targets = [*_through_losses(losses, weighed.weights, factor), *_heads(gradients.own, heads - weights)]
    else:
        shared = gradients.combine(weighed.weights * factor) if shared is None else shared
        targets = shared + _heads(gradients.own, heads)
    return Balanced(
        mean_of(losses), targets, gradients.plan, step.tasks, step.losses, weighed, gramian, skipped, factor
    )


def _by_features(
    method: Method,
    losses: list[Tensor],
    step: Step,
    state: State,
    ownership: Ownership,
    settings: Settings,
    features: Sequence[Tensor],
) -> Balanced:
    if not features or not isinstance(method, GramianMethod):
        raise SettingError(f"{method!r} works on representation gradients: call balancer(losses, features=...).")
    complete = len(step.tasks.present) == len(step.tasks.names)
    at_features, own, trunk = feature_gradients(losses, features, ownership, complete=complete)
    gramian = at_features.gramian()
    if not torch.isfinite(gramian).all():
        raise NonFiniteError("a gradient at the features holds NaN or inf; weights were not changed.")
    weighed = run_gramian_method(method, gramian, state, step)
    factor = _factor(losses, settings)
    mixed = zip(features, at_features.combine(weighed.weights * factor), strict=True)
    used = [(feature, block) for feature, block in mixed if block is not None]
    found = torch.autograd.grad([f for f, _ in used], trunk, [block for _, block in used], allow_unused=True)
    targets = [(leaf, gradient) for leaf, gradient in zip(trunk, found, strict=True) if gradient is not None]
    targets += _heads(own, _head_weights(weighed, settings) * factor)
    plan = Plan("features", "weights from representation gradients: an upper bound, not exact", 1)
    return Balanced(mean_of(losses), targets, plan, step.tasks, step.losses, weighed, gramian, factor=factor)


def _step_of(step: Step, rows: list[int]) -> Step:
    return replace(
        step, tasks=step.tasks.only(rows), losses=None if step.losses is None else step.losses[rows], count=len(rows)
    )


def _factor(losses: Sequence[Tensor], settings: Settings) -> float:
    return float(len(losses)) if settings.scale == "sum" else 1.0


def _through_losses(losses: Sequence[Tensor], weights: Tensor, factor: float) -> Targets:
    """Each loss receives its weight; the rest of the way is the losses' own graph."""
    scaled = (weights.to(losses[0].device) * factor).unbind()
    return [(loss, weight.to(loss).reshape(loss.shape)) for loss, weight in zip(losses, scaled, strict=True)]


def _head_weights(weighed: Weighed, settings: Settings) -> Tensor:
    weights = weighed.weights.cpu().clone()
    if settings.heads == "own":
        return torch.full_like(weights, 1 / len(weights))
    weights[list(weighed.left_out)] = 1 / len(weights)  # no gradient in the trunk is no reason to stop the head
    return weights


def _heads(own: Own, weights: Tensor) -> Targets:
    factors = weights.tolist()
    targets = []
    for leaf, rows in own:
        blocks = [gradient.to_dense() if gradient.is_sparse else gradient for _, gradient in rows]
        total = blocks[0] * factors[rows[0][0]]
        for (number, _), block in zip(rows[1:], blocks[1:], strict=True):
            total = total + block * factors[number]
        targets.append((leaf, total))
    return targets


def _skip_or_raise(what: str, names: list[str], shown: list[str], settings: Settings) -> tuple[str, ...]:
    if settings.nonfinite == "skip":
        return tuple(names)
    raise NonFiniteError(
        f"every {what} must be finite; {'; '.join(shown)}. Weights were not changed. Check these tasks' losses, or use "
        "eq.Balancer(..., nonfinite='skip') to leave such tasks out for a step and count it."
    )
