"""Gradients of several micro-batches as if they had been one batch."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from ...core.tasks import Preference, Tasks
from ...errors import ClockError
from ...methods.base import LossMethod, Method, State, Step
from ..blocks.dense import Jacobian
from ..blocks.task_gradients import Gradients
from ..engine_state import Carried
from ..graph.autograd_graph import leaves_behind
from ..graph.ownership import Ownership
from ..modes import Sketch
from ..passes.exact import Own, Plan
from ..sources.dispatch import Batch, Found, Held, Settings, Tools, find
from ..sources.sketch import Signs, Sketched, fold, name_bucket
from .context import Now, finite_only, refuse_nonfinite_losses
from .step import Balanced, balance

__all__ = ["WAY_OUT", "Accumulation", "balance_waiting", "take_in"]

WAY_OUT = (
    "Balance a short window as it stands, with balancer(losses, flush=True) on its last micro-batch or "
    "balancer.flush().backward() after it and before optimizer.step(); balancer.discard() forgets those that wait."
)


@dataclass(frozen=True, eq=False)
class Accumulation:
    """Sums over micro-batches, and what they come to; a value: taking one more in gives another.

    A task's loss and gradient are the means over the micro-batches in which it was present; equal micro-batches thus
    give what the big batch would.

    Attributes:
        steps: Micro-batches to one balance.
        divided: Whether something in between may divide each loss by the number of micro-batches, see `undivided`.
        done: Micro-batches that wait for their balance.
        preference: Of the last one.
    """

    steps: int
    divided: bool
    done: int = 0
    preference: Preference | None = None
    _losses: dict[int, Tensor] = field(default_factory=dict)
    _counts: dict[int, int] = field(default_factory=dict)
    _held: tuple[tuple[int, Tensor], ...] = ()
    _leaves: dict[int, Tensor] = field(default_factory=dict)
    _versions: dict[int, int] = field(default_factory=dict)
    _sums: dict[tuple[int, int], Tensor] = field(default_factory=dict)  # by leaf and task
    _sketches: dict[int, Tensor] = field(default_factory=dict)
    _plan: Plan | None = None
    dtype: torch.dtype = torch.float32

    def emptied(self) -> "Accumulation":
        """The same setting with no micro-batch waiting."""
        return Accumulation(self.steps, self.divided)

    def refuse_changed(self) -> None:
        """Raises `ClockError` where parameters were changed since the first micro-batch that waits."""
        changed = [leaf for key, leaf in self._leaves.items() if leaf._version != self._versions[key]]
        if changed:
            shapes = ", ".join(str(tuple(leaf.shape)) for leaf in changed[:3])
            raise ClockError(
                f"{len(changed)} parameters (shapes {shapes}{', ...' if len(changed) > 3 else ''}) were changed while "
                f"{self.words()}: the mean would mix gradients of different models. {WAY_OUT}"
            )

    def words(self) -> str:
        """How many wait, for messages."""
        verb = "waits for its" if self.done == 1 else "wait for their"
        return f"{self.done} of {self.steps} micro-batches {verb} balance"

    def leads_to(self, parameters: Collection[int]) -> bool:
        """Whether some of the parameters, by identity, are waiting for a gradient."""
        known = self._leaves.keys() | {id(leaf) for leaf in leaves_behind([loss for _, loss in self._held])}
        return bool(self.done) and not known.isdisjoint(parameters)

    def with_batch(self, batch: Batch, step: Step, found: list[Found], hold: bool) -> "Accumulation":
        """One micro-batch more.

        Args:
            batch: Losses with their graph.
            step: Names and numbers of the same.
            found: Their gradients, taken out of the list so that they go as they are summed; empty where the method
                looks at losses alone.
            hold: Whether the losses' graphs are needed at the end.
        """
        assert step.losses is not None
        present = step.tasks.present
        pairs = list(zip(present, batch.losses, strict=True))
        more = replace(
            self,
            done=self.done + 1,
            preference=step.preference,
            dtype=batch.losses[0].dtype,
            _losses=self._losses
            | {task: self._losses.get(task, 0.0) + step.losses[i] for i, task in enumerate(present)},
            _counts=self._counts | {task: self._counts.get(task, 0) + 1 for task in present},
            _held=(*self._held, *(pairs if hold else ())),
        )
        if found:
            return more._with_gradients(present, found.pop())
        return more._watching({} if self._leaves else {id(leaf): leaf for leaf in leaves_behind(batch.losses)})

    def _watching(self, leaves: dict[int, Tensor]) -> "Accumulation":
        new = {key: leaf._version for key, leaf in leaves.items() if key not in self._leaves}
        return replace(self, _leaves=self._leaves | leaves, _versions=self._versions | new)

    def _with_gradients(self, present: Sequence[int], found: Found) -> "Accumulation":
        source, unscale = found.source, 2.0**-found.power
        sketches, blocks = dict(self._sketches), []
        if isinstance(source, Sketched):
            for row, task in enumerate(present):
                sketches[task] = sketches.get(task, 0.0) + source.rows[row] * unscale
        else:
            assert isinstance(source, Gradients)
            rows = source.shared.rows
            blocks = [
                (leaf, task, rows[row][number])
                for number, leaf in enumerate(source.shared.parameters)
                for row, task in enumerate(present)
            ]
            del rows
        blocks += [(leaf, present[row], block) for leaf, found_rows in source.own for row, block in found_rows]
        plan = source.plan
        del found, source
        blocks.reverse()
        sums: dict[tuple[int, int], Tensor] = {}
        leaves: dict[int, Tensor] = {}
        while blocks:  # each gradient goes when it has been added: no more memory than old and new sums
            leaf, task, block = blocks.pop()
            if block is not None:
                leaves[id(leaf)] = leaf
                sums[id(leaf), task] = _add(self._sums.get((id(leaf), task)), block, unscale)
            del block
        return replace(self, _sums=self._sums | sums, _sketches=sketches, _plan=plan)._watching(leaves)

    def _bytes(self) -> int:
        """Of the sums."""
        held = [*self._sums.values(), *self._sketches.values()]
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
            reason=f"{self.done} micro-batches; {self._plan.reason}",
            memory=None if self._plan.memory is None else self._plan.memory + self._bytes(),
        )
        means: dict[int, dict[int, Tensor]] = {key: {} for key in self._leaves}
        for (key, task), total in self._sums.items():
            means[key][task] = total / self._counts[task]
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


def _add(total: Tensor | None, block: Tensor, unscale: float) -> Tensor:
    wide = block.to(torch.promote_types(block.dtype, torch.float32)) * unscale
    return wide if total is None else total + wide


def take_in(
    method: Method, batch: Batch, step: Step, tools: Tools, settings: Settings, carried: Carried, waiting: Accumulation
) -> Accumulation:
    """Takes a micro-batch in.

    Args:
        method: Any.
        batch: Losses of the micro-batch, with their graph.
        step: Names and numbers of the same.
        tools: Of the Balancer.
        settings: Of the Balancer.
        carried: From the last balance.
        waiting: The micro-batches before.

    Returns:
        All of them.

    Raises:
        NonFiniteError: With ``nonfinite="raise"``, for this micro-batch; those before still wait.
        ClockError: Parameters were changed since the first of them.
    """
    waiting.refuse_changed()
    looks, mode = isinstance(method, LossMethod), settings.gradients
    hold = looks or settings.mode == "recompute" or isinstance(mode, Sketch)
    strict = settings.nonfinite == "raise"
    if strict:
        refuse_nonfinite_losses(step, settings)
    found = []
    if not looks:
        found.append(find(method, batch.losses, batch, step, tools, settings, carried.power, jacobian=True))
        if strict:
            finite_only(Now(method, batch, step, {}, tools, settings, carried), found[0])
    return waiting.with_batch(batch, step, found, hold)


def balance_waiting(
    method: Method,
    names: tuple[str, ...],
    state: State,
    tools: Tools,
    settings: Settings,
    carried: Carried,
    waiting: Accumulation,
) -> Balanced:
    """Balances the micro-batches that were taken in, however many there are.

    Args:
        method: Any.
        names: Of all tasks.
        state: Of all tasks.
        tools: Of the Balancer.
        settings: Of the Balancer.
        carried: From the last balance.
        waiting: At least one micro-batch.

    Returns:
        What is to be injected.
    """
    mode = settings.gradients
    step = Step(waiting.tasks(names), waiting.losses(), waiting.preference)
    mean = waiting.found(tools.ownership, tools.signs, mode.s if isinstance(mode, Sketch) else 0)
    return balance(method, Batch([]), step, state, tools, settings, carried, held=waiting.held(), found=mean)
