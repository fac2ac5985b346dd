"""Paths of a method on a formula problem, under Adam."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from ..core.numbers import Array
from ..core.tasks import Tasks
from ..errors import SettingError
from ..methods.base import Method, Step
from ..methods.run import run_method

__all__ = ["Path", "Problem", "descend"]

_BETA_1, _BETA_2, _EPSILON = 0.9, 0.999, 1e-8  # Adam's, as published


class Problem(Protocol):
    """Losses and gradients at many points at once."""

    def losses(self, points: ArrayLike) -> Array:
        """(..., n) -> (..., k)."""

    def jacobians(self, points: ArrayLike) -> Array:
        """(..., n) -> (..., k, n)."""


@dataclass(frozen=True, eq=False)
class Path:
    """One run of a method from one start.

    Attributes:
        method: Method that chose the directions.
        steps: Numbers of the steps that are kept, (m,), from 0 to the last.
        points: Points of the run after these steps, (m, n).
        statuses: Count of each solver status.
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
    r"""Follows a method's directions with Adam, from each start by itself.

    .. math:: m \leftarrow m + 0.1\,(d - m), \quad v \leftarrow v + 0.001\,(d^2 - v), \quad
              x \leftarrow x - \eta \, \frac{m / (1 - 0.9^t)}{\sqrt{v / (1 - 0.999^t)} + 10^{-8}}

    Args:
        method: Any method; each run has a memory of its own, from its initial state.
        problem: Problem whose losses and Jacobians are taken at all runs' points in one call.
        starts: Starting points, (r, n).
        steps: Number of Adam steps, at least 1.
        learning_rate: Learning rate of Adam.
        every: A point is kept after every n-th step; start and end are kept always.

    Returns:
        The paths, one a start.

    Raises:
        SettingError: Settings outside their range.

    Cost:
        Per step about 0.1 ms, and 0.05 to 0.2 ms for each run, most of it in the method; float64 on the CPU.
    Source:
        Adam: Kingma & Ba (2015), arXiv:1412.6980, algorithm 1. Written out, because a step of a general optimizer
        costs more than the problem; the numbers are those of ``torch.optim.Adam``.

    Example:
        >>> from equipoise.methods import LinearScalarization
        >>> from equipoise.problems import TwoTaskToy
        >>> (path,) = descend(LinearScalarization(), TwoTaskToy(), [[1.0, -7.0]], steps=300, learning_rate=0.1)
        >>> bool(abs(path.end - TwoTaskToy().mean_optimum()).max() < 0.01)
        True
    """
    points = np.array(starts, dtype=np.float64)
    if points.ndim != 2 or steps < 1 or every < 1 or not learning_rate > 0:
        raise SettingError(
            "`starts` must be (runs, coordinates), `steps` and `every` at least 1, `learning_rate` positive; got shape "
            f"{points.shape}, steps={steps}, every={every}, learning_rate={learning_rate}."
        )
    runs, k = len(points), problem.losses(points).shape[-1]
    tasks = Tasks(tuple(f"task{i}" for i in range(k)))
    states = [method.init(k, points.shape[1]) for _ in range(runs)]
    counts: list[Counter[str]] = [Counter() for _ in range(runs)]
    directions, first, second = (np.zeros_like(points) for _ in range(3))
    kept, history = [0], [points.copy()]
    for number in range(1, steps + 1):
        losses, jacobians = torch.from_numpy(problem.losses(points)), torch.from_numpy(problem.jacobians(points))
        for run in range(runs):
            outcome = run_method(method, jacobians[run], states[run], Step(tasks, losses[run]))
            directions[run] = outcome.direction.numpy()
            states[run] = outcome.state
            counts[run][outcome.status.name] += 1
        first += (1 - _BETA_1) * (directions - first)
        second += (1 - _BETA_2) * (directions**2 - second)
        unbiased = np.sqrt(second / (1 - _BETA_2**number)) + _EPSILON
        points -= learning_rate / (1 - _BETA_1**number) * first / unbiased
        if number % every == 0 or number == steps:
            kept.append(number)
            history.append(points.copy())
    whole = np.stack(history, axis=1)
    return [Path(method, np.array(kept), whole[run], dict(counts[run])) for run in range(runs)]
