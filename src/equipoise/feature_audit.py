"""Audit of a trained network: its penultimate features as the inputs of a linear problem."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from .errors import DataError, InputError, SettingError, TaskError, listed
from .verdict import AuditRecord, DataCard, TaskCard, Verdict

if TYPE_CHECKING:
    from .linear import LinearProblem

__all__ = ["audit_features"]

_PACKAGES = ("equipoise", "numpy", "scipy", "torch")
_REGRESSION: Literal["regression"] = "regression"
_CLASSES: Literal["least squares on classes"] = "least squares on classes"
_MOST_CLASSES = 100

Targets = Tensor | Mapping[str, Tensor]


def audit_features(
    model: nn.Module,
    loader: Iterable[Any],
    *,
    features: str | Callable[[Any], Tensor] | None = None,
    tasks: Sequence[str] | None = None,
    classes: Mapping[str, int] | None = None,
    unpack: Callable[[Any], tuple[Any, Targets]] | None = None,
    width: int | None = None,
    name: str = "",
    seed: int = 0,
    progress: Callable[..., None] | None = None,
) -> AuditRecord:
    """Which trade-offs the tasks of a network have on its features: exact for linear heads on a shared linear layer.

    The features of the network are taken as inputs X of a linear problem, the targets as Y, and the audit is that of a
    table: which widths of a further shared linear layer would remove the trade-off, which tasks conflict, how much is
    at stake. It speaks of the features as they are now; training would move them. Only sums over the rows are kept
    ((p, p), (p, k), (k, k)), so the loader may be of any length.

    Classification enters by least squares on one-hot columns: a task of two classes is one column of 0 and 1, of more
    classes a column each, named ``task=class``, and each column is a task of the audit. That is not cross-entropy, and
    the record says so.

    Args:
        model: Any module; put into eval mode for the pass and back. No gradients are taken.
        loader: Yields batches of (inputs, targets). Inputs: what the model takes; a tuple is spread over its
            arguments, a mapping over its keywords. Targets: (n, k) numbers, or a mapping from task names to (n,)
            tensors: floating for regression, integers for classes. Rows with NaN in a target are left out.
        features: Where they are: None for the input of the model's heads, the last linear layers that share one input;
            the name of a module, whose output they are; or a function of a batch's inputs. (n, p).
        tasks: k names, for targets given as a tensor.
        classes: Task -> number of its classes; needed for every integer target.
        unpack: A batch -> (inputs, targets), for batches of another form.
        width: Of the shared layer; None for every width from 1 to the smallest at which nothing is left to trade.
        name: Of the network, in the report. Default: its class.
        seed: Of searches.
        progress: As for `audit`.

    Returns:
        The record, as `audit` returns it.

    Raises:
        InputError: Features cannot be found, or targets cannot be used.

    Cost: One pass of the model, and (p + k)^2 multiplications a row.

    Example:
        >>> _ = torch.manual_seed(0)
        >>> model = nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 2))
        >>> x = torch.randn(200, 3)
        >>> record = audit_features(model, [(x, x[:, :2] ** 2)], tasks=("a", "b"), width=1)
        >>> record.data.inputs, record.verdicts[0].condition.status
        (8, 'holds')
    """
    from .linear.audits import audit_problem  # noqa: PLC0415 - scipy
    from .linear.streaming import SecondMoments  # noqa: PLC0415 - scipy

    stream = SecondMoments()
    columns = _Columns(dict(classes or {}), None if tasks is None else tuple(tasks))
    with _evaluated(model), torch.no_grad():
        for number, batch in enumerate(loader):
            if progress:
                progress(0, 1, f"features of batch {number + 1}")
            inputs, targets = unpack(batch) if unpack else _split(batch)
            found = _features(model, inputs, features)
            values = columns.encode(targets)
            if len(values) != len(found):
                raise DataError(f"features and targets must have the same rows; found {len(found)} and {len(values)}")
            whole = ~np.isnan(values).any(axis=1)
            columns.rows += len(values)
            stream.update(found.detach().to("cpu", torch.float64).numpy()[whole], values[whole])
    problem = stream.problem(width, tasks=columns.names)
    verdicts = audit_problem(problem, None if width is None else (width,), seed=seed, progress=progress)
    shown = name or type(model).__name__
    return AuditRecord(
        title=f"Features of {shown}: {len(problem.tasks)} tasks",
        command="",
        data=_data_card(problem, columns, shown, features),
        tasks=_task_cards(problem, columns),
        verdicts=tuple(_about_features(verdict, shown) for verdict in verdicts),
        smallest_width=max(1, problem.rank),
        versions={"python": platform.python_version(), **{package: version(package) for package in _PACKAGES}},
    )


@contextmanager
def _evaluated(model: nn.Module) -> Iterator[None]:
    """Eval mode, and every module's own mode back at the end."""
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode


