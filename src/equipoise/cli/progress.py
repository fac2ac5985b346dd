"""Progress on stderr: a bar on a terminal, a line now and then where it is piped, nothing with --quiet."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from .terminal import say

__all__ = ["Report", "left", "progress"]

Report = Callable[[int, int, str], None]
"""Called with steps done, steps in all (0 where that is not known yet), and what is being done."""

_PATIENCE = 1.0
"""Seconds between lines, and before the first: shorter work stays silent."""
_ENOUGH = 5.0
"""Seconds of work before the time left is guessed."""


@contextmanager
def progress(quiet: bool) -> Iterator[Report]:
    """A function to call as work goes on. The time left is a guess from the steps of this process so far.

    Args:
        quiet: Show nothing.
    """
    if quiet:
        yield lambda done, total, words: None
    elif sys.stderr.isatty():
        with _bar() as report:
            yield report
    else:
        yield _lines()


def left(seconds: float, done: int, total: int) -> str:
    """A guess of the time left, or "" where there is nothing to guess from.

    Args:
        seconds: That the steps done took.
        done: Steps of this process.
        total: All steps that this process has to do.

    Example:
        >>> left(60.0, 10, 40), left(1.0, 10, 40), left(3600.0, 1, 4)
        ('about 3 min left', '', 'about 3 h left')
    """
    if done <= 0 or seconds < _ENOUGH or total <= done:
        return ""
    rest = seconds * (total - done) / done
    for size, unit in ((3600.0, "h"), (60.0, "min")):
        if rest >= 1.5 * size:
            return f"about {rest / size:.0f} {unit} left"
    return f"about {max(1, round(rest))} s left"


def _lines() -> Report:
    began = told = time.monotonic()
    first: int | None = None  # steps that were done before, by an earlier run or not

    def report(done: int, total: int, words: str) -> None:
        nonlocal began, told, first
        now = time.monotonic()
        if total and first is None:
            began, first = now, done
        if now - told >= _PATIENCE:
            told = now
            rest = left(now - began, done - first, total - first) if first is not None else ""
            say(f"{words} ({', '.join(filter(None, (f'{done} of {total}', rest)))})" if total else words, err=True)

    return report


@contextmanager
def _bar() -> Iterator[Report]:
    from rich.console import Console  # noqa: PLC0415 - not for --help
    from rich.progress import (  # noqa: PLC0415
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    from ..core.text import clean  # noqa: PLC0415

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left:"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("reading", total=None)

        def report(done: int, total: int, words: str) -> None:
            bar.update(task, completed=done, total=total or None, description=clean(words))

        yield report
