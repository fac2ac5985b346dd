"""Temporary changes to the user's objects, which are undone whatever happens."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch

__all__ = ["CHANGES", "Modes", "end", "take_back_all", "taken_back", "until_end"]


class _Changes(threading.local):
    """Changes that are not undone yet; each entry undoes one."""

    def __init__(self) -> None:
        self.open: list[Callable[[], None]] = []


CHANGES = _Changes()
"""`CHANGES.open` is emptied when a step begins: leftovers of other steps do not concern it."""


_AUTOCAST = ("cpu", "cuda")

Modes = tuple[bool, ...]
"""Whether gradients are recorded, and whether autocast is on for each of `_AUTOCAST`."""


def take_back_all(modes: Modes) -> None:
    """Undoes, after a failed step, the changes that an interruption left in place.

    Args:
        modes: Modes at the start of the step; torch's own contexts leave them wrong where an interruption strikes at
            their end.
    """
    torch.set_grad_enabled(modes[0])
    for device, enabled in zip(_AUTOCAST, modes[1:], strict=True):
        torch.set_autocast_enabled(device, enabled)
    for undo in reversed(CHANGES.open):
        undo()


def until_end(undo: Callable[[], None]) -> None:
    """Undoes a change when the step's passes have ended."""
    CHANGES.open.append(undo)


def end() -> None:
    """Undoes all changes, at the end of a step's passes."""
    while CHANGES.open:
        CHANGES.open[-1]()
        CHANGES.open.pop()


@contextmanager
def taken_back(undo: Callable[[], None]) -> Iterator[None]:
    """Undoes a change at the end of a block.

    Args:
        undo: Function that restores the original; it may be called twice.
    """
    CHANGES.open.append(undo)
    try:
        yield
    finally:
        undo()
        CHANGES.open.remove(undo)
