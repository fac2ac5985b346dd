"""SIGINT and SIGTERM while a run has a folder: the step in progress ends, the run is saved, the program leaves."""

import signal
import threading
from types import FrameType
from typing import Any, NoReturn, Self

__all__ = ["Signals"]


class Signals:
    """Notes the first signal; a second one acts at once, as it would without us.

    Args:
        active: Whether to listen at all. Only a process's main thread can.

    Attributes:
        caught: Number of the signal that came, or None.
    """

    def __init__(self, active: bool) -> None:
        self.caught: int | None = None
        self._active = active and threading.current_thread() is threading.main_thread()
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        if self._active:
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        self._put_back()

    def leave(self) -> NoReturn:
        """End the program as the signal would have: ``KeyboardInterrupt``, or exit status 143 for SIGTERM."""
        self._put_back()
        if self.caught == signal.SIGINT:
            raise KeyboardInterrupt
        raise SystemExit(128 + int(self.caught or signal.SIGTERM))

    def _note(self, number: int, frame: FrameType | None) -> None:
        del frame
        self.caught = number
        self._put_back()

    def _put_back(self) -> None:
        while self._before:
            number, handler = self._before.popitem()
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
