"""Problems given by a formula, with gradients in closed form, and the paths that methods take on them."""

from .paths import Path, descend
from .two_task_toy import CAGRAD_STARTS, NASH_STARTS, TwoTaskToy

__all__ = ["CAGRAD_STARTS", "NASH_STARTS", "Path", "TwoTaskToy", "descend"]
