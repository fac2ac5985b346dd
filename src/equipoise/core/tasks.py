"""The vocabulary: shapes, sign, scale, task names, kinds of preference.

One word for one thing, everywhere:

========== ========= ==============================================================================
word       shape     meaning
========== ========= ==============================================================================
losses     (k,)      one scalar a task, always minimised
jacobian   (k, n)    row i is the gradient of loss i with respect to the shared parameters
gramian    (k, k)    jacobian @ jacobian.T, float64
weights    (k,)      direction = weights @ jacobian
direction  (n,)      the step is theta <- theta - learning_rate * direction
preference           a typed wish (`Ray`, `Bounds`, ...), never a bare vector
========== ========= ==============================================================================

Scale: what a method normalises, it normalises to sum 1, so a learning rate that was tuned for the mean of the losses
carries over. k tasks, n shared parameters, B batch, K models, q shared width.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import torch
from torch import Tensor

from ..errors import PreferenceError, SettingError, TaskError, listed
from .names import doubled

__all__ = ["Bounds", "PerTask", "Preference", "Ray", "ReferencePoint", "TaskValues", "Tasks", "freeze_per_task"]

TaskValues = tuple[tuple[str, float], ...] | tuple[float, ...]
"""One number a task as a setting: pairs sorted by name, or numbers in task order, so that settings compare and hash."""

PerTask = Mapping[str, float] | Sequence[float] | TaskValues
"""What a user may write where one number a task is asked: by name, or in the order of the tasks."""


def freeze_per_task(values: object, argument: str) -> TaskValues | None:
    """One number a task, by name or in task order, as a hashable setting: sorted pairs, a tuple of numbers, or None.

    Raises:
        SettingError: Anything else, or numbers that are not finite; it calls the setting `argument`.

    Example:
        >>> freeze_per_task({"normals": 2, "depth": 1}, "weights")
        (('depth', 1.0), ('normals', 2.0))
    """
    if values is None:
        return None
    if isinstance(values, Tensor):
        values = values.tolist()
    pairs: object = values
    if isinstance(values, Mapping):
        pairs = sorted(values.items())
    if not isinstance(pairs, Iterable) or isinstance(pairs, str):
        raise SettingError(f"`{argument}` must be a mapping by task name or a sequence in task order; got {values!r}.")
    entries = tuple(pairs)
    named = bool(entries) and all(isinstance(entry, tuple) and len(entry) == 2 for entry in entries)
    try:
        frozen: TaskValues = (
            tuple(sorted((str(name), float(value)) for name, value in entries))
            if named
            else tuple(float(value) for value in entries)
        )
    except (TypeError, ValueError) as error:
        raise SettingError(f"`{argument}` must hold one number a task; got {values!r}.") from error
    if not frozen or not all(math.isfinite(number) for number in _numbers(frozen)):
        raise SettingError(f"`{argument}` must hold one finite number a task; got {values!r}.")
    return frozen


@dataclass(frozen=True)
class Tasks:
    """The tasks of a run, and which of them are present in this step.

    Attributes:
        names: All tasks, in the order of every (k,) vector that the user sees.
        present: Positions of the tasks that take part in this step, rising; rows of its losses and Gramian.

    Example:
        >>> step = Tasks(("depth", "normals", "seg"), present=(0, 2))
        >>> step.here
        ('depth', 'seg')
        >>> step.vector((("depth", 1.0), ("normals", 2.0), ("seg", 3.0)), "weights")
        tensor([1., 3.], dtype=torch.float64)
    """

    names: tuple[str, ...]
    present: tuple[int, ...] = field(default=())

    def __post_init__(self) -> None:
        twice = doubled(self.names)
        if twice:
            raise TaskError(f"task names must differ; {listed(twice)} appear more than once.")
        if not self.names:
            raise TaskError("at least one task is needed.")
        if not self.present:
            object.__setattr__(self, "present", tuple(range(len(self.names))))
        rising = sorted(set(self.present))
        if list(self.present) != rising or rising[0] < 0 or rising[-1] >= len(self.names):
            raise TaskError(f"`present` must be rising positions of the {len(self.names)} tasks; got {self.present}.")

    @property
    def here(self) -> tuple[str, ...]:
        """Names of the tasks present in this step."""
        return tuple(self.names[i] for i in self.present)

    def only(self, positions: Iterable[int]) -> "Tasks":
        """The same tasks with only some of the present ones left: `positions` counts rows of this step."""
        return Tasks(self.names, tuple(self.present[i] for i in positions))

    def vector(self, values: PerTask, argument: str) -> Tensor:
        """A per-task setting for the tasks of this step: float64, on the CPU, one entry a present task.

        Raises:
            TaskError: Names that do not fit, or a sequence of another length; it calls the setting `argument`.
        """
        frozen = values if isinstance(values, tuple) else freeze_per_task(values, argument) or ()
        return _vector(self, frozen, argument).clone()


@lru_cache(maxsize=64)  # asked in every step, and names are compared by text
def _vector(tasks: Tasks, values: TaskValues, argument: str) -> Tensor:
    frozen = freeze_per_task(values, argument) or ()
    names, table = set(tasks.names), {entry[0]: entry[1] for entry in frozen if isinstance(entry, tuple)}
    if table:
        missing = [name for name in tasks.names if name not in table]
        unknown = [name for name in table if name not in names]
        if missing or unknown:
            raise TaskError(
                f"`{argument}` must name every task once; missing: {listed(missing) or 'none'}; "
                f"unknown: {listed(unknown) or 'none'}. The tasks are {listed(tasks.names)}."
            )
        ordered = [table[name] for name in tasks.names]
    else:
        ordered = [entry for entry in frozen if not isinstance(entry, tuple)]
        if len(ordered) != len(tasks.names):
            raise TaskError(
                f"`{argument}` must hold one number for each of the {len(tasks.names)} tasks "
                f"({listed(tasks.names)}); got {len(ordered)}."
            )
    return torch.tensor([ordered[i] for i in tasks.present], dtype=torch.float64)


@dataclass(frozen=True)
class Preference:
    """Base of all preferences: which point of the front is wanted.

    `LinearScalarization(weights)` and `Tchebycheff(weights, ideal)` name a criterion as well and serve as
    preferences too.
    """


@dataclass(frozen=True)
class Ray(Preference):
    """The point where the front meets a ray: losses in the proportions of `losses`, as small as possible.

    Args:
        losses: Wanted proportions, positive, by task name or in task order; (2, 1) lets the first loss be twice the
            second.
    """

    losses: TaskValues

    def __init__(self, losses: PerTask) -> None:
        frozen = freeze_per_task(losses, "losses")
        if frozen is None or min(_numbers(frozen)) <= 0:
            raise PreferenceError(f"`Ray(losses)` needs positive proportions, one a task; got {losses!r}.")
        object.__setattr__(self, "losses", frozen)


@dataclass(frozen=True)
class ReferencePoint(Preference):
    """The Pareto point closest, in the Tchebycheff sense, to losses that one would be content with."""

    losses: TaskValues

    def __init__(self, losses: PerTask) -> None:
        frozen = freeze_per_task(losses, "losses")
        if frozen is None:
            raise PreferenceError("`ReferencePoint(losses)` needs one loss a task.")
        object.__setattr__(self, "losses", frozen)


@dataclass(frozen=True)
class Bounds(Preference):
    """Upper limits for some tasks: ``Bounds({"depth": 0.1})``; the others as low as they go.

    Args:
        limits: Task name -> the highest loss that is wanted.
        minimise: Name or names of the tasks whose mean, each over its range, is lowered under these limits; the tasks
            without a limit by default (all tasks, where all have one).
    """

    limits: tuple[tuple[str, float], ...]
    minimise: tuple[str, ...] | None = None

    def __init__(self, limits: Mapping[str, float], minimise: str | Sequence[str] | None = None) -> None:
        frozen = freeze_per_task(limits, "limits")
        if frozen is None or not isinstance(frozen[0], tuple):
            raise PreferenceError(f"`Bounds(limits)` needs a mapping from task names to limits; got {limits!r}.")
        object.__setattr__(self, "limits", frozen)
        names = (minimise,) if isinstance(minimise, str) else minimise
        if names is not None and (not names or doubled(names) or not all(isinstance(name, str) for name in names)):
            raise PreferenceError(f"`Bounds(minimise=)` needs a task name, or different names; got {minimise!r}.")
        object.__setattr__(self, "minimise", None if names is None else tuple(names))

    def split(self, tasks: tuple[str, ...]) -> tuple[list[float], list[bool]]:
        """The limits in the order of the tasks (inf where there is none), and which tasks are lowered.

        Raises:
            TaskError: A name is none of the tasks.
        """
        unknown = [name for name in (*dict(self.limits), *(self.minimise or ())) if name not in tasks]
        if unknown:
            raise TaskError(f"`Bounds` names {listed(unknown)}; the tasks are {listed(tasks)}.")
        limits = [dict(self.limits).get(name, math.inf) for name in tasks]
        free = [
            name in self.minimise if self.minimise is not None else math.isinf(limit)
            for name, limit in zip(tasks, limits, strict=True)
        ]
        return limits, free if any(free) else [True] * len(tasks)


def _numbers(values: TaskValues) -> list[float]:
    return [value[1] if isinstance(value, tuple) else value for value in values]
