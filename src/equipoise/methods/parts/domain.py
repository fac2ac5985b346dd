"""Checks of loss methods: settings, and losses before a logarithm or a ratio is taken, with the tasks by name."""

import math
from numbers import Real

from torch import Tensor

from ...core.tasks import Tasks
from ...errors import LossError, listed

__all__ = ["is_non_negative", "is_positive", "refuse_losses", "refuse_negative_losses", "refuse_nonpositive"]


def is_positive(setting: object) -> bool:
    """Whether a setting is a finite number above 0.

    Example:
        >>> is_positive(0.1), is_positive(0), is_positive(float("inf")), is_positive(float("nan")), is_positive("2")
        (True, False, False, False, False)
    """
    return is_non_negative(setting) and setting != 0


def is_non_negative(setting: object) -> bool:
    """Whether a setting is a finite number of at least 0."""
    return isinstance(setting, Real) and 0 <= float(setting) < math.inf


def refuse_losses(fine: Tensor, losses: Tensor, tasks: Tasks, rule: str, instead: str) -> None:
    """Raises `LossError` where any loss breaks a rule, naming every task that does.

    Args:
        fine: Truth values, (k,): whether a loss keeps the rule (NaN keeps none).
        losses: Losses of the present tasks, (k,).
        tasks: Names of the tasks.
        rule: The rule that must hold, as a clause: "X compares ratios, so no loss may be negative".
        instead: Advice on what to type instead.
    """
    if not fine.all():
        names = [name for name, is_fine in zip(tasks.here, fine.tolist(), strict=True) if not is_fine]
        raise LossError(f"{rule}; those of {listed(names)} are {losses.detach()[~fine].tolist()}. Use {instead}.")


def refuse_nonpositive(
    losses: Tensor, tasks: Tasks, where: str, instead: str, *, why: str = "takes logarithms"
) -> None:
    """Raises `LossError` naming every task whose loss is not positive.

    Args:
        losses: Losses of the present tasks, (k,).
        tasks: Names of the tasks.
        where: The method as the user typed it.
        instead: The method to use instead.
        why: The method's use of the losses, as a clause.

    Example:
        >>> import torch
        >>> refuse_nonpositive(torch.tensor([1.0, 0.0]), Tasks(("a", "b")), "ScaleInvariant", "LinearScalarization")
        Traceback (most recent call last):
        equipoise.errors.LossError: ScaleInvariant takes logarithms, so every loss must be positive; those of 'b' are
        [0.0]. Use LinearScalarization.
    """
    rule = f"{where} {why}, so every loss must be positive"
    refuse_losses(losses > 0, losses, tasks, rule, instead)


def refuse_negative_losses(losses: Tensor, tasks: Tasks, where: str, instead: str, *, why: str) -> None:
    """Raises `LossError` naming every task whose loss is negative; zero is allowed. Arguments as above."""
    rule = f"{where} {why}, so no loss may be negative"
    refuse_losses(losses >= 0, losses, tasks, rule, instead)
