"""Gradients of several micro-batches as if they had been one batch."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from types import TracebackType
from typing import Protocol

import torch
from torch import Tensor

from ...core.tasks import Tasks
from ...errors import ClockError
from ...methods.base import LossMethod, Method, State, Step
from ..blocks.dense import Jacobian
from ..blocks.task_gradients import Gradients
from ..engine_state import Carried
from ..graph.ownership import Ownership
from ..modes import Sketch
from ..passes.exact import Own, Plan
from ..sources.dispatch import Batch, Found, Held, Settings, Tools, find
from ..sources.sketch import Signs, Sketched, fold, name_bucket
from .step import Balanced, balance

__all__ = ["Accumulation", "Until", "balance_last"]


class Accumulation:
    """Sums over micro-batches, and what they come to.

    A task's loss and gradient are the means over the micro-batches in which it was present; equal micro-batches thus
    give what the big batch would.

    Args:
        steps: Micro-batches to one balance.
        divided: Whether the user's framework divides each loss by `steps` (Lightning, Accelerate and Transformers do):
            the direction is then multiplied by it.
    """

    def __init__(self, steps: int, divided: bool) -> None:
        self.steps = steps
        self.divided = divided
        self.clear()

    @property
    def factor(self) -> float:
        """What makes good for a division by somebody else."""
        return float(self.steps) if self.divided else 1.0

    def clear(self) -> None:
        """Forgets the micro-batches so far."""
        self.done = 0
        self._losses: dict[int, Tensor] = {}
        self._counts: dict[int, int] = {}
        self._held: list[tuple[int, Tensor]] = []
        self._leaves: dict[int, Tensor] = {}
        self._sums: dict[int, dict[int, Tensor]] = {}
        self._sketches: dict[int, Tensor] = {}
        self._plan: Plan | None = None

    def add(
        self, present: Sequence[int], values: Tensor, losses: Sequence[Tensor], found: Found | None, hold: bool
    ) -> bool:
        """Takes one micro-batch in.

        Args:
            present: Task numbers.
            values: (k,) detached losses, float64.
            losses: The same with their graph.
            found: Their gradients; None where the method looks at losses alone.
            hold: Whether the losses' graphs are needed at the end.

        Returns:
            Whether this was the last one.
        """
        for row, task in enumerate(present):
            self._counts[task] = self._counts.get(task, 0) + 1
            self._losses[task] = self._losses.get(task, 0.0) + values[row]
            if hold:
                self._held.append((task, losses[row]))
        if found is not None:
            self._plan = found.source.plan
            self._add_gradients(present, found)
        self.done += 1
        return self.done == self.steps

    def _add_gradients(self, present: Sequence[int], found: Found) -> None:
        source, unscale = found.source, 2.0**-found.power
        if isinstance(source, Sketched):
            for row, task in enumerate(present):
                self._sketches[task] = self._sketches.get(task, 0.0) + source.rows[row] * unscale
        else:
            assert isinstance(source, Gradients)
            for number, leaf in enumerate(source.shared.parameters):
                for row, task in enumerate(present):
                    block = source.shared.rows[row][number]
                    if block is not None:
                        self._add(leaf, task, block, unscale)
        for leaf, rows in source.own:
            for row, block in rows:
                self._add(leaf, present[row], block, unscale)

    def _add(self, leaf: Tensor, task: int, block: Tensor, unscale: float) -> None:
        self._leaves[id(leaf)] = leaf
        sums = self._sums.setdefault(id(leaf), {})
        wide = block.to(torch.promote_types(block.dtype, torch.float32)) * unscale
        sums[task] = sums[task] + wide if task in sums else wide

    def _bytes(self) -> int:
        """Of the sums."""
        held = [total for sums in self._sums.values() for total in sums.values()] + list(self._sketches.values())
        return sum(total.numel() * total.element_size() for total in held)

    def tasks(self, names: tuple[str, ...]) -> Tasks:
        """The tasks that were present in some micro-batch."""
        return Tasks(names, tuple(sorted(self._counts)))

    def losses(self) -> Tensor:
        """(k,) mean losses of those tasks, float64."""
        return torch.stack([self._losses[task] / self._counts[task] for task in sorted(self._counts)])

    def held(self) -> Held:
        """The losses with their graphs, each with its share of its task's mean."""
        place = {task: row for row, task in enumerate(sorted(self._counts))}
        return [(place[task], loss, 1 / self._counts[task]) for task, loss in self._held]

    def found(self, ownership: Ownership, signs: Signs, s: int) -> Found | None:
        """Mean gradients, or mean sketches; None where the method looks at losses alone."""
        if self._plan is None:
            return None
        tasks = sorted(self._counts)
        plan = replace(
            self._plan,
            reason=f"{self.steps} micro-batches; {self._plan.reason}",
            memory=None if self._plan.memory is None else self._plan.memory + self._bytes(),
        )
        means = {
            key: {task: total / self._counts[task] for task, total in sums.items()} for key, sums in self._sums.items()
        }
        own: Own = [
            (leaf, [(row, means[key][task]) for row, task in enumerate(tasks) if task in means[key]])
            for key, leaf in self._leaves.items()
            if not ownership.is_shared(leaf)
        ]
        shared = [(key, leaf) for key, leaf in self._leaves.items() if ownership.is_shared(leaf)]
        if not self._sketches:
            rows = [[means[key].get(task) for key, _ in shared] for task in tasks]
            gradients = Gradients([Jacobian([leaf for _, leaf in shared], rows)], own, plan, len(tasks))
            return Found(gradients, 0, gradients.gramian())
        sketches = torch.stack([self._sketches[task] / self._counts[task] for task in tasks])
        for key, leaf in shared:  # what was one task's own in an early micro-batch and shared in a later one
            name = ownership.name(leaf)
            for row, task in enumerate(tasks):
                if task in means[key]:
                    dense = means[key][task].to_dense() if means[key][task].is_sparse else means[key][task]
                    sketches[row] += fold(dense, signs.of(name, leaf), s, name_bucket(name)).to(sketches.device)
        source = Sketched(sketches, own, list(self._leaves.values()), plan)
        return Found(source, 0, source.gramian())


