"""The second collective of a step with gradients: which task reaches what, and whether all passes went well."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ...errors import InputError, StateError, listed
from ..graph.ownership import Ownership
from ..reals import real_count
from .meeting import Meeting
from .reducer import Reducer

__all__ = ["Agreed", "Known", "Roster"]

_HERE, _REACHED = 1, 2  # a gradient came back in this step; it is known not to be exactly zero


@dataclass(frozen=True)
class Known:
    """A parameter that all ranks know by name.

    Attributes:
        numbers: Count of real numbers.
        dtype: Type of its entries, which are real.
    """

    numbers: int
    dtype: torch.dtype


@dataclass(frozen=True)
class Agreed:
    """Facts about a step on which all ranks agree.

    Attributes:
        pairs: Name of each parameter with a gradient on some rank -> the tasks, in the order of the roster.
        columns: Names of those that are rows of the Jacobian.
        bad: Numbers of the tasks with NaN or inf in a gradient of their own on some rank.
        power: Smallest exponent of two that a rank used for its passes.
    """

    pairs: dict[str, tuple[int, ...]]
    columns: tuple[str, ...]
    bad: tuple[int, ...]
    power: int


@dataclass(eq=False)
class Roster:
    """The parameters that all ranks know, in one order.

    Attributes:
        meeting: Meeting of the same ranks.
        reducer: Knowledge of DistributedDataParallel around the parameters.
        known: Parameter name -> its size.
        counted: Numbers sent before the step that is under way.
        turns: Number of steps that the ranks have begun together.
        shares: Task -> share of this rank in the last step.
        whole: Whether this rank has had every task in each micro-batch of the step that is under way.
    """

    meeting: Meeting
    reducer: Reducer
    known: dict[str, Known] = field(default_factory=dict)
    counted: float = 0.0
    turns: int = 0
    shares: dict[int, float] = field(default_factory=dict)
    whole: bool = True
    _version: int = -1

    def agree(
        self,
        here: Sequence[tuple[Tensor, Sequence[int]]],
        columns: Sequence[Tensor] | None,
        ownership: Ownership,
        *,
        complete: bool = True,
        bad: Collection[int] = (),
        power: int = 0,
        error: BaseException | None = None,
    ) -> Agreed:
        """What all ranks together know after the passes; `ownership` learns it.

        Args:
            here: Parameters with the numbers of the tasks that have a gradient there, on this rank.
            columns: Parameters whose gradients are the rows of the Jacobian; None for all that are shared.
            ownership: Record of which parameters are shared.
            complete: Whether this rank has every task.
            bad: Tasks with NaN or inf in a gradient of their own.
            power: Exponent of two that multiplied the losses.
            error: What failed on this rank, if anything. The other ranks then raise.

        Raises:
            EquipoiseError: The passes failed on another rank.
            InputError: Parameters are known by order alone, and ranks do not show the same ones.
        """
        wire, k = self.meeting.wire, len(self.meeting.names)
        named = {ownership.name(leaf): (leaf, tasks) for leaf, tasks in here if ownership.is_parameter(leaf)}
        while True:
            new = [name for name in named if name not in self.known]
            place = {name: number for number, name in enumerate(self.known)}
            table = torch.zeros(len(place), k + 1, dtype=torch.uint8)
            if ownership.version != self._version:
                for name, tasks in ownership.reached.items():
                    if name in place and tasks:
                        table[place[name], tasks] = _REACHED
            chosen = [named[name][0] for name in named] if columns is None else columns
            for leaf in chosen:
                if columns is not None or ownership.is_shared(leaf):
                    name = ownership.name(leaf)
                    if name in place:
                        table[place[name], k] = 1
            rows = [(place[name], task) for name, (_, tasks) in named.items() if name in place for task in tasks]
            if rows:
                index = torch.tensor(rows).T
                table[index[0], index[1]] |= _HERE
            head = torch.zeros(3 + k, dtype=torch.uint8)
            head[0], head[1], head[2] = error is not None, bool(new), 32 - power
            head[[3 + task for task in bad]] = 1
            device = wire.place(here[0][0].device if here else torch.device("cpu"))
            both = [head, (table & _HERE).view(-1), (table & _REACHED).view(-1)]
            found, here_any, reached_any = (
                wire.largest(torch.cat(both).to(device)).cpu().split_with_sizes([len(part) for part in both])
            )
            if found[0]:
                self.meeting.refuse_failed(error)  # on the ranks where nothing failed
            elif found[1]:
                self._introduce(named, ownership, complete)
                continue
            shown, reached = here_any.view(-1, k + 1).bool(), reached_any.view(-1, k + 1).bool()
            return self._read(found, shown, reached, ownership, every=columns is None)

    def _introduce(self, named: dict[str, tuple[Tensor, Sequence[int]]], ownership: Ownership, complete: bool) -> None:
        """Adds parameters that some rank meets for the first time, in the order of ranks."""
        self.reducer.search([leaf for name, (leaf, _) in named.items() if name not in self.known])
        mine = {
            name: (real_count(leaf), str(leaf.dtype), self.reducer.covers(leaf))
            for name, (leaf, _) in named.items()
            if name not in self.known
        }
        everyone = self.meeting.wire.objects((mine, ownership.has_model, complete))
        by_order = [rank for rank, (_, has_model, _) in enumerate(everyone) if not has_model]
        names = {name: entry for entries, _, _ in everyone for name, entry in entries.items()}
        if by_order and not (
            all(whole for _, _, whole in everyone) and all(list(e) == list(everyone[0][0]) for e, _, _ in everyone)
        ):
            raise InputError(
                "ranks meet parameters in different orders, because a task is absent on some of them or their models "
                "differ, and without `model=` parameters are told apart by order alone. Build it with "
                "eq.Balancer(method, model=model)."
            )
        wrong = []
        for name in names:
            sizes = {entries[name][:2] for entries, _, _ in everyone if name in entries}
            if len(sizes) > 1:
                wrong.append(f"{name}: {' or '.join(f'{count} numbers, {kind}' for count, kind in sorted(sizes))}")
        if wrong:
            raise StateError(f"the ranks' models must be equal; these parameters differ: {'; '.join(wrong)}.")
        for name, (count, kind, _) in names.items():
            self.known[name] = Known(count, _real(getattr(torch, kind.removeprefix("torch."))))
        self._version = -1  # the new names' tasks are told by all ranks
        self.reducer.note(all(covered for *_, covered in names.values()))

    def _read(self, head: Tensor, shown: Tensor, reached: Tensor, ownership: Ownership, *, every: bool) -> Agreed:
        names, k = list(self.known), shown.shape[1] - 1
        for number in torch.nonzero(reached.any(dim=1)).ravel().tolist():
            ownership.learn(names[number], torch.nonzero(reached[number]).ravel().tolist())
        self._version = ownership.version
        tasks = shown[:, :k]
        pairs = {
            names[number]: tuple(torch.nonzero(tasks[number]).ravel().tolist())
            for number in torch.nonzero(tasks.any(dim=1)).ravel().tolist()
        }
        flagged = {names[number] for number in torch.nonzero(shown[:, k]).ravel().tolist()}
        columns = tuple(name for name in pairs if name in flagged or (every and ownership.knows_shared(name)))
        return Agreed(pairs, columns, tuple(torch.nonzero(head[3:]).ravel().tolist()), 32 - int(head[2]))

    def leaves(self, names: Sequence[str], ownership: Ownership) -> list[Tensor]:
        """The parameters of some names on this rank.

        Raises:
            InputError: This rank has never met one of them.
        """
        living = ownership.named()
        lost = [name for name in names if name not in living]
        if lost:
            raise InputError(
                f"other ranks have gradients for {listed(lost[:5])}, which this rank has never met. Build it with "
                "eq.Balancer(method, model=model)."
            )
        return [living[name] for name in names]


def _real(dtype: torch.dtype) -> torch.dtype:
    """The type in which gradients of a parameter are summed over ranks: real, float32 at least."""
    return torch.promote_types(dtype.to_real() if dtype.is_complex else dtype, torch.float32)
