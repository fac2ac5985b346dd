"""Undo a division by the number of micro-batches already applied by the training framework."""

import math
import warnings
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from ...engine.graph.hooks import ours
from ...errors import EquipoiseWarning

__all__ = ["divisor", "followed"]


def followed(scalar: Tensor, steps: int, done: int, *, divided: bool) -> Tensor:
    """The scalar of a window, whose gradient does not depend on a division by the number of micro-batches.

    Args:
        scalar: Scalar of the window, on which `backward` will be called.
        steps: Number of micro-batches in a full window.
        done: Number of micro-batches in this window.
        divided: Whether the user declared a division. If not, gradients stay as they are, and a factor of exactly
            1/steps or 1/done gives a warning.
    """
    if divided:
        found: Tensor = _Undivided.apply(scalar, steps, done)  # type: ignore[no-untyped-call]
        return found
    ours(scalar.register_hook, lambda upstream: _warn_if_divided(upstream, steps, done))
    return scalar


def divisor(upstream: float, steps: int, done: int, tolerance: float) -> int:
    """The divisor of the incoming gradient: `steps`, `done` or 1.

    Args:
        upstream: The incoming gradient; 1 without a division. A `GradScaler` multiplies it by a power of two.
        steps: Number of micro-batches in a full window; returned where the numbers do not decide.
        done: Number of micro-batches in this window.
        tolerance: Relative rounding of the gradient's type.

    Example:
        >>> divisor(0.25, 4, 4, 1e-6), divisor(1 / 3, 4, 3, 1e-6), divisor(1.0, 4, 4, 1e-6)
        (4, 3, 1)
        >>> divisor(65536 / 3, 3, 3, 1e-6), divisor(65536.0, 3, 3, 1e-6)
        (3, 1)
    """
    for number in (steps, done, 1):
        if math.isclose(upstream * number, 1.0, rel_tol=tolerance):
            return number
    if not (math.isfinite(upstream) and upstream > 0):
        return steps
    for number in (steps, done, 1):
        exponent = math.log2(upstream * number)
        if abs(exponent - round(exponent)) < 2 * tolerance:
            return number
    return steps


def _tolerance(upstream: Tensor) -> float:
    return 4 * torch.finfo(upstream.dtype).eps


class _Undivided(torch.autograd.Function):
    """Forward: the scalar itself. Backward: the incoming gradient times its divisor."""

    @staticmethod
    def forward(ctx: Any, scalar: Tensor, steps: int, done: int) -> Tensor:
        ctx.numbers = (steps, done)
        return scalar.clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, None, None]:
        steps, done = ctx.numbers
        return upstream * divisor(upstream.item(), steps, done, _tolerance(upstream)), None, None


def _warn_if_divided(upstream: Tensor, steps: int, done: int) -> None:
    value = upstream.item()
    number = next((n for n in (steps, done) if n > 1 and math.isclose(value * n, 1.0, rel_tol=_tolerance(upstream))), 0)
    if number:
        warnings.warn(
            f"the balanced loss of {done} micro-batches was divided by {number} before backward. Their mean has been "
            "made already, so the direction is that much too small. Do not divide, or, where a framework does, say "
            "balancer.accumulate(steps, divided=True).",
            EquipoiseWarning,
            stacklevel=2,
        )
