"""Any method on plain arrays: no training loop, no graph."""

from typing import Any

import torch
from torch import Tensor

from ..core.numbers import real_numbers
from ..core.tasks import Preference, Tasks
from ..errors import GramianError, InputError, LossError, NonFiniteError, SettingError, TaskError, listed
from ..solve.equilibrate import as_gramian
from .base import Method, State, Step
from .registry import table
from .run import refuse_preference, run_method, weigh

__all__ = ["direction", "weights"]


def weights(
    method: Method,
    gramian: Any,
    losses: Any = None,
    *,
    preference: Preference | None = None,
    state: State | None = None,
    tasks: tuple[str, ...] | None = None,
) -> Tensor:
    """The weights that a method gives to a Gramian.

    Args:
        method: A loss or Gramian method.
        gramian: (k, k), array or tensor, in squared units of a gradient.
        losses: (k,); ones where a method looks at losses and none are given.
        preference: Preference over the tasks, for methods that can honour one.
        state: Memory of earlier steps; the method's initial state by default. It is not changed.
        tasks: Names, for per-task settings; ``task0``, ``task1``, ... by default.

    Returns:
        (k,), float64, on the CPU: the direction is ``weights @ jacobian``.

    Raises:
        GramianError: Not a Gramian.
        LossError: Losses of another length, or not finite.
        SettingError: `method` is a class or a name, not an instance.
        TaskError: The method needs the Jacobian.

    Example:
        >>> from equipoise.methods import MGDA
        >>> weights(MGDA(), [[1.0, 0.0], [0.0, 3.0]])
        tensor([0.7500, 0.2500], dtype=torch.float64)
    """
    _check_instance(method)
    matrix = torch.from_numpy(
        as_gramian(_array(gramian, "`gramian`", GramianError, "pass a (k, k) array or tensor").numpy())
    )
    step, state = _prepare(method, len(matrix), 0, losses, preference, state, tasks)
    return weigh(method, matrix, state, step).weights


def direction(
    method: Method,
    jacobian: Any,
    losses: Any = None,
    *,
    preference: Preference | None = None,
    state: State | None = None,
    tasks: tuple[str, ...] | None = None,
) -> Tensor:
    """The direction that a method makes of a Jacobian: the step is ``theta - learning_rate * direction``.

    Args:
        method: Method of any kind.
        jacobian: (k, n), array or tensor; products are accumulated in float64.
        losses: (k,); ones where a method looks at losses and none are given.
        preference: Preference over the tasks, for methods that can honour one.
        state: Memory of earlier steps; the method's initial state by default. It is not changed.
        tasks: Names of the tasks, for per-task settings.

    Returns:
        (n,), float64, on the CPU.

    Raises:
        SettingError: `method` is a class or a name, not an instance.
        GramianError: Not a (k, n) matrix.
        NonFiniteError: NaN or inf, naming the rows.
        LossError: Losses of another length, or not finite.

    Example:
        >>> from equipoise.methods import PCGrad
        >>> direction(PCGrad(), [[1.0, 0.0], [0.0, 2.0]])  # no conflict: the mean
        tensor([0.5000, 1.0000], dtype=torch.float64)
    """
    _check_instance(method)
    matrix = _array(jacobian, "`jacobian`", GramianError, "pass a (k, n) array or tensor, one row a task")
    if matrix.dim() != 2 or not len(matrix):
        raise GramianError(f"`jacobian` must be a (k, n) matrix, one row a task; got shape {tuple(matrix.shape)}.")
    finite = torch.isfinite(matrix).all(dim=1)
    if not finite.all():
        raise NonFiniteError(
            f"`jacobian` must be finite; rows {torch.nonzero(~finite).ravel().tolist()} hold NaN or inf."
        )
    step, state = _prepare(method, len(matrix), matrix.shape[1], losses, preference, state, tasks)
    return run_method(method, matrix, state, step).direction


def _check_instance(method: object) -> None:
    """Refuse the class or the name of a method where one with its settings is needed."""
    if isinstance(method, Method):
        return
    if isinstance(method, type) and issubclass(method, Method):
        raise SettingError(f"a method must be an instance; found the class: give an instance: eq.{method.__name__}().")
    if isinstance(method, str):
        known = table.get(method.lower())
        name = known.__name__ if known is not None else "MGDA"
        raise SettingError(f"a method must be an instance; found the name {method!r}: give an instance: eq.{name}().")
    raise SettingError(f"a method must be an instance; found {method!r}: give an instance: eq.MGDA().")


def _prepare(
    method: Method,
    k: int,
    n: int,
    losses: Any,
    preference: Preference | None,
    state: State | None,
    tasks: tuple[str, ...] | None,
) -> tuple[Step, State]:
    names = tasks or tuple(f"task{i}" for i in range(k))
    if len(names) != k:
        raise TaskError(f"`tasks` must name each of the {k} rows; got {listed(names)}.")
    refuse_preference(method, preference)
    values = (
        torch.ones(k, dtype=torch.float64)
        if losses is None
        else _array(losses, "`losses`", LossError, "pass one number a row")
    )
    if values.shape != (k,):
        raise LossError(f"`losses` must hold one number for each of the {k} rows; got shape {tuple(values.shape)}.")
    if not torch.isfinite(values).all():
        raise NonFiniteError(f"`losses` must be finite; got {values.tolist()}.")
    return Step(Tasks(names), values, preference), method.init(k, n) if state is None else state


def _array(values: Any, what: str, error: type[InputError], remedy: str) -> Tensor:
    array = real_numbers(values, what, error, remedy)
    return torch.from_numpy(array if array.flags.writeable else array.copy())
