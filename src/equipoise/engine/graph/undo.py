"""Changes to the user's objects that last for a part of a step, and are taken back whatever happens."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch

__all__ = ["CHANGES", "Modes", "end", "take_back_all", "taken_back", "until_end"]


class _Changes(threading.local):
    """What has not been taken back yet; each entry takes one change back."""

    def __init__(self) -> None:
        self.open: list[Callable[[], None]] = []


CHANGES = _Changes()
"""`CHANGES.open` is emptied when a step begins: what was left over by others is not its business."""


_AUTOCAST = ("cpu", "cuda")

Modes = tuple[bool, ...]
"""Whether gradients are recorded, and autocast by device."""


def take_back_all(modes: Modes) -> None:
    """After a step that failed: takes back what an interruption kept a block from taking back.

    Args:
        modes: As they were when it began; torch's own contexts leave them wrong where they are interrupted at their
            end.
    """
    torch.set_grad_enabled(modes[0])
    for device, enabled in zip(_AUTOCAST, modes[1:], strict=True):
        torch.set_autocast_enabled(device, enabled)
    for undo in reversed(CHANGES.open):
        undo()


def until_end(undo: Callable[[], None]) -> None:
    """Takes a change back when the step's passes have ended."""
    CHANGES.open.append(undo)


def end() -> None:
    """The passes of a step have ended."""
    while CHANGES.open:
        CHANGES.open[-1]()
        CHANGES.open.pop()


@contextmanager
def taken_back(undo: Callable[[], None]) -> Iterator[None]:
    """Takes a change back at the end of a block.

    Args:
        undo: Leaves everything as it was; may be called twice.
    """
    CHANGES.open.append(undo)
    try:
        yield
    finally:
        undo()
        CHANGES.open.remove(undo)
