"""Collectives of one process group, counted, with failures put into words."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, distributed

from ...errors import EquipoiseError

__all__ = ["Wire"]

_BUNDLE = 1 << 20  # numbers that are sent together


class Wire:
    """The collectives of one group of ranks.

    Attributes:
        group: Process group of the data ranks.
        size: Number of ranks R.
        rank: Number of this rank within the group.
        sent: Numbers that this rank has sent so far, as ring algorithms count them: (R-1)/R times the length of what is
            scattered or gathered, twice that for a sum that all ranks receive.
    """

    def __init__(self, group: "distributed.ProcessGroup") -> None:
        self.group = group
        self.size = distributed.get_world_size(group)
        self.rank = distributed.get_rank(group)
        self.sent = 0.0
        self._on_host = "cpu" in distributed.get_backend_config(group)

    def place(self, device: torch.device) -> torch.device:
        """Device of small tensors for a collective: the CPU where the group can send from it, else an accelerator."""
        if self._on_host:
            return torch.device("cpu")
        if device.type != "cpu":
            return device
        kind = distributed.get_backend_config(self.group).partition(":")[0]
        return torch.device(kind, torch.get_device_module(kind).current_device())

    def sum(self, values: Tensor) -> Tensor:
        """The sum over ranks, in place, equal on all ranks to the bit."""
        return self._reduced(values, distributed.ReduceOp.SUM)

    def largest(self, values: Tensor) -> Tensor:
        """The largest over ranks, in place."""
        return self._reduced(values, distributed.ReduceOp.MAX)

    def _reduced(self, values: Tensor, how: Any) -> Tensor:
        with self._answered():
            distributed.all_reduce(values, op=how, group=self.group)
        self.sent += 2 * values.numel() * (self.size - 1) / self.size
        return values

    def scattered_sum(self, rows: Tensor) -> Tensor:
        """This rank's columns of the sum over ranks of (k, n) rows; n is a multiple of R.

        Rows are sent in bundles: while one is under way, the next is packed.
        """
        k, width = len(rows), rows.shape[1] // self.size
        found = rows.new_empty(k, width)
        step = max(1, _BUNDLE // max(rows.shape[1], 1))
        waiting: list[tuple[Any, Tensor]] = []
        with self._answered():
            for start in range(0, k, step):
                packed = rows[start : start + step].view(-1, self.size, width).transpose(0, 1).reshape(-1)
                out = found[start : start + step].view(-1)
                if hasattr(distributed, "reduce_scatter_single"):  # the newer name
                    work = distributed.reduce_scatter_single(out, packed, group=self.group, async_op=True)
                else:
                    work = distributed.reduce_scatter_tensor(out, packed, group=self.group, async_op=True)
                waiting.append((work, packed))
            for work, _ in waiting:
                work.wait()
        self.sent += rows.numel() * (self.size - 1) / self.size
        return found

    def gathered(self, piece: Tensor) -> Tensor:
        """The pieces (m,) of all ranks side by side, (R m,)."""
        whole = piece.new_empty(self.size * piece.numel())
        with self._answered():
            if hasattr(distributed, "all_gather_single"):
                distributed.all_gather_single(whole, piece, group=self.group)
            else:
                distributed.all_gather_into_tensor(whole, piece, group=self.group)
        self.sent += whole.numel() * (self.size - 1) / self.size
        return whole

    def objects(self, mine: Any) -> list[Any]:
        """Plain data of every rank, by rank. Slow; for first steps and for messages. Not counted."""
        found: list[Any] = [None] * self.size
        with self._answered():
            distributed.all_gather_object(found, mine, group=self.group)
        return found

    @contextmanager
    def _answered(self) -> Iterator[None]:
        """Turns a failed collective into a sentence. How long ranks wait is the group's own timeout."""
        try:
            yield
        except RuntimeError as error:
            raise EquipoiseError(
                f"rank {self.rank} of {self.size} got no answer from the others: a rank has stopped, raised an error "
                "outside of the Balancer, or did not call it as often as this one. Read the other ranks' errors first; "
                "init_process_group(timeout=...) sets how long ranks wait. PyTorch says: "
                f"{str(error).splitlines()[0]}"
            ) from error
