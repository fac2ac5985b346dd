"""Means of the training losses between two evaluations."""

from typing import Any

import numpy as np
from torch import Tensor

from ...balancing.step_record import StepRecord
from ...core.numbers import Array

__all__ = ["Sums"]

_MOST = 256
"""Steps that are kept before they are added up: reading tensors is what waits for the device."""


class Sums:
    """Sums over steps, the same to the bit wherever a run is interrupted: steps are added one by one, in order.

    Args:
        tasks: Names, in order.
    """

    def __init__(self, tasks: tuple[str, ...]) -> None:
        self.tasks = tasks
        self._waiting: list[tuple[tuple[int, ...], Tensor, Tensor | None]] = []
        self._seen: StepRecord | None = None
        self.clear()

    def clear(self) -> None:
        """Begin anew."""
        self._sums = np.zeros((3, len(self.tasks)))  # raw, weighted, weights
        self._steps = np.zeros((2, len(self.tasks)))  # steps with the task, steps with its weight

    def note(self, record: StepRecord | None) -> None:
        """Take in one step."""
        if record is None or record is self._seen or record.raw_losses is None:
            return
        self._seen = record
        self._waiting.append((record.present.present, record.raw_losses, record.weights))
        if len(self._waiting) >= _MOST:
            self._add_up()

    def means(self) -> tuple[dict[str, float | None], dict[str, float | None] | None, dict[str, float | None] | None]:
        """Raw losses, weighted losses and weights by task; None for a task that was absent, or without weights."""
        self._add_up()
        raw = self._named(self._sums[0], self._steps[0])
        if not self._steps[1].any():
            return raw, None, None
        return raw, self._named(self._sums[1], self._steps[1]), self._named(self._sums[2], self._steps[1])

    def state(self) -> dict[str, Any]:
        """As plain data."""
        self._add_up()
        return {"sums": self._sums.tolist(), "steps": self._steps.tolist()}

    def load(self, state: dict[str, Any]) -> None:
        """Put back what `state` returned."""
        self._sums, self._steps = np.array(state["sums"]), np.array(state["steps"])

    def _named(self, sums: Array, steps: Array) -> dict[str, float | None]:
        means = [float(s / n) if n and np.isfinite(s) else None for s, n in zip(sums, steps, strict=True)]
        return dict(zip(self.tasks, means, strict=True))

    def _add_up(self) -> None:
        for present, raw, weights in self._waiting:
            rows, values = list(present), raw.cpu().numpy()
            self._sums[0, rows] += values
            self._steps[0, rows] += 1
            if weights is not None:
                factors = weights.detach().cpu().double().numpy()
                factors = factors.mean(axis=0) if factors.ndim > 1 else factors  # with granularity=: over groups
                self._sums[1, rows] += factors * values
                self._sums[2, rows] += factors
                self._steps[1, rows] += 1
        self._waiting.clear()
