"""Targets of regression and classification as columns of one table."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from ...errors import DataError, TaskError, listed

__all__ = ["Columns", "Targets"]

_REGRESSION: Literal["regression"] = "regression"
_CLASSES: Literal["least squares on classes"] = "least squares on classes"
_MOST_CLASSES = 100

Targets = Tensor | Mapping[str, Tensor]


@dataclass
class Columns:
    """Targets as columns, the same in every batch.

    Attributes:
        classes: Task -> number of its classes, as the caller says.
        given: Names for targets that come as a tensor, or None.
        names: Of the columns, once a batch was seen.
        kinds: How each column enters.
        rows: Of all batches, those left out included.
        steps: What was done to targets of classes, in words.
    """

    classes: dict[str, int]
    given: tuple[str, ...] | None
    names: tuple[str, ...] = ()
    kinds: tuple[Literal["regression", "least squares on classes"], ...] = ()
    rows: int = 0
    steps: list[str] = field(default_factory=list)

    def encode(self, targets: Targets) -> np.ndarray[Any, np.dtype[np.float64]]:
        """(n, columns), NaN where a label is missing.

        Raises:
            DataError: A target is not one number a row, or holds a class that there is not.
            TaskError: A number of classes is missing, or the tasks are others than before.
        """
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
