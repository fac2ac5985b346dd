"""Inputs and outcome of a step, and checks common to all kinds of methods."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor

from ...core.tasks import Tasks
from ...errors import NonFiniteError, listed
from ...methods.base import Method, State, Step
from ...methods.run import Outcome, Weighed
from ..blocks.task_gradients import Handout
from ..cost.plan import Plan
from ..engine_state import Carried
from ..ranks.joint import Joint
from ..sources.dispatch import Settings
from ..sources.mode import Tools

__all__ = [
    "Balanced",
    "Context",
    "Held",
    "refuse_nonfinite_losses",
    "skip_or_raise",
    "weights_overflow",
]


Held = list[tuple[int, Tensor, float]]
"""Losses with their graph, each with its row and its share of the row's mean."""


class Balanced(NamedTuple):
    """The outcome of a step.

    Attributes:
        targets: Tensors (parameters, or losses that lead to them), each with the gradient that it is to receive.
        plan: Plan by which the gradients were computed.
        tasks: All task names, and which tasks took part in the end.
        losses: (k,) losses of the tasks that took part, float64.
        carried: State of the engine for the next step.
        weighed: Outcome of the method; None where NaN was propagated or every task skipped.
        gramian: (k, k) Gramian of the gradients that the method used, float64; None where none was computed.
        skipped: Names of tasks left out because they were not finite.
        factor: 1, or the number of tasks with ``scale="sum"``.
        groups: Names of the groups that the rows of the weights belong to (``granularity=``).
        reused: Whether the weights are those of an earlier step.
        again: Whether products of gradients were computed again in float64.
    """

    targets: Handout
    plan: Plan
    tasks: Tasks
    losses: Tensor | None
    carried: Carried
    weighed: Weighed | Outcome | None = None
    gramian: Tensor | None = None
    skipped: tuple[str, ...] = ()
    factor: float = 1.0
    groups: tuple[str, ...] = ()
    reused: bool = False
    again: bool = False


@dataclass(frozen=True, eq=False)
class Context:
    """Inputs of a step.

    Attributes:
        method: Method that is run.
        losses: Scalars of the present tasks, with their graph; empty where micro-batches were accumulated.
        step: Task names and numbers of the same losses.
        state: State of the method for all tasks, on the losses' device, including trained tensors.
        tools: Shared objects of the Balancer.
        settings: Settings of the Balancer.
        carried: State of the engine from the step before.
        features: Tensors between trunk and heads, or none.
        retain_graph: Whether the graph is needed after the step.
        second: Losses of the same tasks on another batch, for methods that sample twice.
        third: Losses of the same tasks on a third batch.
        stack: The losses as one tensor (k,) with their graph, where it exists.
        skipped: Names of tasks that were left out.
        accumulated: The losses of all micro-batches, where several make a step.
        joint: The step that several ranks take together; its tasks are those of all ranks, and `losses` holds those of
            this rank.
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
    joint: Joint | None = None

    @property
    def held(self) -> Held:
        """The losses that receive weights: those of the batch or of all micro-batches, of this rank alone."""
        if self.accumulated is not None:
            return self.accumulated
        if self.joint is not None:
            return list(zip(self.joint.places, self.losses, self.joint.shares[0], strict=True))
        return [(row, loss, 1.0) for row, loss in enumerate(self.losses)]

    @property
    def here(self) -> Tasks:
        """All task names, and which tasks this rank has."""
        return self.step.tasks if self.joint is None else self.step.tasks.only(self.joint.places)

    @property
    def complete(self) -> bool:
        """Whether this rank has every task."""
        return len(self.here.present) == len(self.step.tasks.names)

    def at_losses(self, weights: Tensor) -> Tensor:
        """Weights of `losses`, from one weight for each task of the step."""
        return weights if self.joint is None else self.joint.here(weights)

    def only(self, rows: list[int], names: tuple[str, ...]) -> "Context":
        """The context with some rows only; `names` are the tasks left out."""
        place = {row: number for number, row in enumerate(rows)}
        losses, step = self.step.losses, self.step
        here = rows if self.joint is None else [n for n, row in enumerate(self.joint.places) if row in place]
        return replace(
            self,
            losses=[self.losses[row] for row in here] if self.losses else [],
            second=None if self.second is None else [self.second[row] for row in here],
            third=None if self.third is None else [self.third[row] for row in here],
            joint=None if self.joint is None else self.joint.only(rows),
            stack=None,
            step=replace(
                step, tasks=step.tasks.only(rows), losses=None if losses is None else losses[rows], count=len(rows)
            ),
            skipped=self.skipped + names,
            accumulated=None
            if self.accumulated is None
            else [(place[row], loss, share) for row, loss, share in self.accumulated if row in place],
        )


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
    factor = len(now.step.tasks.present) if now.settings.scale == "sum" else 1
    given = [(weight * factor).to(types.get(row, torch.float32)).item() for row, weight in enumerate(weighed.weights)]
    shown = [
        f"'{name}' (loss {value:.6g}): weight {weight} in {types.get(row, torch.float32)}"
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
