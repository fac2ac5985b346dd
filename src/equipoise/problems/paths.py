"""Where a method goes on a formula problem, under Adam."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from ..errors import SettingError
from ..methods.base import Method, Step
from ..methods.run import run_method
from ..types import Tasks

__all__ = ["Path", "Problem", "descend"]

Array = NDArray[np.float64]


class Problem(Protocol):
    """Losses and gradients at many points at once."""

    def losses(self, points: ArrayLike) -> Array:
        """(..., n) -> (..., k)."""

    def jacobians(self, points: ArrayLike) -> Array:
        """(..., n) -> (..., k, n)."""


@dataclass(frozen=True, eq=False)
class Path:
    """One run.

    Attributes:
        method: What chose the directions.
        steps: (m,), the step numbers kept, from 0 to the last.
        points: (m, n), where the run was after them.
        statuses: How often each solver status occurred.
    """

    method: Method
    steps: NDArray[np.int64]
    points: Array
    statuses: Mapping[str, int]

    @property
    def end(self) -> Array:
        """(n,), the last point."""
        end: Array = self.points[-1]
        return end


def descend(
    method: Method,
    problem: Problem,
    starts: ArrayLike,
    *,
    steps: int,
    learning_rate: float = 1e-3,
    every: int = 100,
) -> list[Path]:
    """Follows a method's directions with Adam (default betas), from each start by itself.

    Args:
        method: Any method; each run has a memory of its own, from its initial state.
        problem: Its losses and Jacobians are taken at all runs' points in one call.
        starts: (r, n).
        steps: Number of Adam steps, at least 1.
        learning_rate: Of Adam.
        every: A point is kept after every n-th step; start and end are kept always.

    Returns:
        One path a start.

    Raises:
        SettingError: Settings outside their range.

    Cost:
        Per step about 0.15 ms, and 0.1 to 0.2 ms for each run, most of it in the method; float64 on the CPU.

    Example:
        >>> import equipoise as eq
        >>> from equipoise.problems import TwoTaskToy
        >>> (path,) = descend(eq.MGDA(), TwoTaskToy(), [[0.0, -7.0]], steps=200, learning_rate=0.1)
        >>> path.end.round(1)
        array([ 0. , -8.4])
    """
    points = torch.tensor(np.asarray(starts, dtype=np.float64), requires_grad=True)
    if points.dim() != 2 or steps < 1 or every < 1 or not learning_rate > 0:
        raise SettingError(
            "`starts` must be (runs, coordinates), `steps` and `every` at least 1, `learning_rate` positive; got shape "
            f"{tuple(points.shape)}, steps={steps}, every={every}, learning_rate={learning_rate}."
        )
    view = points.detach().numpy()  # shares memory: always the current points
    runs, k = len(points), problem.losses(view).shape[-1]
    tasks = Tasks(tuple(f"task{i}" for i in range(k)))
    states = [method.init(k, points.shape[1]) for _ in range(runs)]
    counts: list[Counter[str]] = [Counter() for _ in range(runs)]
    optimizer = torch.optim.Adam([points], lr=learning_rate, foreach=False)
    points.grad = torch.zeros_like(points)
    kept, history = [0], [view.copy()]
    for number in range(1, steps + 1):
        losses, jacobians = torch.from_numpy(problem.losses(view)), torch.from_numpy(problem.jacobians(view))
        for run in range(runs):
            outcome = run_method(method, jacobians[run], states[run], Step(tasks, losses[run]))
            points.grad[run] = outcome.direction
            states[run] = outcome.state
            counts[run][outcome.status.name] += 1
        optimizer.step()
        if number % every == 0 or number == steps:
            kept.append(number)
            history.append(view.copy())
    whole = np.stack(history, axis=1)
    return [Path(method, np.array(kept), whole[run], dict(counts[run])) for run in range(runs)]