def _split(batch: Any) -> tuple[Any, Targets]:
    if isinstance(batch, (tuple, list)) and len(batch) == 2:
        return batch[0], batch[1]
    raise InputError(
        f"a batch must be (inputs, targets); found {type(batch).__name__}. Say how to take it apart: "
        "audit_features(model, loader, unpack=lambda batch: (batch['x'], batch['y']))"
    )


def _run(model: nn.Module, inputs: Any) -> None:
    if isinstance(inputs, Mapping):
        model(**inputs)
    elif isinstance(inputs, (tuple, list)):
        model(*inputs)
    else:
        model(inputs)


def _features(model: nn.Module, inputs: Any, where: str | Callable[[Any], Tensor] | None) -> Tensor:
    if callable(where):
        found = where(inputs)
    elif where is None:
        found = _heads_input(model, inputs)
    else:
        modules = dict(model.named_modules())
        if where not in modules:
            known = listed(name for name in modules if name)
            raise SettingError(f"`features` must name a module of the model; found {where!r}. It has {known}.")
        seen: list[Any] = []
        handle = modules[where].register_forward_hook(lambda module, given, out: seen.append(out))
        try:
            _run(model, inputs)
        finally:
            handle.remove()
        if len(seen) != 1:
            raise InputError(f"the module {where!r} ran {len(seen)} times in one pass; features need exactly one.")
        found = seen[0]
    if not isinstance(found, Tensor) or found.ndim != 2:
        what = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
        raise InputError(
            f"features must be a tensor of shape (rows, features); found {what}. "
            "Pass a function: features=lambda inputs: model.encoder(inputs).flatten(1)"
        )
    return found


def _heads_input(model: nn.Module, inputs: Any) -> Tensor:
    """The common input of the last linear layers; an error where the last one has an input of its own."""
    calls: list[tuple[str, Tensor]] = []
    handles = [
        module.register_forward_pre_hook(lambda module, given, name=name: calls.append((name, given[0])))
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear)
    ]
    try:
        _run(model, inputs)
    finally:
        for handle in handles:
            handle.remove()
    if not calls:
        raise InputError("the model ran no linear layer: say where its features are, features='name of a module'.")
    shared = calls[-1][1]
    first = next(number for number, (_, given) in enumerate(calls) if given is shared)
    others = [name for name, given in calls[first:] if given is not shared]
    if others or _branches(calls):
        names = listed(dict.fromkeys(name for name, _ in calls))
        raise InputError(
            f"the last linear layers do not share one input (linear layers in order: {names}), so the shared features "
            "cannot be told. Name the module whose output they are: features='encoder'"
        )
    return shared


def _branches(calls: Sequence[tuple[str, Tensor]]) -> bool:
    """Whether two linear layers that are not both last share an input: heads of several layers."""
    last = calls[-1][1]
    for number, (_, given) in enumerate(calls):
        if given is not last and any(other is given for _, other in calls[number + 1 :]):
            return True
    return False


