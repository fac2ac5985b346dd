"""Alarms of a recording: a task that stopped improving, one that the steps go against, parameters that never move.

False alarms: `FALSE_ALARMS` is the chance that a run of any length gives one, under the nulls of the tests. Half of it
belongs to the losses (`loss_watch`), a quarter each to the signs of the steps taken and of the directions: the null is
that, given the past, a measured step raises a task's loss to first order with probability at most 1/2. Parameters that
do not move are no matter of chance: they are reported after `_STILL` measured steps without a change, over at least
`_SPAN` steps. A recording that goes on in its folder begins the tests anew.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from ....balancing.step_record import StepRecord
from ....core.records.training import Alarm, GradientLine, Numbers, TakenStep
from .loss_watch import LossWatch
from .sign_test import SignWatch

__all__ = ["FALSE_ALARMS", "Alarms"]

FALSE_ALARMS = 0.01
_STILL, _SPAN = 4, 8
_MOST_WAITING = 512  # steps whose losses wait on the device; then they are read


class Alarms:
    """The tests of one recording; nothing is read from the device before a line is due, or 512 steps have passed.

    Args:
        k: Number of tasks.
    """

    def __init__(self, k: int) -> None:
        self._k = k
        self._losses = LossWatch(k, FALSE_ALARMS / 2)
        self._signs = {name: SignWatch(k, FALSE_ALARMS / 4) for name in ("steps taken", "directions")}
        self._waiting: list[tuple[int, Sequence[int], Tensor]] = []
        self._still: list[TakenStep] = []
        self._told: set[tuple[str, ...]] = set()
        self._found: list[Alarm] = []

    def note(self, step: int, outcome: StepRecord) -> None:
        """The losses of a step, left on their device."""
        if outcome.raw_losses is not None:
            self._waiting.append((step, outcome.present.present, outcome.raw_losses))
            if len(self._waiting) >= _MOST_WAITING:
                self._read()

    def line(self, step: int, taken: Sequence[TakenStep], gradients: GradientLine | None) -> tuple[Alarm, ...]:
        """What is found at a line, with what was measured since the line before."""
        self._read()
        for measured in taken:
            if measured.shared is not None:
                self._sign("steps taken", measured.step, _above(measured.shared))
            self._unmoved(measured)
        if gradients is not None and gradients.to_update is not None:
            self._sign("directions", step, 1 - _above(gradients.to_update, equal=True))
        found, self._found = tuple(self._found), []
        return found

    def _read(self) -> None:
        waiting, self._waiting = self._waiting, []
        if not waiting:
            return
        rows = np.full((len(waiting), self._k), np.nan)
        if all(len(present) == self._k for _, present, _ in waiting):
            rows[:] = torch.stack([losses for _, _, losses in waiting]).cpu().numpy()
        else:
            for row, (_, present, losses) in zip(rows, waiting, strict=True):
                row[list(present)] = losses.cpu().numpy()
        for stop in self._losses.add([step for step, _, _ in waiting], rows):
            self._found.append(
                Alarm(
                    kind="rose" if stop.rose else "stopped", task=stop.task, since=stop.since, found=stop.found,
                    own=_short(stop.own), others=_short(stop.others), before=_short(stop.before),
                )
            )  # fmt: skip

    def _sign(self, name: str, step: int, signs: np.ndarray) -> None:
        watch = self._signs[name]
        for task in watch.add(step, signs):
            since, wins, bets = watch.found[task]
            measured = "steps taken" if name == "steps taken" else "directions"
            self._found.append(
                Alarm(kind="against", task=task, since=since, found=step, count=wins, of=bets, measured=measured)
            )

    def _unmoved(self, measured: TakenStep) -> None:
        if not measured.still or (self._still and self._still[0].still_names != measured.still_names):
            self._still = []
        if measured.still:
            self._still.append(measured)
        names, first = measured.still_names, self._still[0].step if self._still else 0
        if len(self._still) >= _STILL and measured.step - first >= _SPAN and names not in self._told:
            self._told.add(names)
            self._found.append(
                Alarm(
                    kind="not moved", since=first, found=measured.step, count=measured.still, of=len(self._still),
                    names=names,
                )
            )  # fmt: skip


def _above(values: Numbers, *, equal: bool = False) -> np.ndarray:
    """1 where a value is positive (or zero with `equal`), 0 elsewhere, NaN where there is none."""
    signs = [np.nan if v is None else float(v > 0 or (equal and v == 0)) for v in values]
    return np.array(signs)


def _short(value: float) -> float | None:
    return float(f"{value:.6g}") if np.isfinite(value) else None
