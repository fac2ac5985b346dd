"""Gradients followed over steps: the memory of `MoCo`, `Tracked` and `DBMTL`."""

import torch
from torch import Tensor

from ..base import State, StateTensor

__all__ = ["TRACKING_STATE", "initial_tracking", "live_rows", "track"]

TRACKING_STATE = (StateTensor("tracked"), StateTensor("seen"))
"""``tracked`` (k, n): one followed gradient a task; ``seen`` (k,): steps in which the task took part."""


def initial_tracking(k: int, n: int) -> State:
    """The memory before the first step: k * n float64 numbers."""
    return {"tracked": torch.zeros(k, n, dtype=torch.float64), "seen": torch.zeros(k, dtype=torch.int64)}


def live_rows(gradients: Tensor) -> list[int]:
    """Rows with a gradient in this step: the others fade, and are no part of the step's problem.

    A followed gradient of a finished task never becomes exactly zero. As a row of the problem it would draw all weight
    to itself where short gradients count most (MGDA), and pull as hard as ever where lengths are divided out.

    Args:
        gradients: Gradients of this step, (k, n), not the followed ones.

    Returns:
        Rising positions of rows that are not exactly zero.
    """
    return torch.nonzero((gradients != 0).any(dim=1)).ravel().tolist()


def track(state: State, gradients: Tensor, rate: float) -> State:
    r"""One step of :math:`y_i \leftarrow y_i - \beta (y_i - g_i)`; a task's first gradient is its first y.

    Args:
        state: Holds ``tracked`` and ``seen``, of the present tasks.
        gradients: Gradients of this step, (k, n).
        rate: Rate beta of the tracking, in (0, 1].

    Returns:
        The state with both moved.
    """
    held = state["tracked"].to(gradients)
    known = (state["seen"] > 0).to(gradients.device)[:, None]
    moved = torch.where(known, held - rate * (held - gradients), gradients)
    return {**state, "tracked": moved.to(state["tracked"].dtype), "seen": state["seen"] + 1}
