"""A preference of a conditioned model: one non-negative number a task, sum 1."""

import numpy as np
from torch import Tensor

from ...core.numbers import Array
from ...core.tasks import PerTask, Preference, Tasks, freeze_per_task
from ...errors import PreferenceError, SettingError, TaskError
from ...methods import LinearScalarization, Tchebycheff

__all__ = ["preference_weights", "refuse_off_simplex"]

_SUM = 1e-6


def preference_weights(preference: PerTask | Preference, tasks: tuple[str, ...]) -> Tensor:
    """(k,) float64 shares of the tasks, in their order.

    Args:
        preference: Shares by task name or in task order; or `LinearScalarization(weights)`, `Tchebycheff(weights)`,
            of which the weights count.
        tasks: Names of the tasks.

    Raises:
        PreferenceError: Another kind, another length, a negative number, or a sum other than 1.
        TaskError: Names that are not those of the tasks.

    Example:
        >>> preference_weights({"b": 0.75, "a": 0.25}, ("a", "b"))
        tensor([0.2500, 0.7500], dtype=torch.float64)
    """
    given: object = preference
    if isinstance(preference, LinearScalarization | Tchebycheff):
        given = preference.weights if preference.weights is not None else [1 / len(tasks)] * len(tasks)
    elif isinstance(preference, Preference):
        raise PreferenceError(
            f"a conditioned model is asked by shares of its tasks, such as {dict.fromkeys(tasks, 1 / len(tasks))}, or "
            f"by the weights of a LinearScalarization or Tchebycheff; got {preference!r}. Find the shares that serve "
            "it with eq.front.choose on the measured losses."
        )
    try:
        frozen = freeze_per_task(given, "preference")
    except SettingError as error:
        raise PreferenceError(str(error)) from error
    if frozen is None:
        raise PreferenceError(f"`preference` must hold one share for each of {tasks}; got None.")
    try:
        weights = Tasks(tasks).vector(frozen, "preference")
    except TaskError as error:
        if isinstance(frozen[0], tuple):
            raise
        raise PreferenceError(str(error)) from error
    refuse_off_simplex(weights.numpy()[None])
    return weights


def refuse_off_simplex(rows: Array) -> None:
    """Raise `PreferenceError` where a row has a negative number or another sum than 1 (to 1e-6)."""
    bad = np.flatnonzero((rows < 0).any(axis=1) | ~(np.abs(rows.sum(axis=1) - 1) <= _SUM))
    if len(bad):
        where = f" in rows {bad[:10].tolist()}, first" if len(rows) > 1 else ""
        first = rows[bad[0]]
        raise PreferenceError(
            f"a preference must be non-negative numbers of sum 1; found{where} {first.tolist()}, sum "
            f"{float(first.sum()):.6g}. Divide by the sum."
        )
