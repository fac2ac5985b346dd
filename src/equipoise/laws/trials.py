"""Short runs in which laws are examined: the steps that a method with memory goes through."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from ..core.tasks import Tasks
from ..methods.base import Method, State, Step
from ..methods.run import Outcome, run_method
from .cases import Case, Matrix

__all__ = ["Moment", "Trial", "play", "trials"]


class Moment(NamedTuple):
    """One step.

    Attributes:
        jacobian: Gradients of the present tasks, (k, n).
        losses: Losses of the present tasks, (k,).
        present: Truth values, (k,): whether a task takes part; the others' rows and losses are not shown to the method.
    """

    jacobian: Matrix
    losses: Matrix
    present: NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Trial:
    """A run of one step, or of three for a method with memory.

    Attributes:
        name: Name of the case, and what is special about the run.
        moments: Steps of the run, in order.
    """

    name: str
    moments: tuple[Moment, ...]
    _played: "list[tuple[Method, list[Outcome]]]" = field(default_factory=list, init=False, repr=False)

    def outcomes(self, method: Method) -> "list[Outcome]":
        """What `play` gives, computed once for all laws that look at the run as it is."""
        for known, found in self._played:
            if known is method:
                return found
        self._played.append((method, play(method, self)))
        return self._played[-1][1]

    def map(self, change: Callable[[Moment], Moment]) -> "Trial":
        """The same run with every step changed in the same way."""
        return replace(self, moments=tuple(change(moment) for moment in self.moments))

    def scaled(self, factors: NDArray[np.float64] | float) -> "Trial":
        """Every loss times its factor, in all steps: gradients follow."""
        each = np.broadcast_to(np.asarray(factors, dtype=np.float64), (len(self.moments[0].losses),))
        return self.map(lambda moment: Moment(each[:, None] * moment.jacobian, each * moment.losses, moment.present))


def trials(method: Method, case: Case) -> Iterator[Trial]:
    """The runs in which a law is examined on one input.

    A method without memory takes one step. For a method with memory the tasks improve at different speeds over three
    steps: once with one Jacobian throughout, and once with others of other sizes before the last and the last task
    absent from the middle step (only where the case has some: a stored counter-example has none).

    Args:
        method: Has memory or has none.
        case: Input of the last step.

    Yields:
        The runs that end with the case.
    """
    k = len(case.losses)
    everyone = np.ones(k, dtype=bool)
    if not method.state_tensors:
        yield Trial(case.name, (Moment(case.jacobian, case.losses, everyone),))
        return
    speeds = np.arange(1, k + 1)
    faded = [case.losses * fade**speeds for fade in (1.0, 0.9, 0.8)]
    yield Trial(case.name, tuple(Moment(case.jacobian, losses, everyone) for losses in faded))
    if case.earlier:
        first, middle = case.earlier
        others = np.arange(k) < max(k - 1, 1)
        moments = Moment(first, faded[1], everyone), Moment(middle, faded[0], others)
        yield Trial(f"{case.name}, other gradients before", (*moments, Moment(case.jacobian, faded[2], everyone)))


def play(method: Method, trial: Trial, state: State | None = None) -> list[Outcome]:
    """The steps of a run, one after the other; each closes an epoch where the method has that clock.

    Args:
        method: Method of any kind.
        trial: Run to be played.
        state: State to go on from; the method's initial state by default.

    Returns:
        One outcome a step; its state is the one that the next step begins with.
    """
    k = len(trial.moments[0].losses)
    state = method.init(*trial.moments[0].jacobian.shape) if state is None else state
    found: list[Outcome] = []
    for jacobian, losses, present in trial.moments:
        rows = np.flatnonzero(present)
        step = Step(_tasks(k, tuple(rows.tolist())), torch.from_numpy(losses[rows]))
        outcome = run_method(method, torch.from_numpy(jacobian[rows]), state, step)
        state = method.end_epoch(outcome.state) if method.per_epoch else outcome.state
        found.append(outcome._replace(state=state))
    return found


@lru_cache(maxsize=64)
def _tasks(k: int, rows: tuple[int, ...]) -> Tasks:
    return Tasks(tuple(f"task{i}" for i in range(k)), rows)
