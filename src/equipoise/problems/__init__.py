"""Problems given by a formula: losses and gradients in closed form, so that a path costs seconds and has a known end."""

from .paths import Path, descend
from .two_task_toy import CAGRAD_STARTS, NASH_STARTS, TwoTaskToy

__all__ = ["CAGRAD_STARTS", "NASH_STARTS", "Path", "TwoTaskToy", "descend"]
