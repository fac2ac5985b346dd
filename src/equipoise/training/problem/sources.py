"""Where batches come from: tensors in memory, a dataset, a loader, or one of the first for each task."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, TensorDataset, default_collate

from ...errors import DataError, listed
from .trees import joined, leaves, mapped

__all__ = ["Batch", "Items", "Loader", "OwnRows", "Rows", "Source", "Together", "read_source"]


@dataclass(eq=False, slots=True)
class Batch:
    """Rows on their way through the model.

    Attributes:
        data: What a loss is given: the user's container with the rows of this batch.
        sizes: Number of rows of each task, where each has rows of its own, one task below the other; None otherwise.
        may_miss: Whether a label may be missing (NaN).
    """

    data: Any
    sizes: Sequence[int] | None = None
    may_miss: bool = True


class OwnRows:
    """One data set a task: ``OwnRows({"school 1": (x1, y1), "school 2": (x2, y2)})``.

    The model sees the rows of all tasks in one pass, one task below the other; each task's loss is given the outputs
    and the batch of its own rows only.

    With many tasks and a method on gradients, name the features and let each head see its own rows only, so that the
    engine needs one backward pass for all tasks: ``forward=lambda model, batch: {"features": model.trunk(batch[0]),
    "heads": model.heads}``, ``features=lambda outputs: outputs["features"]``, and in the loss of task i
    ``outputs["heads"][i](outputs["features"])``.

    Args:
        data: Task name -> tuple or mapping of equally long tensors or arrays, all of the same structure.
    """

    def __init__(self, data: Mapping[str, Any]) -> None:
        self.data = dict(data)

    def __repr__(self) -> str:
        return f"OwnRows({len(self.data)} tasks)"


class Rows:
    """Tensors in memory, all with one entry a row.

    Args:
        data: A tensor, or tuple or mapping of tensors or arrays.
        what: Their name in messages.

    Attributes:
        data: The same container, arrays as tensors.
        length: Number of rows.
        may_miss: Whether any floating-point entry is NaN.

    Raises:
        DataError: No rows, different lengths, or entries that are no numbers.
    """

    def __init__(self, data: Any, what: str) -> None:
        self.data = _as_tensors(data, what)
        found = list(leaves(self.data))
        lengths = {place: len(leaf) for place, leaf in found if leaf.dim()}
        flat = [place for place, leaf in found if not leaf.dim()]
        if flat or len(set(lengths.values())) != 1 or not next(iter(lengths.values())):
            raise DataError(
                f"{what} must hold tensors or arrays with one entry a row, all equally many and at least one; got "
                f"{', '.join(f'{place or 0}: {tuple(leaf.shape)}' for place, leaf in found) or 'none'}."
            )
        self.length = next(iter(lengths.values()))
        self.may_miss = any(leaf.is_floating_point() and bool(leaf.isnan().any()) for _, leaf in found)

    def at(self, index: Tensor | None) -> Any:
        """The rows at some numbers; all of them for None."""
        return self.data if index is None else mapped(self.data, lambda tensor: tensor.index_select(0, index))

    def to(self, device: torch.device) -> "Rows":
        """The same rows on a device."""
        moved = object.__new__(type(self))
        vars(moved).update(vars(self), data=mapped(self.data, lambda tensor: tensor.to(device)))
        return moved

    def digest(self) -> str:
        """SHA-256 of names, types, shapes and content."""
        found = hashlib.sha256()
        for place, leaf in leaves(self.data):
            found.update(f"{place}:{leaf.dtype}:{tuple(leaf.shape)}:".encode())
            found.update(leaf.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
        return found.hexdigest()


@dataclass(frozen=True, eq=False)
class Together:
    """Rows of several tasks, one task below the other.

    Attributes:
        rows: Rows of all tasks.
        sizes: Task name -> number of its rows.
    """

    rows: Rows
    sizes: dict[str, int]

    def to(self, device: torch.device) -> "Together":
        """The same rows on a device."""
        return Together(self.rows.to(device), self.sizes)

    def digest(self) -> str:
        """SHA-256 of content and sizes."""
        return hashlib.sha256(f"{self.sizes}{self.rows.digest()}".encode()).hexdigest()


@dataclass(frozen=True, eq=False)
class Items:
    """A map-style dataset: rows are fetched by number and collated. Its content is not hashed."""

    data: Any
    length: int = field(default=0)

    def at(self, index: Tensor | None) -> Any:
        """The rows at some numbers; all of them for None."""
        numbers = range(self.length) if index is None else index.tolist()
        return default_collate([self.data[number] for number in numbers])


@dataclass(frozen=True, eq=False)
class Loader:
    """Ready batches of a user's loader, in its own order. Its content is not hashed.

    Attributes:
        data: Anything that can be iterated more than once.
        length: Number of its batches; None where that is unknown.
    """

    data: Any
    length: int | None


Source = Rows | Together | Items | Loader


def read_source(data: Any, tasks: Sequence[str], what: str) -> Source:
    """What a user gave as ``train``, ``val`` or ``test``.

    Args:
        data: Tensors, a dataset, a loader, or `OwnRows`.
        tasks: All task names.
        what: Its name in messages.

    Raises:
        DataError: It is none of these, has no rows, or `OwnRows` of other tasks or different structures.
    """
    if isinstance(data, OwnRows):
        return _together(data, tasks, what)
    if isinstance(data, TensorDataset):
        return Rows(data.tensors, what)
    if isinstance(data, DataLoader) or (hasattr(data, "state_dict") and isinstance(data, Iterable)):
        return Loader(data, _length(data))
    if isinstance(data, Tensor | np.ndarray | Mapping | tuple):
        return Rows(data, what)
    if isinstance(data, list) and data:
        return Rows(data, what) if isinstance(data[0], Tensor | np.ndarray) else Loader(data, len(data))
    sequence = hasattr(data, "__getitem__") and hasattr(data, "__len__") and not isinstance(data, str | bytes)
    if isinstance(data, Dataset) or sequence:
        length = _length(data)
        if not length:
            raise DataError(f"{what} must have at least one row and say how many (`__len__`); got {data!r}.")
        return Items(data, length)
    if isinstance(data, Iterable) and not isinstance(data, str | bytes) and iter(data) is not data:
        return Loader(data, _length(data))
    raise DataError(
        f"{what} must be a tuple or mapping of equally long tensors or arrays, a Dataset, a DataLoader, or "
        f"eq.OwnRows({{task: data}}); got {type(data).__name__}."
    )


def _together(data: OwnRows, tasks: Sequence[str], what: str) -> Together:
    missing, unknown = [t for t in tasks if t not in data.data], [t for t in data.data if t not in tasks]
    if missing or unknown:
        raise DataError(
            f"{what}: OwnRows must hold one data set for each task that has a loss; missing: "
            f"{listed(missing) or 'none'}; unknown: {listed(unknown) or 'none'}."
        )
    parts = {task: Rows(data.data[task], f"{what}, task '{task}'") for task in tasks}
    shapes = {
        task: [(place, leaf.dtype, tuple(leaf.shape[1:])) for place, leaf in leaves(rows.data)]
        for task, rows in parts.items()
    }
    other = [task for task in tasks if shapes[task] != shapes[tasks[0]]]
    if other:
        raise DataError(
            f"{what}: the rows of all tasks go through the model together, so all data sets must have the same "
            f"structure; that of '{tasks[0]}' is {shapes[tasks[0]]}, that of '{other[0]}' {shapes[other[0]]}"
            f"{f', and {len(other) - 1} more differ' if len(other) > 1 else ''}."
        )
    return Together(Rows(joined([rows.data for rows in parts.values()]), what), {t: parts[t].length for t in tasks})


def _as_tensors(data: Any, what: str) -> Any:
    if isinstance(data, Tensor):
        return data.detach()
    if isinstance(data, np.ndarray):
        if data.dtype.kind not in "biuf":
            raise DataError(f"{what} must hold numbers; found an array of type {data.dtype}.")
        return torch.from_numpy(np.ascontiguousarray(data))
    if isinstance(data, Mapping):
        return {str(name): _as_tensors(part, what) for name, part in data.items()}
    if isinstance(data, tuple | list):
        return tuple(_as_tensors(part, what) for part in data)
    raise DataError(f"{what} must hold tensors or NumPy arrays; found {type(data).__name__}.")


def _length(data: Any) -> int | None:
    try:
        return len(data)
    except TypeError:  # an iterable dataset knows no length
        return None