class _Accumulates(Protocol):
    accumulation: Accumulation | None


class Until(AbstractContextManager[None]):
    """Ends an accumulation where a ``with`` block ends."""

    def __init__(self, owner: _Accumulates, before: Accumulation | None) -> None:
        self._owner = owner
        self._before = before

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        ended, self._owner.accumulation = self._owner.accumulation, self._before
        if kind is None and ended is not None and ended.done:
            raise ClockError(
                f"`accumulate` ended after {ended.done} of {ended.steps} micro-batches: never balanced, and "
                "no parameter has received their gradients. Use accumulate(steps) with the number that there are."
            )


def balance_last(
    method: Method,
    batch: Batch,
    step: Step,
    state: State,
    tools: Tools,
    settings: Settings,
    carried: Carried,
    accumulation: Accumulation,
) -> Balanced | None:
    """Takes a micro-batch in, and balances all of them with the last.

    Args:
        method: Any.
        batch: Losses of the micro-batch, with their graph.
        step: Names and numbers of the same.
        state: Of all tasks.
        tools: Of the Balancer.
        settings: Of the Balancer.
        carried: From the last balance.
        accumulation: Holds the micro-batches so far; empty again after the last.

    Returns:
        What is to be injected, or None before the last micro-batch.
    """
    assert step.losses is not None
    looks, mode = isinstance(method, LossMethod), settings.gradients
    hold = looks or settings.mode == "recompute" or isinstance(mode, Sketch)
    found = None
    if not looks:
        found = find(method, batch.losses, batch, step, tools, settings, carried.power, jacobian=True)
    if not accumulation.add(step.tasks.present, step.losses, batch.losses, found, hold):
        return None
    whole = Step(accumulation.tasks(step.tasks.names), accumulation.losses(), step.preference)
    mean = accumulation.found(tools.ownership, tools.signs, mode.s if isinstance(mode, Sketch) else 0)
    held, factor = accumulation.held(), accumulation.factor
    accumulation.clear()
    balanced = balance(method, Batch([]), whole, state, tools, settings, carried, held=held, found=mean)
    targets = [(target, gradient * factor) for target, gradient in balanced.targets]
    return balanced._replace(targets=targets, factor=balanced.factor * factor)
