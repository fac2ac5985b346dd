"""The callback by which long work reports where it stands; as an argument it is always called `progress`."""

from collections.abc import Callable

__all__ = ["Progress"]

Progress = Callable[[int, int, str], None]
"""Called with steps done, steps in all (0 while that is unknown), and what comes next in a few words."""
