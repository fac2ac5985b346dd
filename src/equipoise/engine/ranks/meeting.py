"""The first collective of every step: ranks agree on what they are about to do, and merge the losses."""

import json
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ...errors import EquipoiseError, InputError, SettingError, TaskError, listed
from .wire import Wire

__all__ = ["Batch", "Meeting", "Merged", "Told"]

_HEAD = 4
_COLUMNS = 6  # per task: present, not read, rows, rows squared, rows times loss, loss


@dataclass(frozen=True, eq=False)
class Batch:
    """A rank's losses of one batch.

    Attributes:
        present: Numbers of the tasks that this rank has.
        losses: (number of these,) losses, float64.
        rows: Number of rows behind each loss; None where it is not known.
    """

    present: Sequence[int]
    losses: Tensor
    rows: Sequence[float | None]


@dataclass(frozen=True)
class Merged:
    """The losses of all ranks, as if their batches were one.

    Attributes:
        present: Numbers of the tasks that some rank has.
        losses: Loss of each: the mean over the ranks that have the task, weighted by their rows.
        shares: Shares of this rank, R times its share of each task's rows: 1 for equal batches, as a framework
            that averages gradients over R ranks expects.
        alike: Names of tasks whose rows could not be read: each rank counts as much as any other.
        fresh: Whether some rank asked for gradients although weights could be reused.
        everywhere: Whether every rank has all of them.
    """

    present: tuple[int, ...]
    losses: tuple[float, ...]
    shares: tuple[float, ...]
    alike: tuple[str, ...] = ()
    fresh: bool = False
    everywhere: bool = True


