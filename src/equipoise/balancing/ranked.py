"""A Balancer among several ranks: finding them, meeting them in each step, and comparing replicas."""

import math
import os
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

import torch
from torch import Tensor, distributed

from .._version import __version__
from ..core.losses import Losses, numbers_of
from ..core.tasks import Preference
from ..engine.blocks.task_gradients import Handout
from ..engine.graph.autograd_graph import leaves_behind
from ..engine.ranks.joint import Joint
from ..engine.ranks.meeting import Batch, Meeting, Merged
from ..engine.ranks.reducer import Reducer
from ..engine.ranks.replicas import merged_state, refuse_different
from ..engine.ranks.roster import Roster
from ..engine.ranks.rows import rows_behind
from ..engine.ranks.wire import Wire
from ..engine.step.context import Balanced, Context
from ..engine.step.gradients import refuse_shards
from ..errors import LossError, NonFiniteError, SettingError, listed
from ..methods.base import JacobianMethod, Step
from .memory import Memory

if TYPE_CHECKING:
    from ..engine.step.accumulation import Accumulation

__all__ = ["Given", "Group", "Ranked", "Rows", "Turn"]

_FIRST = 2  # steps in which replicas are always compared: the start, and whether gradients were averaged

Group: TypeAlias = "distributed.ProcessGroup | Literal['none'] | None"
"""Ranks whose batches make a step: a process group, None for all of them, or "none" for each rank by itself."""

Rows = float | Mapping[str, float] | None
"""Numbers of rows behind the losses: one for all tasks, or by task name; None to read them from the losses."""


class Given(NamedTuple):
    """Arguments of one call; see `Balancer.forward`."""

    losses: Losses | None
    features: object
    preference: Preference | None
    retain_graph: bool
    second: Losses | None
    third: Losses | None
    flush: bool
    rows: Rows


class Ranked(Memory):
    """The part of a Balancer that knows other ranks."""

    process_group: Group
    check_replicas: int
    _roster: Roster | None

    def over_ranks(self) -> "Turn | None":
        """This rank's turn in a step of training; None where the step is not shared with others."""
        if self.process_group == "none":
            return None
        if not distributed.is_initialized():
            if self.process_group is not None or _launched():
                raise SettingError(
                    f"this is one of {os.environ.get('WORLD_SIZE', 'several')} ranks, and there is no process group to "
                    "merge their gradients: call torch.distributed.init_process_group() first, or build it with "
                    "eq.Balancer(..., process_group='none') where every rank trains a model of its own."
                )
            return None
        if self._roster is None:
            group = self.process_group or distributed.group.WORLD
            if group is None or distributed.get_world_size(group) < 2 or distributed.get_rank(group) < 0:
                return None
            self._roster = Roster(Meeting(Wire(group)), Reducer())
        return Turn(self, self._roster)

    def note(self, given: Given) -> dict[str, object]:
        """What a call does, which must be the same on all ranks."""
        waiting = self.accumulation
        return {
            "number of steps so far": self.steps,
            "micro-batches that wait": 0 if waiting is None else waiting.done,
            "micro-batches a window": 1 if waiting is None else waiting.steps,
            "flush": given.flush,
            "preference": repr(given.preference),
            "losses given": given.losses is not None,
            "features given": given.features is not None,
            "second and third batch given": (given.second is not None, given.third is not None),
            "retain_graph": given.retain_graph,
            "state, which moves with epochs": self._state_code() if self.method.per_epoch else 0,
        }

    def _state_code(self) -> int:
        return zlib.crc32(repr([(name, tensor.tolist()) for name, tensor in sorted(self.state.items())]).encode())

    def seen_by_all(self, present: Sequence[int], numbers: Tensor) -> tuple[Sequence[int], Tensor]:
        """Tasks and losses of all ranks, for losses that were computed once more on the rows of the last step.

        Args:
            present: Numbers of the tasks that this rank has.
            numbers: (number of these,) losses, float64.
        """
        turn = self.over_ranks() if self._roster is not None else None
        return (present, numbers) if turn is None else turn.seen(present, numbers)

    def merge_state(self) -> None:
        """Makes the method's state the same on all ranks, for ranks that have trained apart (``process_group="none"``).

        Each tensor merges by the rule that the method declares: its mean, sum, smallest or largest. Ranks that train
        together never need this. Every rank of the default group calls it.

        Raises:
            SettingError: There is no process group.
            StateError: Counters or random states differ, which cannot be merged.
        """
        if not distributed.is_initialized():
            raise SettingError("`merge_state` needs torch.distributed.init_process_group().")
        group = distributed.group.WORLD if self.process_group in (None, "none") else self.process_group
        assert isinstance(group, distributed.ProcessGroup)
        vars(self)["state"] = merged_state(self.method, self.state, Wire(group))


