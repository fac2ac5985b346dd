"""Steps of Gramian and Jacobian methods on written-down gradients."""

import numpy as np
import torch

from equipoise.core.tasks import Tasks
from equipoise.methods.base import Method, State, Step
from equipoise.methods.run import Outcome, run_method

NAMES = ("a", "b", "c", "d", "e", "f", "g", "h")


def take(method: Method, rows, losses=None, state: State | None = None, present: tuple[int, ...] = ()) -> Outcome:
    """One step. `rows` and `losses` are those of all tasks; the absent ones' are not shown to the method."""
    rows = torch.as_tensor(np.asarray(rows, dtype=np.float64))
    k, n = rows.shape
    losses = torch.ones(k, dtype=torch.float64) if losses is None else torch.as_tensor(losses, dtype=torch.float64)
    step = Step(Tasks(NAMES[:k], present), losses[list(present or range(k))])
    return run_method(method, rows[list(present or range(k))], method.init(k, n) if state is None else state, step)


def run(method: Method, history, losses=None) -> list[Outcome]:
    """Several steps, each with its own gradients."""
    found: list[Outcome] = []
    for number, rows in enumerate(history):
        state = found[-1].state if found else None
        found.append(take(method, rows, None if losses is None else losses[number], state))
    return found


def gradients(k: int, seed: int, columns: int = 12) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(k, columns))
