"""How long work tells its caller where it stands."""

from collections.abc import Callable

__all__ = ["Progress"]

Progress = Callable[[int, int, str], None]
"""Called with the number of steps done, the number of all steps, and what comes next in a few words."""
