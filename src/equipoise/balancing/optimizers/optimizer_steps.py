"""Which optimizer's step is running: a closure that calls a Balancer runs inside of one."""

import itertools
import sys
import threading
from dataclasses import dataclass
from types import CodeType, FrameType

import torch
from torch.optim.optimizer import Optimizer, register_optimizer_step_pre_hook

__all__ = ["BEGUN", "OptimizerStep", "running_step", "watch_optimizers"]


@dataclass(frozen=True)
class OptimizerStep:
    """One call of an optimizer's `step` with a closure.

    Attributes:
        number: Counts all of them; no two are alike.
        name: Of the optimizer's class.
        searches: Whether it compares values along a line (L-BFGS with ``line_search_fn=``).
        code: Of the function that runs it.
    """

    number: int
    name: str
    searches: bool
    code: CodeType


class _Begun(threading.local):
    step: OptimizerStep | None = None


BEGUN = _Begun()
"""`BEGUN.step` is the last step with a closure that has begun in this thread; it may have ended."""

_numbers = itertools.count()
_watching: list[object] = []


def watch_optimizers() -> None:
    """Has optimizers say when a step begins, from now on. Cost: one call a step of an optimizer."""
    if not _watching:
        _watching.append(register_optimizer_step_pre_hook(_begin))


def running_step() -> OptimizerStep | None:
    """The step with a closure that this call stands in.

    Nobody says when a step ends: one that ends by an exception could not. It has ended where no caller runs it.
    """
    step = BEGUN.step
    frame: FrameType | None = None if step is None else sys._getframe(1)
    while step is not None and frame is not None and frame.f_code is not step.code:
        frame = frame.f_back
    if frame is None:
        BEGUN.step = step = None
    return step


def _begin(optimizer: Optimizer, args: tuple[object, ...], kwargs: dict[str, object]) -> None:
    if (len(args) < 2 and "closure" not in kwargs) or torch.compiler.is_compiling():
        return
    searches = isinstance(optimizer, torch.optim.LBFGS) and optimizer.param_groups[0]["line_search_fn"] is not None
    BEGUN.step = OptimizerStep(next(_numbers), type(optimizer).__name__, searches, sys._getframe(1).f_code)
