"""Gradients of several micro-batches as if they had been one batch."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from ...core.tasks import Preference, Tasks
from ...errors import ClockError
from ...methods.base import LossMethod
from ..blocks.dense import Jacobian
from ..blocks.task_gradients import Gradients, Own
from ..cost.plan import Plan
from ..graph.autograd_graph import leaves_behind
from ..sources.mode import Tools
from ..sources.sketch import Sketch, SketchRows
from .context import Balanced, Context, Held, refuse_nonfinite_losses
from .gradients import gradients_here, merged_over_ranks
from .step import finite_only, run_step

__all__ = ["WAY_OUT", "Accumulation", "balance_waiting", "take_in"]

WAY_OUT = (
    "Balance a short window as it stands, with balancer(losses, flush=True) on its last micro-batch or "
    "balancer.flush().backward() after it and before optimizer.step(); balancer.discard() forgets those that wait."
)


@dataclass(frozen=True, eq=False)
class Accumulation:
    """Sums over micro-batches. It is immutable: adding a micro-batch returns a new one.

    A task's loss and gradient are the means over the micro-batches in which it was present; equal micro-batches thus
    give the result of one big batch.

    Attributes:
        steps: Number of micro-batches per balance.
        divided: Whether a framework may divide each loss by the number of micro-batches, see `followed`.
        done: Number of micro-batches that wait for their balance.
        preference: Preference given with the last micro-batch.
    """

    steps: int
    divided: bool
    done: int = 0
    preference: Preference | None = None
    _losses: dict[int, Tensor] = field(default_factory=dict)
    _counts: dict[int, int] = field(default_factory=dict)
    _held: tuple[tuple[int, Tensor, float], ...] = ()  # task, loss, and over ranks this one's share
    _leaves: dict[int, Tensor] = field(default_factory=dict)
    _versions: dict[int, int] = field(default_factory=dict)
    _sums: dict[tuple[int, int], Tensor] = field(default_factory=dict)  # by leaf and task
    _sketches: dict[int, Tensor] = field(default_factory=dict)
    _plan: Plan | None = None
    _merged: bool = False
    dtype: torch.dtype = torch.float32

    def emptied(self) -> "Accumulation":
        """The same setting with no micro-batch waiting."""
        return Accumulation(self.steps, self.divided)

    def refuse_changed(self) -> None:
        """Raises `ClockError` where parameters were changed since the first waiting micro-batch."""
        changed = [leaf for key, leaf in self._leaves.items() if leaf._version != self._versions[key]]
        if changed:
            shapes = ", ".join(str(tuple(leaf.shape)) for leaf in changed[:3])
            raise ClockError(
                f"{len(changed)} parameters (shapes {shapes}{', ...' if len(changed) > 3 else ''}) were changed while "
                f"{self.words()}: the mean would mix gradients of different models. {WAY_OUT}"
            )

    def words(self) -> str:
        """Number of waiting micro-batches in words, for messages."""
        verb = "waits for its" if self.done == 1 else "wait for their"
        return f"{self.done} of {self.steps} micro-batches {verb} balance"

    def leads_to(self, parameters: Collection[int]) -> bool:
        """Whether waiting micro-batches have a gradient for one of the parameters, given by identity."""
        known = self._leaves.keys() | {id(leaf) for leaf in leaves_behind([loss for _, loss, _ in self._held])}
        return bool(self.done) and not known.isdisjoint(parameters)

    def with_batch(self, now: Context, found: list[Gradients], hold: bool) -> "Accumulation":
        """The accumulation with one more micro-batch.

        Args:
            now: The micro-batch, as a step of its own.
            found: List with their gradients, emptied so that memory is freed while they are summed; empty for a loss
                method.
            hold: Whether the losses' graphs are needed at the end.
        """
        step = now.step
        assert step.losses is not None
        present = step.tasks.present
        held = [(present[row], loss, share) for row, loss, share in now.held]
        more = replace(
            self,
            done=self.done + 1,
            preference=step.preference,
            dtype=now.losses[0].dtype if now.losses else self.dtype,
            _losses=self._losses
            | {task: self._losses.get(task, 0.0) + step.losses[i] for i, task in enumerate(present)},
            _counts=self._counts | {task: self._counts.get(task, 0) + 1 for task in present},
            _held=(*self._held, *(held if hold else ())),
        )
        if found:
            source = found.pop()
            shares = [1.0 if source.merged else share for *_, share in held]  # pieces have their shares already
            return more._with_gradients([task for task, _, _ in held], shares, source)
        if self._leaves:
            return more
        return more._watching({id(leaf): leaf for leaf in now.tools.shards.leaves(leaves_behind(now.losses))})

    def _watching(self, leaves: dict[int, Tensor]) -> "Accumulation":
        new = {key: leaf._version for key, leaf in leaves.items() if key not in self._leaves}
        return replace(self, _leaves=self._leaves | leaves, _versions=self._versions | new)

    def _with_gradients(self, present: Sequence[int], shares: Sequence[float], source: Gradients) -> "Accumulation":
        part = source.parts[0] if source.parts else None
        unscale = {task: 2.0**-source.power * share for task, share in zip(present, shares, strict=True)}
        sketches, blocks, leaves = dict(self._sketches), [], dict[int, Tensor]()
        if isinstance(part, SketchRows):
            for row, task in enumerate(present):
                sketches[task] = sketches.get(task, 0.0) + part.values[row] * unscale[task]
            leaves |= {id(leaf): leaf for leaf in part.parameters}
        else:
            rows = source.shared.rows
            blocks = [
                (leaf, task, rows[row][number])
                for number, leaf in enumerate(source.shared.parameters)
                for row, task in enumerate(present)
            ]
            del rows
        blocks += [(leaf, present[row], block) for leaf, found_rows in source.own for row, block in found_rows]
        plan = source.plan if source.count or self._plan is None else self._plan
        merged = source.merged or self._merged
        del source, part
        blocks.reverse()
        sums: dict[tuple[int, int], Tensor] = {}
        while blocks:  # each gradient is freed once added: no more memory than old and new sums
            leaf, task, block = blocks.pop()
            if block is not None:
                leaves[id(leaf)] = leaf
                sums[id(leaf), task] = _add(self._sums.get((id(leaf), task)), block, unscale[task])
            del block
        return replace(self, _sums=self._sums | sums, _sketches=sketches, _plan=plan, _merged=merged)._watching(leaves)

    def _bytes(self) -> int:
        """Bytes of the sums."""
        held = [*self._sums.values(), *self._sketches.values()]
        return sum(total.numel() * total.element_size() for total in held)

    def tasks(self, names: tuple[str, ...]) -> Tasks:
        """The tasks that were present in some micro-batch."""
        return Tasks(names, tuple(sorted(self._counts)))

    def losses(self) -> Tensor:
        """(k,) mean losses of those tasks, float64."""
        return torch.stack([self._losses[task] / self._counts[task] for task in sorted(self._counts)])

    def held(self) -> Held:
        """The rows and losses with their graphs, each with its share of its task's mean."""
        place = {task: row for row, task in enumerate(sorted(self._counts))}
        return [(place[task], loss, share / self._counts[task]) for task, loss, share in self._held]

    def gradients(self, tools: Tools, sketch: Sketch | None) -> Gradients | None:
        """Mean gradients, or mean sketches; None for a loss method."""
        ownership = tools.ownership
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
            parts = [Jacobian([leaf for _, leaf in shared], rows)] if shared else []
            return Gradients(parts, own, plan, len(tasks), merged=self._merged)
        assert sketch is not None
        nothing = torch.zeros_like(next(iter(self._sketches.values())))  # over ranks, of a task that others have
        sketches = torch.stack([self._sketches.get(task, nothing) / self._counts[task] for task in tasks])
        for key, leaf in shared:  # parameters of one task in an early micro-batch that became shared in a later one
            name = ownership.name(leaf)
            for row, task in enumerate(tasks):
                if task in means[key]:
                    folded = sketch.signs(tools.kept).folded(means[key][task], name, leaf, sketch.s)
                    sketches[row] += folded.to(sketches.device)
        rows_of = SketchRows(sketches, [leaf for _, leaf in shared])
        return Gradients([rows_of], own, plan, len(tasks), mixed=False, reached=list(self._leaves.values()))