class Meeting:
    """Where the ranks of one Balancer meet. Every method below is called by all ranks, or by none.

    A rank that cannot take part calls `fail` in place of the method that the others call.

    Attributes:
        wire: Collectives of the group.
        names: Names of all tasks; empty until `greet`.
    """

    def __init__(self, wire: Wire) -> None:
        self.wire = wire
        self.names: tuple[str, ...] = ()

    def greet(self, names: tuple[str, ...], about: Mapping[str, object]) -> None:
        """First step: compares the tasks, the method, settings and versions of all ranks.

        Raises:
            SettingError: They differ; every difference is named.
            EquipoiseError: Another rank could not begin.
        """
        everyone = self.wire.objects((None, {"tasks": list(names), **about}))
        self._refuse_failed([error for error, _ in everyone])
        _refuse_differences([seen for _, seen in everyone])
        self.names = names

    def meet(
        self, batch: Batch, note: Mapping[str, object], *, fresh: bool = False, idle: bool = False
    ) -> Merged | None:
        """Merges the losses of a step.

        Args:
            batch: Losses of this rank.
            note: Description of the call, which must be the same on all ranks.
            fresh: Whether this rank needs gradients.
            idle: Whether the call brings no losses; nothing is returned then.

        Raises:
            SettingError: The notes differ; every difference is named.
            TaskError: No rank has any task.
            InputError: Batches differ in size, and rows of some task are not known.
            EquipoiseError: Another rank could not take part.
        """
        code = float(zlib.crc32(json.dumps(note, sort_keys=True, default=repr).encode()) & 0xFFFFF)
        head, sums = self._summed([0.0, code, code * code, float(fresh)], batch)
        if head[0]:
            self._refuse_failed(self.wire.objects(None))
        if head[2] * self.wire.size != head[1] ** 2:  # the variance of whole numbers below 2^20 is exact
            _refuse_differences(self.wire.objects(dict(note)))
        return None if idle else self._merged(batch, sums, fresh=head[3] > 0)

    def merge(self, batch: Batch) -> Merged:
        """Merges the losses of a second or third batch of a step that has met already."""
        return self._merged(batch, self._summed([0.0] * _HEAD, batch)[1], fresh=False)

    def fail(self, error: BaseException) -> None:
        """Tells the other ranks, which wait in `greet` or `meet`, that this one cannot take part."""
        words = f"{type(error).__name__}: {error}"
        if not self.names:
            self.wire.objects((words, {}))
            return
        self._summed([1.0, 0.0, 0.0, 0.0], Batch((), torch.zeros(0, dtype=torch.float64), ()))
        self.wire.objects(words)

    def refuse_failed(self, error: BaseException | None) -> None:
        """Raises on the ranks where nothing failed, for an agreement that has shown a failure; see `Roster`."""
        failed = self.wire.objects(None if error is None else f"{type(error).__name__}: {error}")
        if error is None:
            self._refuse_failed(failed)

    def _refuse_failed(self, errors: Sequence[str | None]) -> None:
        shown = [f"rank {rank}: {error}" for rank, error in enumerate(errors) if error]
        if shown:
            raise EquipoiseError(f"all ranks must take this step together, and one could not; {'; '.join(shown)}")

    def _summed(self, head: list[float], batch: Batch) -> tuple[list[float], list[list[float]]]:
        device = self.wire.place(batch.losses.device)
        table = torch.zeros(len(self.names), _COLUMNS, dtype=torch.float64, device=device)
        if batch.present:
            rows = torch.tensor([rows or 0.0 for rows in batch.rows], dtype=torch.float64, device=device)
            unread = torch.tensor([rows is None for rows in batch.rows], dtype=torch.float64, device=device)
            losses = batch.losses.to(device)
            columns = [torch.ones_like(rows), unread, rows, rows * rows, rows * losses, losses]
            table[list(batch.present)] = torch.stack(columns, dim=1)
        whole = torch.cat([torch.tensor(head, dtype=torch.float64, device=device), table.reshape(-1)])
        numbers = self.wire.sum(whole).tolist()
        body = numbers[_HEAD:]
        return numbers[:_HEAD], [body[start : start + _COLUMNS] for start in range(0, len(body), _COLUMNS)]

    def _merged(self, batch: Batch, sums: list[list[float]], *, fresh: bool) -> Merged:
        present = tuple(task for task, (count, *_) in enumerate(sums) if count)
        if not present:
            raise TaskError("every task is absent from this step on all ranks; skip the step instead.")
        alike = [self.names[task] for task in present if sums[task][1] and sums[task][0] > 1]
        uneven = [
            self.names[task]
            for task in present
            if not sums[task][1] and sums[task][0] * sums[task][3] > sums[task][2] ** 2 * (1 + 1e-9)
        ]
        if alike and uneven:
            raise InputError(
                f"ranks have different numbers of rows (seen for {listed(uneven)}), and how many rows a loss of "
                f"{listed(alike)} stands for cannot be read from it. Pass them: balancer(losses, rows=len(batch)), or "
                "rows={task: number}."
            )
        losses = [sums[task][5] / sums[task][0] if sums[task][1] else sums[task][4] / sums[task][2] for task in present]
        shares = [
            self.wire.size * (1 / sums[task][0] if sums[task][1] else (rows or 0.0) / sums[task][2])
            for task, rows in zip(batch.present, batch.rows, strict=True)
        ]
        everywhere = all(sums[task][0] == self.wire.size for task in present)
        return Merged(present, tuple(losses), tuple(shares), tuple(alike), fresh, everywhere)


class Told:
    """Context that tells the other ranks of an error, so that none waits for this one.

    Args:
        tell: Function that joins the collective in which the others wait.
    """

    def __init__(self, tell: Callable[[Exception], object]) -> None:
        self._tell = tell

    def __enter__(self) -> None:
        """Nothing is sent while all goes well."""

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, Exception):  # an interrupted process does not wait for others
            self._tell(error)


def _refuse_differences(everyone: Sequence[Mapping[str, object]]) -> None:
    """Raises `SettingError` that names each entry in which ranks differ, with the ranks of each value."""
    keys = sorted({key for seen in everyone for key in seen})
    wrong = []
    for key in keys:
        values: dict[str, list[int]] = {}
        for rank, seen in enumerate(everyone):
            values.setdefault(repr(seen.get(key)), []).append(rank)
        if len(values) > 1:
            shown = " and ".join(f"{value} on rank {', '.join(map(str, at))}" for value, at in values.items())
            wrong.append(f"{key} ({shown})")
    if wrong:
        raise SettingError(f"all ranks must do the same; they differ in {'; '.join(wrong)}. Nothing was changed.")