class Turn:
    """One rank's part in a step of several; a context that tells the others if it fails before it has met them."""

    def __init__(self, owner: Ranked, roster: Roster) -> None:
        self._owner, self._roster, self._met = owner, roster, False
        self._seen, self._losses = "", list[Tensor]()
        self.values = list[Tensor]()
        self.joint: Joint | None = None

    def __enter__(self) -> "Turn":
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, Exception) and not self._met:
            self._met = True
            self._roster.meeting.fail(error)
        elif isinstance(error, NonFiniteError):
            wire = self._roster.meeting.wire
            error.add_note(f"These are the numbers of all {wire.size} ranks; rank {wire.rank} has {self._seen}.")

    def fresh(self, now: Context) -> bool:
        """Whether this rank needs gradients where weights could be reused (`Every`)."""
        mode, reused = now.settings.gradients, now.carried.reused
        if not mode.remembers or reused is None or not now.losses:
            return False
        tasks = replace(now.step.tasks, present=reused.present)  # which tasks all ranks have is not known yet
        return mode.recall(now.losses, tasks, now.tools.ownership, reused) is None

    def joined(self, now: Context, rows: Rows, note: Mapping[str, object]) -> Context:
        """The step with the tasks and losses of all ranks.

        Args:
            now: The step as this rank alone sees it.
            rows: Rows behind its losses, if the user gave them.
            note: Description of the call.
        """
        owner, meeting = self._owner, self._roster.meeting
        names, present = now.step.tasks.names, list(now.step.tasks.present) if now.losses else []
        batch = _batch(names, present, now.losses, rows)
        pairs = zip(batch.present, batch.losses.tolist(), strict=True)
        self._seen = ", ".join(f"'{names[task]}': {value:.6g}" for task, value in pairs)
        more = [_batch(names, present, losses, rows) for losses in (now.second, now.third) if losses is not None]
        if more and any(len(one.present) < len(present) for one in (batch, *more)):
            raise LossError("a loss is the mean of no rows; with `second` every loss needs at least one row.")
        fresh = self._ready(now, names)
        self._met = True
        found = meeting.meet(batch, note, fresh=fresh)
        assert found is not None
        if not found.everywhere and now.method.needs != "losses" and now.tools.shards.in_use():
            raise LossError(
                "under FSDP2 every rank takes part in the backward of every task, and a task is absent on some ranks "
                "only. Draw batches so that each rank has rows of the same tasks, or use DistributedDataParallel."
            )
        self._roster.shares = dict(zip(batch.present, found.shares, strict=True))
        kept = [present.index(task) for task in batch.present]
        shares = (found.shares, *(meeting.merge(other).shares for other in more))
        numbers = torch.tensor(found.losses, dtype=torch.float64, device=owner.device_of(now.losses))
        self._losses = [now.losses[number] for number in kept]
        dtype = now.losses[0].dtype if now.losses else torch.get_default_dtype()
        self.values, self.joint = list(numbers.to(dtype).unbind()), self._joint(now, found, batch.present, shares)
        now = replace(
            now,
            losses=self._losses,
            step=Step(replace(now.step.tasks, present=found.present), numbers, now.step.preference),
            stack=None,
            joint=self.joint,
        )
        whole = len(batch.present) == len(names)
        if owner.accumulation is None or not owner.accumulation.done:
            self._compare()
            self._roster.whole = whole
        self._roster.whole = self._roster.whole and whole
        return now

    def seen(self, present: Sequence[int], numbers: Tensor) -> tuple[Sequence[int], Tensor]:
        """The merged losses of a second look at the rows of the last step; see `Ranked.seen_by_all`."""
        shares = self._roster.shares
        kept = [number for number, task in enumerate(present) if shares.get(task)]
        batch = Batch([present[n] for n in kept], numbers[kept], [shares[present[n]] for n in kept])
        found = self._roster.meeting.meet(batch, {"call": "observe"})
        assert found is not None
        return found.present, torch.tensor(found.losses, dtype=torch.float64, device=numbers.device)

    def window(self, waiting: "Accumulation", now: Context, note: Mapping[str, object] | None) -> Context:
        """The step of a window: its gradients and losses have their shares already.

        Args:
            waiting: Micro-batches of the window.
            now: The step that they make.
            note: Description of the call; None where the ranks have met in its last micro-batch.
        """
        if note is not None:
            self._met = True
            empty = Batch((), torch.zeros(0, dtype=torch.float64), ())
            self._roster.meeting.meet(empty, note, idle=True)
        tasks = now.step.tasks.present
        found = Merged(tasks, (), (1.0,) * len(tasks))
        self.joint = replace(self._joint(now, found, tasks, (found.shares,)), complete=self._roster.whole)
        return replace(now, joint=self.joint)

    def handed_out(self, balanced: Balanced, handout: Handout) -> tuple[Balanced, Handout]:
        """The outcome with what was sent for it, and the gradients to hand out.

        DDP waits for every parameter: those that only other ranks use get zeros here.
        """
        joint, roster = self.joint, self._roster
        assert joint is not None
        if not joint.complete:
            handout = joint.reducer.completed(handout, self._losses)
        wire, plan = roster.meeting.wire, balanced.plan
        how = plan.merged or "losses averaged by rows; the reduction of gradients is left to backward"
        how += f"; rows of {listed(joint.alike)} not read, so ranks count alike" if joint.alike else ""
        plan = replace(plan, ranks=wire.size, merged=how, sent=round(wire.sent - roster.counted))
        roster.counted = wire.sent
        return balanced._replace(plan=plan), handout

    def _ready(self, now: Context, names: tuple[str, ...]) -> bool:
        """Everything that can fail on one rank alone, before the ranks meet; returns `fresh`."""
        owner, roster = self._owner, self._roster
        passes = now.method.needs != "losses"
        if not roster.meeting.names:
            model = [] if now.tools.model is None else list(now.tools.model.parameters())
            roster.reducer.search([*now.tools.shards.leaves(leaves_behind(now.losses)), *model])
        roster.reducer.refuse(now.losses, roster.meeting.wire.group, passes=passes)
        if owner.settings.value == "weighted":
            raise SettingError("value='weighted' is the value of one rank's losses: use value='mean' on several ranks.")
        if passes:
            refuse_shards(now, roster.meeting.wire.size)
        if not roster.meeting.names:
            self._met = True
            settings = {name: repr(value) for name, value in vars(owner.settings).items()}
            versions = {"equipoise": __version__, "torch": torch.__version__}
            about = {"method": repr(owner.method), **settings, **versions, "check_replicas": owner.check_replicas}
            roster.meeting.greet(names, about | {"steps_per_epoch": vars(owner).get("steps_per_epoch")})
            self._met = False
        return self.fresh(now)

    def _joint(
        self, now: Context, found: Merged, present: Sequence[int], shares: tuple[tuple[float, ...], ...]
    ) -> Joint:
        settings = now.settings
        place = {task: row for row, task in enumerate(found.present)}
        device = self._owner.device_of(now.losses)
        return Joint(
            self._roster, found.present, tuple(place[task] for task in present), shares,
            "features" if now.method.needs == "features" else settings.gradients.merges, settings.gradients,
            isinstance(now.method, JacobianMethod) or settings.granularity != "model" or now.second is not None,
            len(present) == len(now.step.tasks.names), found.fresh, device, found.alike,
        )  # fmt: skip

    def _compare(self) -> None:
        """Compares the parameters of all ranks, in the first two steps and then every `check_replicas`."""
        owner, every, roster = self._owner, self._owner.check_replicas, self._roster
        roster.turns += 1
        if not every or (roster.turns > _FIRST and owner.steps % every):
            return
        tensors: dict[str, Tensor] = {}
        for number, module in enumerate(roster.reducer.modules()):
            after = f" (of DDP module {number})" if number else ""
            tensors |= {name + after: parameter for name, parameter in module.module.named_parameters()}
        tensors |= owner.ownership.named()
        ignored = roster.reducer.ignored()
        tensors = {name: parameter for name, parameter in tensors.items() if id(parameter) not in ignored}
        tensors |= {f"the method's {name}": tensor for name, tensor in owner.state.items()}
        tensors |= {f"the method's trained {name}": tensor for name, tensor in owner.trained.items()}
        sent = roster.meeting.wire.sent
        when = "before the first step" if not owner.steps else f"after {owner.steps} step{'s' * (owner.steps > 1)}"
        refuse_different(tensors, roster.meeting.wire, when)
        roster.counted += roster.meeting.wire.sent - sent