@dataclass
class _Columns:
    """Targets as columns, the same in every batch."""

    classes: dict[str, int]
    given: tuple[str, ...] | None
    names: tuple[str, ...] = ()
    kinds: tuple[Literal["regression", "least squares on classes"], ...] = ()
    rows: int = 0
    steps: list[str] = field(default_factory=list)

    def encode(self, targets: Targets) -> np.ndarray[Any, np.dtype[np.float64]]:
        """(n, columns), NaN where a label is missing."""
        parts: dict[str, np.ndarray[Any, Any]] = {}
        kinds: list[Literal["regression", "least squares on classes"]] = []
        steps: list[str] = []
        for task, values in self._named(targets).items():
            array = values.detach().cpu().reshape(len(values), -1)
            if array.shape[1] != 1:
                raise DataError(f"the target {task!r} must be one number a row; found shape {tuple(values.shape)}")
            column = array[:, 0]
            if column.is_floating_point() and task not in self.classes:
                parts[task] = column.to(torch.float64).numpy()
                kinds.append(_REGRESSION)
                continue
            count = 2 if column.dtype == torch.bool else self.classes.get(task, 0)
            if not 2 <= count <= _MOST_CLASSES:
                raise TaskError(
                    f"the target {task!r} holds classes: say how many, classes={{{task!r}: 3}} (2 to {_MOST_CLASSES}; "
                    f"found {count or 'none'}). For regression on whole numbers pass floats"
                )
            numbers = column.to(torch.float64).numpy()
            known = ~np.isnan(numbers)
            outside = sorted(set(numbers[known].tolist()) - set(map(float, range(count))))
            if outside:
                raise DataError(f"the classes of {task!r} must be 0 to {count - 1}; found {outside[:10]}")
            for level in [1] if count == 2 else range(count):
                label = task if count == 2 else f"{task}={level}"
                parts[label] = np.where(known, (numbers == level).astype(np.float64), np.nan)
                kinds.append(_CLASSES)
            steps.append(
                f"{task}: {count} classes, by least squares on "
                + ("a column of 0 and 1." if count == 2 else f"{count} one-hot columns, each a task of this audit.")
            )
        if self.names and tuple(parts) != self.names:
            raise TaskError(f"the tasks of a batch are {listed(parts)}; before they were {listed(self.names)}")
        self.names, self.kinds, self.steps = tuple(parts), tuple(kinds), steps
        return np.column_stack(list(parts.values()))

    def _named(self, targets: Targets) -> dict[str, Tensor]:
        if isinstance(targets, Mapping):
            return {str(task): torch.as_tensor(values) for task, values in targets.items()}
        table = torch.as_tensor(targets)
        table = table.reshape(len(table), -1)
        names = self.given or tuple(f"task{i}" for i in range(table.shape[1]))
        if len(names) != table.shape[1]:
            raise TaskError(f"targets have {table.shape[1]} columns, `tasks` names {len(names)}: {listed(names)}")
        return {task: table[:, i] for i, task in enumerate(names)}


def _about_features(verdict: Verdict, shown: str) -> Verdict:
    about = verdict.about.model_copy(
        update={
            "model": f"linear heads on the features of {shown}, through a shared layer of width {verdict.about.width}"
        }
    )
    caveat = (
        f"{verdict.caveat} It speaks of linear heads, fitted by least squares, on the features as they are now: "
        "training on would move the features."
    )
    return verdict.model_copy(update={"about": about, "caveat": caveat})


def _data_card(
    problem: LinearProblem, columns: _Columns, shown: str, where: str | Callable[[Any], Tensor] | None
) -> DataCard:
    place = "the input of the heads" if where is None else f"the output of {where!r}"
    place = "given by a function" if callable(where) else place
    return DataCard(
        name=shown,
        source=f"features of the network {shown}: {place}",
        rows=columns.rows,
        rows_used=problem.rows,
        inputs=problem.inputs,
        steps=(
            *columns.steps,
            "Features and targets were centred and divided by their standard deviations, so losses are shares of each "
            "task's variance.",
            "Only second moments were kept, in float64, in one pass over the loader.",
        ),
        warnings=problem.warnings,
    )


def _task_cards(problem: LinearProblem, columns: _Columns) -> tuple[TaskCard, ...]:
    size = np.sqrt(problem.gramian.diagonal())
    scale = np.where(size > 0, size, np.inf)
    related = np.clip(problem.gramian / np.outer(scale, scale), -1.0, 1.0)
    np.fill_diagonal(related, 1.0)
    return tuple(
        TaskCard(
            name=task,
            unit="",
            kind=columns.kinds[i],
            variance=float(problem.variance[i]),
            separate_loss=float(problem.unexplained[i] / problem.total[i]),
            correlations=tuple(map(float, related[i])),
        )
        for i, task in enumerate(problem.tasks)
    )