def _add(total: Tensor | None, block: Tensor, unscale: float) -> Tensor:
    wide = block.to(torch.promote_types(block.dtype, torch.float32)) * unscale
    return wide if total is None else total + wide


def take_in(now: Context, waiting: Accumulation) -> Accumulation:
    """Adds a micro-batch.

    Args:
        now: The micro-batch, as a step of its own.
        waiting: The earlier micro-batches of the window.

    Returns:
        All micro-batches of the window.

    Raises:
        NonFiniteError: With ``nonfinite="raise"``, for this micro-batch; earlier ones still wait.
        ClockError: Parameters were changed since the first micro-batch.
    """
    waiting.refuse_changed()
    looks, settings = isinstance(now.method, LossMethod), now.settings
    hold = looks or settings.mode == "recompute" or settings.gradients.accumulates == "sketches"
    strict = settings.nonfinite == "raise"
    if strict:
        refuse_nonfinite_losses(now.step, settings)
    found = []
    if not looks:
        found.append(_gradients(now, strict))
    return waiting.with_batch(now, found, hold)


def _gradients(now: Context, strict: bool) -> Gradients:
    """This rank's gradients of a micro-batch; they are merged over ranks once a window."""
    joint = now.joint
    if joint is None:
        return _checked(now, strict)
    with joint.telling(now.tools.ownership):
        found = _checked(now, strict)
    joint.roster.agree([], [], now.tools.ownership)
    return found


def _checked(now: Context, strict: bool) -> Gradients:
    found = gradients_here(now, now.losses, jacobian=True)
    if strict and now.losses:
        finite_only(replace(now, joint=None, step=replace(now.step, tasks=now.here)), found)
    return found


def balance_waiting(now: Context, waiting: Accumulation) -> Balanced:
    """Balances the waiting micro-batches, whatever their number.

    Args:
        now: Inputs of the step: all tasks present in some micro-batch, with their mean losses and no graph.
        waiting: The accumulation, with at least one micro-batch.

    Returns:
        The outcome, with the gradients to inject.
    """
    mode = now.settings.gradients
    mean = waiting.gradients(now.tools, mode if isinstance(mode, Sketch) else None)
    if mean is not None and (now.joint is not None or mean.merged):
        mean = merged_over_ranks(mean, 0, now)
    return run_step(replace(now, accumulated=waiting.held()), mean)