def _launched() -> bool:
    """Whether torchrun started several ranks."""
    return distributed.is_torchelastic_launched() and int(os.environ.get("WORLD_SIZE", "1")) > 1


def _batch(names: tuple[str, ...], present: Sequence[int], losses: Sequence[Tensor], rows: Rows) -> Batch:
    """A rank's losses with their rows; a mean of no rows counts as an absent task."""
    if isinstance(rows, Mapping):
        wrong = [name for name in rows if name not in names]
        missing = [names[task] for task in present if names[task] not in rows]
        if wrong or missing:
            raise LossError(
                f"`rows` must name the present tasks; missing: {listed(missing)}; unknown: {listed(wrong)}."
            )
        counts: list[float | None] = [float(rows[names[task]]) for task in present]
    elif rows is not None:
        counts = [float(rows)] * len(present)
    else:
        counts = [rows_behind(loss) for loss in losses]
    read = [(names[task], count) for task, count in zip(present, counts, strict=True) if count is not None]
    bad = [f"'{name}': {count}" for name, count in read if not 0 <= count < math.inf]
    if bad:
        raise LossError(f"`rows` must hold numbers of rows, at least 0; got {', '.join(bad)}.")
    kept = [number for number, count in enumerate(counts) if count != 0]
    numbers = numbers_of([losses[n] for n in kept]) if kept else torch.zeros(0, dtype=torch.float64)
    return Batch([present[n] for n in kept], numbers, [counts[n] for n in kept])
