"""Targets of regression and classification as columns of one table, then as tasks, one for each target."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from ...core.numbers import Array
from ...data.encoding.scores import FEW_ROWS, scores_of_sums
from ...errors import DataError, TaskError, listed

__all__ = ["Columns", "Targets"]

_MOST_CLASSES = 100
_CUT = 1e-11
"""Directions of the features below this share of the largest are not told from rounding, as in a linear problem."""

Targets = Tensor | Mapping[str, Tensor]


@dataclass
class Columns:
    """Targets as columns, the same in every batch: a number is one column, more than two classes are one column each.

    The classes of a target are scored once all rows were seen (`scored`), so that each target is one task, as in the
    audit of a table.
    """

    classes: dict[str, int]  # task -> number of its classes, as the caller says
    given: tuple[str, ...] | None  # names for targets that come as a tensor, or None
    # task -> number of its classes, 0 for regression; once a batch was seen
    counts: dict[str, int] = field(default_factory=dict)
    rows: int = 0  # of all batches, those left out included
    # what was done to targets of classes, in words; once they were scored
    steps: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)  # what the reader should doubt of it

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the tasks."""
        return tuple(self.counts)

    @property
    def kinds(self) -> tuple[str, ...]:
        """Kind of each task: regression, or least squares on classes."""
        return tuple("least squares on classes" if count else "regression" for count in self.counts.values())

    def encode(self, targets: Targets) -> Array:
        """(n, columns), NaN where a label is missing.

        Raises:
            DataError: A target is not one number a row, or holds a class that there is not.
            TaskError: A number of classes is missing, or the tasks are others than before.
        """
        parts: list[Array] = []
        counts: dict[str, int] = {}
        for task, values in self._named(targets).items():
            array = values.detach().cpu().reshape(len(values), -1)
            if array.shape[1] != 1:
                raise DataError(f"the target {task!r} must be one number a row; found shape {tuple(values.shape)}")
            column = array[:, 0]
            numbers = column.to(torch.float64).numpy()
            if column.is_floating_point() and task not in self.classes:
                counts[task] = 0
                parts.append(numbers)
                continue
            counts[task] = count = 2 if column.dtype == torch.bool else self.classes.get(task, 0)
            if not 2 <= count <= _MOST_CLASSES:
                raise TaskError(
                    f"the target {task!r} holds classes: say how many, classes={{{task!r}: 3}} (2 to {_MOST_CLASSES}; "
                    f"found {count or 'none'}). For regression on whole numbers pass floats"
                )
            known = ~np.isnan(numbers)
            outside = sorted(set(numbers[known].tolist()) - set(map(float, range(count))))
            if outside:
                raise DataError(f"the classes of {task!r} must be 0 to {count - 1}; found {outside[:10]}")
            for level in [1] if count == 2 else range(count):
                parts.append(np.where(known, (numbers == level).astype(np.float64), np.nan))
        if self.counts and (counts != self.counts or tuple(counts) != self.names):
            raise TaskError(f"the tasks of a batch are {_said(counts)}; before they were {_said(self.counts)}")
        self.counts = counts
        return np.column_stack(parts)

    def scored(self, second: Array, cross: Array, shares: Array, rows: int) -> Array:
        """What each column counts in each task, (columns, k): 1, or the score of its class as `best_scores` gives it.

        Computed from moments: `second` (p, p) of the features about their means, `cross` (p, columns) of features and
        columns, `shares` (columns,) the means of the columns, and the number of rows used.

        Raises:
            DataError: A target of more than two classes without two of 10 rows or more.
        """
        units = np.sqrt(second.diagonal())
        units = np.where(units > 0, units, np.inf)  # a constant feature predicts nothing
        inverse = np.linalg.pinv(second / np.outer(units, units), _CUT, hermitian=True)
        mixing = np.zeros((len(shares), len(self.counts)))
        self.steps, self.warnings, first = [], [], 0
        for place, (task, count) in enumerate(self.counts.items()):
            width = count if count > 2 else 1
            mine = np.arange(first, first + width)
            first += width
            if count <= 2:
                mixing[mine, place] = 1.0
                self.steps += [f"{task}: 2 classes, as numbers 0 and 1."] if count else []
                continue
            sizes = np.round(shares[mine] * rows)
            large = mine[sizes >= FEW_ROWS]
            if len(large) < 2:
                shown = listed((f"{level} ({int(size)})" for level, size in enumerate(sizes)), "")
                raise DataError(
                    f"the target {task!r} must have two classes of {FEW_ROWS} rows or more; found {shown}. Join "
                    "classes, or leave the target out"
                )
            part = cross[:, large] / units[:, None]
            values, vectors = np.linalg.eigh(part.T @ inverse @ part)
            sums = np.sqrt(rows) * vectors * np.sqrt(np.maximum(values, 0.0))
            mixing[large, place] = scores_of_sums(sums, sizes[sizes >= FEW_ROWS])
            told = ", ".join(f"{level - mine[0]} {mixing[level, place]:.2f}" for level in large)
            self.steps.append(
                f"{task}: {count} classes, one task; they are scored so that the features predict them best (first "
                f"canonical variate): {told}. For one task a class, pass columns of 0 and 1."
            )
            few = [f"{level} ({int(size)})" for level, size in enumerate(sizes) if size < FEW_ROWS]
            if few:
                self.warnings.append(
                    f"Classes of {task!r} with fewer than {FEW_ROWS} rows have no say and score the mean, 0: "
                    f"{listed(few, '')}."
                )
        return mixing

    def _named(self, targets: Targets) -> dict[str, Tensor]:
        if isinstance(targets, Mapping):
            return {str(task): torch.as_tensor(values) for task, values in targets.items()}
        table = torch.as_tensor(targets)
        table = table.reshape(len(table), -1)
        names = self.given or tuple(f"task{i}" for i in range(table.shape[1]))
        if len(names) != table.shape[1]:
            raise TaskError(f"targets have {table.shape[1]} columns, `tasks` names {len(names)}: {listed(names)}")
        return {task: table[:, i] for i, task in enumerate(names)}


def _said(counts: Mapping[str, int]) -> str:
    return listed((f"{task} ({count} classes)" if count else task for task, count in counts.items()), "")
