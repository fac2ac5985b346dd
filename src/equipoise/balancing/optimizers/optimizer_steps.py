"""The optimizer step that is running, inside of which a closure calls a Balancer."""

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
        number: Unique number of the step.
        name: Name of the optimizer's class.
        searches: Whether it compares values along a line (L-BFGS with ``line_search_fn=``).
        code: Code object of the function that runs the step.
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
    """Registers a hook on the start of every optimizer step, once. Cost: one call per step of an optimizer."""
    if not _watching:
        _watching.append(register_optimizer_step_pre_hook(_begin))


def running_step() -> OptimizerStep | None:
    """The step with a closure inside of which this call runs, or None.

    No hook marks the end of a step that raises, so a step counts as ended where no caller on the stack runs it.
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
