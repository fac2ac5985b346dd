"""The point that a Tchebycheff criterion measures from: given, zero, or the best losses seen so far."""

from typing import Literal

import torch
from torch import Tensor

from ...core.tasks import PerTask, freeze_per_task
from ...errors import LossError, SettingError, listed
from ..base import State, StateTensor, Step

__all__ = ["IDEAL_STATE", "Ideal", "freeze_ideal", "initial_ideal", "measure_from_ideal", "utopia_shift"]

Ideal = PerTask | Literal["running"] | None
"""``"running"``: the lowest loss seen of each task; None: zero; or one number a task."""

IDEAL_STATE = StateTensor("ideal", merge="min")


def freeze_ideal(ideal: Ideal) -> Ideal:
    """Checks the setting and makes it hashable."""
    if isinstance(ideal, str):
        if ideal != "running":
            raise SettingError(f"`ideal` must be 'running', None for zero, or one number a task; got {ideal!r}.")
        return ideal
    return freeze_per_task(ideal, "ideal")


def utopia_shift(utopia: float | None, ideal: Ideal) -> float:
    """Distance of z below the ideal: the setting; else 0.01 below a running ideal, and 0 below a given one.

    A running ideal is attained by the task that set it, so it needs a shift to stay below every loss. A given ideal is
    used as written. An ideal of zero has no size to take a share of.
    """
    if utopia is not None:
        return utopia
    return 0.01 if ideal is None or isinstance(ideal, str) else 0.0


def initial_ideal(k: int) -> State:
    """The running ideal before any loss was seen."""
    return {"ideal": torch.full((k,), torch.inf, dtype=torch.float64)}


def measure_from_ideal(
    losses: Tensor, ideal: Ideal, utopia: float | None, state: State, step: Step
) -> tuple[Tensor, State]:
    r"""Losses above the utopia point, :math:`L_i - z_i` with :math:`z_i = ideal_i - utopia \cdot |ideal_i|`.

    Args:
        losses: Losses of the present tasks, (k,).
        ideal: The method's setting, frozen.
        utopia: Distance of z below the ideal, relative to the ideal's size; None as in `utopia_shift`.
        state: State that holds ``ideal``.
        step: Step that names the tasks.

    Returns:
        The differences (k,), differentiable, and the state with the running ideal updated (this step included).

    Raises:
        LossError: A given ideal lies above a loss: it is not one.
    """
    best = state["ideal"]
    if ideal == "running":
        best = torch.minimum(best, losses.detach())
        state = {**state, "ideal": best}
    elif ideal is None:
        best = torch.zeros_like(losses)
    else:
        best = step.tasks.vector(ideal, "ideal").to(losses)
        below = losses.detach() < best
        if below.any():
            names = [name for name, is_below in zip(step.tasks.here, below.tolist(), strict=True) if is_below]
            raise LossError(
                f"`ideal` must not lie above a loss; the losses of {listed(names)} have fallen below it "
                f"({losses.detach()[below].tolist()} < {best[below].tolist()}). Lower it, or use ideal='running'."
            )
    return losses - (best - utopia_shift(utopia, ideal) * best.abs()), state
