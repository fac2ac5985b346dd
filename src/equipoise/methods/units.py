"""Gradients whose squares leave float64: another unit where a method allows one, else a refusal by name."""

import math

import torch
from torch import Tensor

from ..errors import NonFiniteError
from .base import Method, Step

__all__ = ["common_unit", "in_unit", "refuse_nonfinite"]

_LARGEST, _SMALLEST = 2.0**1000, 2.0**-900  # squares of lengths between these keep all their digits


def common_unit(method: Method, jacobian: Tensor, squares: Tensor) -> int:
    """The power of two in which the gradients are to be measured: 0 unless their squares leave float64.

    Args:
        method: Method whose degree says how its direction changes with the unit.
        jacobian: Gradients of the tasks, (k, n).
        squares: (k,), the squared lengths of its rows.

    Returns:
        The power, of the longest entry. Gradients of which all squares vanish count as zero (0 is returned) where the
        method has no degree or remembers something in units of a gradient.

    Raises:
        NonFiniteError: The squares overflow, and the method has no degree or remembers something with a unit.

    Example:
        >>> from equipoise.methods import MGDA
        >>> rows = torch.tensor([[2.0**600, 0.0], [0.0, 2.0**599]], dtype=torch.float64)
        >>> common_unit(MGDA(), rows, (rows @ rows.T).diagonal())
        601
    """
    longest = float(squares.max())
    if _SMALLEST <= longest <= _LARGEST:
        return 0
    largest = float(jacobian.abs().max()) if jacobian.numel() else 0.0
    if largest == 0:
        return 0
    if method.degree() is not None and not method.remembers_units:
        return math.frexp(largest)[1]
    if longest < _SMALLEST:
        return 0
    raise NonFiniteError(
        f"the squares of the gradients must stay below 1e301; the longest gradient has an entry of {largest:.3g}, and "
        f"{method!r} depends on the unit. Divide the losses by about {largest:.0e}."
    )


def in_unit(values: Tensor, power: float) -> Tensor:
    """`values` times 2^power, in two steps, so that no factor leaves float64."""
    return values if power == 0 else values * 2.0 ** (power / 2) * 2.0 ** (power / 2)


def refuse_nonfinite(method: Method, what: str, values: Tensor, step: Step) -> None:
    """Raises `NonFiniteError` unless every number is finite; numbers on an accelerator are looked at later."""
    if values.device.type != "cpu" or math.isfinite(values.sum()):  # a finite sum has finite parts, not the reverse
        return
    if not bool(torch.isfinite(values).all()):
        raise NonFiniteError(
            f"{method!r} gives a {what} that holds NaN or inf for finite gradients of the tasks "
            f"{', '.join(step.tasks.here)}: their lengths leave float64. Bring the losses near 1, for example by "
            "dividing each by its first value."
        )
