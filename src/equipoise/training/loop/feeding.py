"""The order of the data: a seeded permutation an epoch, or a user's loader that is walked again and again."""

from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from ...errors import DataError, StateError
from ..problem.sources import Batch, Items, Loader, Rows, Source, Together
from ..problem.trees import mapped

__all__ = ["Feed", "make_feed", "moved", "walk"]


class Feed(Protocol):
    """Training batches, one a step.

    Attributes:
        epoch: Epochs that were complete before the batch that was handed out last.
        length: Batches an epoch; None where that is unknown.
    """

    epoch: int
    length: int | None

    def batch(self, step: int) -> Batch:
        """The batch of a step, counted from 0; steps are asked for in order."""

    def can_save(self, step: int) -> bool:
        """Whether the order can be taken up again before this step."""

    def state(self) -> Any:
        """What is needed for that: tensors and plain data."""

    def load(self, state: Any) -> None:
        """Go on from a state."""


class _Permuted:
    """Rows of one source, dealt anew in each epoch: a pure function of seed, stream and step."""

    def __init__(self, rows: int, batch_size: int | None, seed: int, stream: tuple[int, ...]) -> None:
        self.rows, self.length = rows, 1 if batch_size is None else -(-rows // batch_size)
        self._whole = batch_size is None
        self._key = (seed, *stream)
        self._epoch = -1
        self._pieces: tuple[Tensor, ...] = ()

    def index(self, step: int) -> Tensor | None:
        """Row numbers of a step; None for all rows as they lie."""
        if self._whole:
            return None
        epoch, place = divmod(step, self.length)
        if epoch != self._epoch:
            order = torch.from_numpy(np.random.default_rng([*self._key, epoch]).permutation(self.rows))
            self._epoch, self._pieces = epoch, order.tensor_split(self.length)
        return self._pieces[place]


class _Stateless:
    epoch = 0
    length: int | None

    def can_save(self, step: int) -> bool:
        del step
        return True

    def state(self) -> Any:
        return None

    def load(self, state: Any) -> None:
        del state


class _SharedFeed(_Stateless):
    """Rows that all tasks share. Batches of one epoch differ by a row at most, so none is tiny."""

    def __init__(self, source: Rows | Items, order: _Permuted, device: torch.device) -> None:
        self._source, self._order, self._device = source, order, device
        self.length = order.length
        self._on_device = isinstance(source, Rows)
        self._may_miss = source.may_miss if isinstance(source, Rows) else True

    def batch(self, step: int) -> Batch:
        self.epoch = step // self._order.length
        index = self._order.index(step)
        if self._on_device:
            return Batch(self._source.at(index if index is None else index.to(self._device)), None, self._may_miss)
        return Batch(moved(self._source.at(index), self._device), None, self._may_miss)


class _OwnFeed(_Stateless):
    """Rows of each task's own; an epoch is the longest task's, and shorter tasks are dealt again meanwhile."""

    def __init__(self, source: Together, orders: list[_Permuted], device: torch.device) -> None:
        self._source, self._orders, self._device = source, orders, device
        self._longest = max(order.length for order in orders)
        self.length = self._longest
        self._starts = np.cumsum([0, *source.sizes.values()])[:-1].tolist()

    def batch(self, step: int) -> Batch:
        self.epoch = step // self._longest
        pieces = [order.index(step) for order in self._orders]
        if pieces[0] is None:
            return Batch(self._source.rows.data, list(self._source.sizes.values()), self._source.rows.may_miss)
        shifted = [piece + start for piece, start in zip(pieces, self._starts, strict=True) if piece is not None]
        index = torch.cat(shifted).to(self._device)
        return Batch(self._source.rows.at(index), [len(piece) for piece in shifted], self._source.rows.may_miss)


class _LoaderFeed:
    """A user's loader. Its place within an epoch can be saved where it has a `state_dict` (StatefulDataLoader)."""

    def __init__(self, loader: Loader, device: torch.device) -> None:
        self.length, self.epoch = loader.length, 0
        self._loader, self._device = loader.data, device
        self._walk: Iterator[Any] | None = None
        self._given = 0  # batches of this epoch

    def batch(self, step: int) -> Batch:
        del step
        if self._walk is None:
            self._walk = iter(self._loader)
        found = next(self._walk, _END)
        if found is _END:
            if not self._given:
                raise DataError("the training loader must have at least one batch an epoch; it has none.")
            self.epoch, self._given = self.epoch + 1, 0
            self._walk = iter(self._loader)
            found = next(self._walk, _END)
            if found is _END:
                raise DataError(
                    "the training loader has no batch when it is started again. Pass one that can be iterated more "
                    "than once."
                )
        self._given += 1
        return Batch(moved(found, self._device), None, may_miss=True)

    def can_save(self, step: int) -> bool:
        del step
        return self._stateful or self._given in (0, self.length)

    @property
    def _stateful(self) -> bool:
        return hasattr(self._loader, "state_dict") and hasattr(self._loader, "load_state_dict")

    def state(self) -> Any:
        within = self._stateful and self._given not in (0, self.length)
        generators = {place: generator.get_state() for place, generator in self._generators().items()}
        return {
            "epoch": self.epoch,
            "given": self._given,
            "loader": self._loader.state_dict() if within else None,
            "generators": generators,
        }

    def load(self, state: Any) -> None:
        self.epoch, self._given = state["epoch"], state["given"]
        mine = self._generators()
        if mine.keys() != state["generators"].keys():
            raise StateError(
                f"the loader had generators at {sorted(state['generators'])}; it has them at {sorted(mine)}. Build it "
                "as it was."
            )
        if state["loader"] is not None:
            self._loader.load_state_dict(state["loader"])
            self._walk = iter(self._loader)
        elif self._given:  # saved at the end of an epoch: the next batch begins another
            self.epoch, self._given = self.epoch + 1, 0
        for place, generator in mine.items():  # last: an iterator draws from them when it is made
            generator.set_state(state["generators"][place])

    def _generators(self) -> dict[str, torch.Generator]:
        places = {"loader": self._loader, "sampler": getattr(self._loader, "sampler", None)}
        found = {name: getattr(place, "generator", None) for name, place in places.items()}
        return {name: generator for name, generator in found.items() if isinstance(generator, torch.Generator)}


_END = object()


def make_feed(source: Source, batch_size: int | None, seed: int, device: torch.device, *, stream: int = 0) -> Feed:
    """Training batches of a source.

    Args:
        source: Training data, on the device already if they lie in memory.
        batch_size: Rows a step at most (with `OwnRows` of each task); None for all. A loader has its own.
        seed: Seed of the order.
        device: Device that batches are put on.
        stream: Streams of one seed are independent of each other (a second batch a step).
    """
    if isinstance(source, Loader):
        return _LoaderFeed(source, device)
    if isinstance(source, Together):
        sizes = enumerate(source.sizes.values())
        return _OwnFeed(source, [_Permuted(n, batch_size, seed, (stream, task)) for task, n in sizes], device)
    return _SharedFeed(source, _Permuted(source.length, batch_size, seed, (stream,)), device)


def walk(source: Source, rows: int | None, device: torch.device) -> Iterator[Batch]:
    """Every row once, in order, at most about `rows` at a time, or all at once: for evaluation."""
    if isinstance(source, Loader):
        for batch in source.data:
            yield Batch(moved(batch, device), None, may_miss=True)
        return
    if isinstance(source, Together):
        total = sum(source.sizes.values())
        count = 1 if rows is None else -(-total // rows)
        starts = np.cumsum([0, *source.sizes.values()])[:-1]
        ranges = zip(starts, source.sizes.values(), strict=True)
        parts = [torch.arange(int(start), int(start) + size).tensor_split(count) for start, size in ranges]
        for number in range(count):
            mine = [part[number] for part in parts]
            data = source.rows.at(torch.cat(mine).to(device))
            yield Batch(data, [len(part) for part in mine], source.rows.may_miss)
        return
    for index in torch.arange(source.length).tensor_split(1 if rows is None else -(-source.length // rows)):
        if isinstance(source, Rows):
            yield Batch(source.at(index.to(device)), None, source.may_miss)
        else:
            yield Batch(moved(source.at(index), device), None, may_miss=True)


def moved(data: Any, device: torch.device) -> Any:
    """A batch on a device; a list, as loaders give it, as a tuple."""
    whole = mapped(data, lambda tensor: tensor.to(device, non_blocking=True))
    return tuple(whole) if isinstance(whole, list) else whole
