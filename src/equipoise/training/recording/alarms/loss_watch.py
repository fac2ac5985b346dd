r"""Has a task stopped improving while the others go on? A sequential test on the losses of every step.

Let :math:`\ell_i(t)` be the logarithm of task i's loss at step t. A *start* s keeps a reference :math:`r_i`, the median
of :math:`\ell_i` over the 32 steps before it. The others' progress since then is :math:`c_i`, the median over the other
tasks of :math:`r_j` minus the median of their last 16 values. Blocks of 16 steps share a threshold that is fixed before
the block begins:

.. math:: \tau_i = r_i - \min(.3\, c_i, .25) \text{ where } c_i \ge .4, \qquad \tau_i = r_i + \max(.22, 4 \sigma_i)
   \text{ elsewhere,}

with :math:`\sigma_i` the standard error of :math:`r_i`. The null of the sign test (`sign_test`) is: in each step
:math:`\ell_i` is at or below :math:`\tau_i` with conditional probability at least 1/2. In words: since s, whenever the
others came down by a third or more, half of this task's losses lie below its reference by three tenths of that (on the
logarithmic scale, at most by 22 %); otherwise half of them lie at most a quarter above it. A task that keeps improving,
or a run that has converged as a whole, satisfies it. Mini-batches are drawn anew in every step, so the statement about
conditional probabilities is one about the losses' medians at the present parameters.

The reference is a number that was observed, not the median that it estimates; the margins leave room for its error, and
``benchmarks/alarm.py`` counts what that costs in healthy runs. A task at which nothing can be learnt is found once the
others have left it behind: after 130 to 300 steps there (batches of 64).
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ....core.numbers import Array
from .sign_test import next_start, passed

__all__ = ["LossWatch", "Stop"]

_BLOCK = 16  # steps that share a threshold, and over which a present level is taken
_REFERENCE = 32  # steps over which a reference is taken
_PROGRESS = 0.4  # the others' progress from which standing still counts: 1 - exp(-.4) is a third
_SHARE, _MOST = 0.3, 0.25
_RISE = 0.22  # a quarter: exp(.22) - 1
_ERROR = 1.2533 * 1.4826  # a median's standard error, times the root of the number, over the mean absolute deviation
_MANY = 6  # tasks above which the median over the others is taken over all


@dataclass(frozen=True)
class Stop:
    """A task that was found to have stopped improving.

    Attributes:
        task: Number of the task.
        since: Step at which the reference ends.
        found: Step at which it was found.
        own: Its loss when found over the reference: a factor.
        others: The same for the others, their median.
        before: The reference over the task's loss in the first 32 steps.
        rose: Whether the loss went up.
    """

    task: int
    since: int
    found: int
    own: float
    others: float
    before: float
    rose: bool


class LossWatch:
    """The test on a stream of losses.

    Losses that are not positive have no relative change; a task that shows one is not watched from then on.

    Args:
        k: Number of tasks.
        level: Largest chance that any task is ever found, where every task satisfies the null.
    """

    def __init__(self, k: int, level: float) -> None:
        self.watched = np.ones(k, dtype=bool)
        self._k, self._level, self._seen, self._next = k, level / k, 0, _REFERENCE
        self._steps: list[int] = []
        self._rows = np.zeros((0, k))  # the newest are not looked at before a block is full
        self._tail = np.zeros((0, k))  # the last ones that were, absent values replaced by the last known
        self._first = np.full(k, np.nan)
        self._since: list[int] = []
        self._references, self._rises = np.zeros((0, k)), np.zeros((0, k))
        self._wins, self._bets = np.zeros((0, k)), np.zeros((0, k))
        self._told: set[tuple[int, bool]] = set()

    def add(self, steps: Sequence[int], losses: Array) -> list[Stop]:
        """The losses of some steps, (m, k), NaN where a task was absent; returns what is found now."""
        self.watched &= ~(losses <= 0).any(axis=0)
        with np.errstate(invalid="ignore", divide="ignore"):
            logs = np.where(self.watched, np.log(losses), np.nan)
        self._rows = np.vstack([self._rows, np.where(np.isfinite(logs), logs, np.nan)])
        self._steps += steps
        found: list[Stop] = []
        while len(self._rows) >= _BLOCK:
            rows, self._rows = self._rows[:_BLOCK], self._rows[_BLOCK:]
            step, self._steps = self._steps[_BLOCK - 1], self._steps[_BLOCK:]
            found += self._block(rows, step)
        return found

    def _block(self, rows: Array, step: int) -> list[Stop]:
        if self._references.size:
            progress = self._progress()
            aside = np.minimum(_SHARE * progress, _MOST)
            with np.errstate(invalid="ignore"):
                thresholds = self._references + np.where(progress >= _PROGRESS, -aside, self._rises)
                self._wins += (rows[:, None, :] > thresholds).sum(axis=0)
            self._bets += (np.isfinite(rows)[:, None, :] & np.isfinite(thresholds)).sum(axis=0)
        self._tail = _filled(np.vstack([self._tail, rows]))[-_REFERENCE:]
        self._seen += len(rows)
        found = self._judge(step) if self._references.size else []
        if self._seen >= self._next:
            self._next = next_start(self._seen, _BLOCK)
            self._begin(step)
        return found

    def _begin(self, step: int) -> None:
        """A new start: its references are the present medians."""
        middle = np.median(self._tail, axis=0)
        error = _ERROR * np.median(np.abs(self._tail - middle), axis=0) / np.sqrt(len(self._tail))
        self._first = np.where(np.isnan(self._first), middle, self._first)
        self._since.append(step)
        empty = np.zeros((1, self._k))
        self._references = np.vstack([self._references, middle])
        self._rises = np.vstack([self._rises, np.maximum(_RISE, 4 * error)])
        self._wins, self._bets = np.vstack([self._wins, empty]), np.vstack([self._bets, empty])

    def _progress(self) -> Array:
        """(starts, k) by how much the other tasks have come down since each start; 0 where there is no other."""
        fallen = np.nan_to_num(self._references - np.median(self._tail[-_BLOCK:], axis=0))
        if self._k > _MANY:
            return np.repeat(np.median(fallen, axis=1, keepdims=True), self._k, axis=1)
        if self._k == 1:
            return np.zeros_like(fallen)
        return np.stack([np.median(np.delete(fallen, task, axis=1), axis=1) for task in range(self._k)], axis=1)

    def _judge(self, step: int) -> list[Stop]:
        over = passed(self._wins, self._bets, self._level)
        if not over.any():
            return []
        level, progress, found = np.median(self._tail[-_BLOCK:], axis=0), self._progress(), []
        for task in np.flatnonzero(over.any(axis=0)).tolist():
            start = int(np.argmax(over[:, task]))
            own = float(np.exp(level[task] - self._references[start, task]))
            rose = bool(own > np.exp(_RISE) or progress[start, task] < _PROGRESS)
            if (task, rose) not in self._told:
                self._told.add((task, rose))
                before = float(np.exp(self._references[start, task] - self._first[task]))
                others = float(np.exp(-progress[start, task]))
                found.append(Stop(task, self._since[start], step, own, others, before, rose))
        return found


def _filled(rows: Array) -> Array:
    """Rows with each absent value replaced by the last one that is known."""
    if not np.isnan(rows).any():
        return rows
    rows = rows.copy()
    for below, row in itertools.pairwise(rows):
        np.copyto(row, below, where=np.isnan(row))
    return rows
