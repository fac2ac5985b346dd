"""The fields of a linear problem, shared by both ways to build one: from rows and from moments."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from ...core.names import doubled
from ...core.numbers import Array
from ...errors import DataError, TaskError, listed
from .data_warnings import notes
from .gramian import effective_rank

__all__ = ["fields_of", "refuse_targets", "task_names"]


_ABSENT = 1e-20
"""Share of a target below which what is explained of it is rounding."""


def task_names(tasks: Any, count: int, where: str = "Y has {} columns", least: int = 2) -> tuple[str, ...]:
    """The names of `count` tasks, checked; ``task0``, ``task1``, ... where `tasks` is None.

    Raises:
        TaskError: A single string or no sequence, another number of names, doubled names, or fewer than `least`.

    Example:
        >>> task_names(None, 2)
        ('task0', 'task1')
    """
    if isinstance(tasks, str) or not (tasks is None or isinstance(tasks, Iterable)):
        raise TaskError(f"tasks must be a sequence of names; found {tasks!r}. Pass a list of {count} names")
    names = tuple(str(task) for task in tasks) if tasks is not None else tuple(f"task{i}" for i in range(count))
    if len(names) != count:
        raise TaskError(f"{where.format(count)}, tasks names {len(names)}: {listed(names)}. Name each once")
    twice = doubled(names)
    if twice:
        raise TaskError(f"task names must differ; doubled: {listed(twice)}. Name each task once")
    if count < least:
        raise TaskError(f"a trade-off needs at least two tasks; found one: {listed(names)}")
    return names


def refuse_targets(constant: Sequence[str], equal: Sequence[str]) -> None:
    """Raises `DataError` for targets that do not vary, or pairs ``'a' = 'b'`` of targets that are the same."""
    if constant:
        raise DataError(f"a target must vary; constant: {listed(constant)}. Leave it out")
    if equal:
        raise DataError(f"targets must differ; identical in every row: {listed(equal, '')}. Keep one of each")


def fields_of(
    gramian: Array,
    coefficients: Array,
    moments: tuple[Array, Array, Array],
    *,
    rows: int,
    tasks: tuple[str, ...],
    correlations: Array,
    warnings: list[str],
    task_rows: Any = None,
    **others: Any,
) -> dict[str, Any]:
    """The fields of a `LinearProblem`, from G (k, k), coefficients (p, k), and moments C (p, p), B (p, k), S (k, k).

    Rows of G that the inputs explain to rounding only are set to 0. `correlations` (k, k) of the targets decide which
    doubts join `warnings`; `task_rows` (k,) are the rows of each task, by default all; `others` are recorded as they
    are.
    """
    fitted = np.full(len(tasks), rows) if task_rows is None else task_rows
    inputs, total = len(moments[0]), moments[2].diagonal().copy()
    absent = gramian.diagonal() <= _ABSENT * total
    gramian[absent] = gramian[:, absent] = 0.0  # rounding, which has no direction
    captured = np.minimum(gramian.diagonal(), total)
    shares = captured / total
    return {
        "gramian": gramian,
        "unexplained": total - captured,
        "total": total,
        "R2": shares,
        "rank": effective_rank(gramian),
        "second_moments": moments[0],
        "cross_moments": moments[1],
        "target_moments": moments[2],
        "coefficients": coefficients,
        "rows": rows,
        "task_rows": fitted,
        "inputs": inputs,
        "tasks": tasks,
        "warnings": (*warnings, *notes(inputs, fitted, correlations, tasks, shares)),
        **others,
    }
