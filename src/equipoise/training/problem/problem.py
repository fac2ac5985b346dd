"""What is to be trained, in one object: a model, one loss a task, and the data of the three parts."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ...core.names import doubled
from ...core.numbers import is_whole
from ...errors import DataError, LossError, SettingError, TaskError, listed
from .metric import Metric
from .sources import Batch, Source, read_source
from .trees import apart, leaves, mapped, rows_in

__all__ = ["Problem"]

Loss = Callable[[Any, Any], Tensor | None]


class Problem:
    """A model, one loss a task, and data for training, selection and test.

    Args:
        make_model: Called without arguments after the seed has been set; returns the untrained module.
        losses: Task name -> ``loss(outputs, batch)``: a scalar, or one number a sample, shape (B,), of which the mean
            over labelled samples is taken: a sample whose label in the batch is NaN counts as unlabelled where its loss
            is NaN. None says that the task is absent from the batch.
        metrics: Task name -> a `Metric` or several; shown beside the losses, never trained or selected on.
        train: Data that is trained on: a tuple or mapping of equally long tensors or arrays in memory (a batch is the
            same container with fewer rows), a `Dataset`, a `DataLoader`, or `OwnRows` with one data set a task.
        val: Data on which models are selected and training is stopped; None for none.
        test: Data that is looked at once, with the selected model; None for none.
        forward: ``forward(model, batch) -> outputs``. By default the model is called with the batch's entry
            ``"inputs"`` if the batch is a mapping, with its first entry if it is a tuple, and with the batch otherwise.
        features: ``features(outputs) -> tensor`` that the heads were given, for methods on features; None for none.
        evaluation_rows: Rows of tensors or a data set that go through the model at once in an evaluation, and whose
            loss is taken at once where it is a scalar. None for a whole part: give it where a scalar loss is no mean
            over rows, such as a difference of two groups.
        name: Name of the problem in records and messages.

    Attributes:
        tasks: Task names in the order of every vector.
        sources: Part -> where its batches come from.

    Raises:
        TaskError: No task, doubled names, or metrics of unknown tasks.
        DataError: Data that cannot be used.
        SettingError: What should be callable is not.

    Example:
        >>> import torch, equipoise as eq
        >>> x = torch.linspace(-1, 1, 40)[:, None]
        >>> y = torch.cat([x**2, x**3], dim=1)
        >>> y[::3, 1] = torch.nan  # no label
        >>> problem = eq.Problem(
        ...     lambda: nn.Sequential(nn.Linear(1, 8), nn.Tanh(), nn.Linear(8, 2)),
        ...     {name: lambda out, batch, i=i: (out[:, i] - batch[1][:, i]) ** 2 for i, name in enumerate("ab")},
        ...     train=(x, y),
        ... )
        >>> problem.tasks
        ('a', 'b')
        >>> rows = problem.sources["train"]
        >>> losses = problem.losses_of(y.nan_to_num() + 1, Batch(rows.data))
        >>> losses["b"]  # over labelled rows
        tensor(1.)
    """

    def __init__(
        self,
        make_model: Callable[[], nn.Module],
        losses: Mapping[str, Loss],
        metrics: Mapping[str, Metric | Sequence[Metric]] | None = None,
        *,
        train: Any,
        val: Any = None,
        test: Any = None,
        forward: Callable[[nn.Module, Any], Any] | None = None,
        features: Callable[[Any], Any] | None = None,
        evaluation_rows: int | None = 2048,
        name: str = "",
    ) -> None:
        given = {"`make_model`": make_model, "`forward`": forward or callable, "`features`": features or callable}
        given |= {f"the loss of '{task}'": loss for task, loss in losses.items()}
        wrong = [f"{what} is {type(value).__name__}" for what, value in given.items() if not callable(value)]
        if isinstance(make_model, nn.Module):
            wrong.append("`make_model` is a module: write lambda: Net(), so that each run and seed starts afresh")
        if wrong:
            raise SettingError(f"eq.Problem needs functions here; {'; '.join(wrong)}.")
        self.tasks = tuple(losses)
        odd = [name for name in self.tasks if not isinstance(name, str) or not name]
        if not self.tasks or odd:
            raise TaskError(f"`losses` must map task names to functions, at least one; got {odd or losses!r}.")
        if evaluation_rows is not None and not is_whole(evaluation_rows, least=1):
            raise SettingError(
                f"`evaluation_rows` must be a whole number of at least 1, or None for whole parts; got "
                f"{evaluation_rows!r}."
            )
        self.make_model, self.losses, self.name = make_model, dict(losses), name
        self.evaluation_rows = evaluation_rows
        measured = metrics or {}
        unknown = [task for task in measured if task not in self.losses]
        if unknown:
            raise TaskError(f"`metrics` are of the tasks {listed(self.tasks)}; unknown: {listed(unknown)}.")
        self.metrics = {task: _several(measured[task]) if task in measured else () for task in self.tasks}
        twice = [task for task, found in self.metrics.items() if doubled(metric.name for metric in found)]
        if twice:
            raise SettingError(f"the metrics of a task need names of their own; doubled in {listed(twice)}.")
        parts = {"train": train, "val": val, "test": test}
        if train is None:
            raise DataError("`train` is None: there is nothing to train on.")
        self.sources: dict[str, Source] = {
            part: read_source(data, self.tasks, f"`{part}`") for part, data in parts.items() if data is not None
        }
        self._forward, self.features = forward, features

    def outputs(self, model: nn.Module, batch: Any) -> Any:
        """The model's outputs for a batch."""
        if self._forward is not None:
            return self._forward(model, batch)
        if isinstance(batch, tuple | list):
            return model(batch[0])
        if isinstance(batch, Mapping):
            if "inputs" not in batch:
                raise DataError(
                    f"the batch is a mapping with {listed(batch)}, and none of them is 'inputs'. Name the model's "
                    "input so, or give Problem(..., forward=lambda model, batch: ...)."
                )
            return model(batch["inputs"])
        return model(batch)

    def losses_of(self, outputs: Any, batch: Batch) -> dict[str, Tensor | None]:
        """One scalar a task, None for a task without a labelled sample in this batch.

        Raises:
            LossError: A loss of several numbers a sample that has missing labels.
        """
        if batch.sizes is None and not batch.may_miss:
            found = {task: loss(outputs, batch.data) for task, loss in self.losses.items()}
        else:
            found = {task: value for task, value, _ in self._values(outputs, batch)}
        # what is neither a tensor nor None is for the Balancer to refuse
        return {
            task: value.mean() if isinstance(value, Tensor) and value.dim() else value for task, value in found.items()
        }

    def sums_of(self, outputs: Any, batch: Batch) -> dict[str, tuple[float, int]]:
        """Sum of each task's loss over the labelled samples of a batch, and how many these are.

        A scalar counts once for each row of the batch.
        """
        found = {}
        for task, value, rows in self._values(outputs, batch):
            if isinstance(value, Tensor) and value.dim():
                found[task] = float(value.double().mean()) * len(value), len(value)
            elif value is not None:
                found[task] = float(value) * rows, rows
        return found

    def _values(self, outputs: Any, batch: Batch) -> Iterator[tuple[str, Tensor | None, int]]:
        """Task, its loss on labelled rows as the user's function gives it, and the rows it was given."""
        if batch.sizes is None:
            rows, labels = rows_in(batch.data), _Labels(batch.data) if batch.may_miss else None
            for task, loss in self.losses.items():
                yield task, _labelled(task, loss, outputs, batch.data, labels), rows
            return
        parts = zip(
            apart(outputs, batch.sizes),
            apart(batch.data, batch.sizes),
            batch.sizes,
            strict=True,
        )
        for (task, loss), (mine, data, size) in zip(self.losses.items(), parts, strict=True):
            labels = _Labels(data) if batch.may_miss else None
            yield task, _labelled(task, loss, mine, data, labels) if size else None, size


class _Labels:
    """Which rows of a batch hold a NaN; looked at once a batch, and only if a loss is NaN."""

    def __init__(self, data: Any) -> None:
        self._data = data
        self._found: Tensor | None = None

    def missing(self, like: Tensor) -> Tensor:
        if self._found is None:
            found = torch.zeros(len(like), dtype=torch.bool, device=like.device)
            for _, leaf in leaves(self._data):
                if isinstance(leaf, Tensor) and leaf.is_floating_point() and len(leaf) == len(like):
                    found |= leaf.reshape(len(leaf), -1).isnan().any(1).to(like.device)
            self._found = found
        return self._found


def _labelled(task: str, loss: Loss, outputs: Any, data: Any, labels: _Labels | None) -> Tensor | None:
    """A loss on the labelled rows: as it is, or computed again without the rows whose label is missing."""
    value = loss(outputs, data)
    if labels is None or not isinstance(value, Tensor) or not value.dim():
        return value
    nan = value.detach().isnan()
    if not nan.any():
        return value
    if value.dim() > 1:
        raise LossError(
            f"task '{task}': where labels are missing, a loss must give one number a sample, shape (B,), so that the "
            f"unlabelled ones can be left out; it has shape {tuple(value.shape)}. Take the mean over the further axes."
        )
    if (nan & ~labels.missing(value)).any():
        return value  # NaN without a missing label is a failure, and stays one
    rows = torch.nonzero(~nan).ravel()
    if not len(rows):
        return None
    # 0 times the NaN of an unlabelled row would be NaN in the gradient
    chosen = [mapped(tree, lambda tensor: _rows(tensor, rows, len(nan))) for tree in (outputs, data)]
    return loss(*chosen)


def _rows(tensor: Tensor, rows: Tensor, length: int) -> Tensor:
    return tensor[rows.to(tensor.device)] if tensor.dim() and len(tensor) == length else tensor


def _several(given: Metric | Sequence[Metric]) -> tuple[Metric, ...]:
    return (given,) if isinstance(given, Metric) else tuple(given)
