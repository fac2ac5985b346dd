"""Progress on stderr: a bar on a terminal, a line now and then where it is piped, nothing with --quiet."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from ..core.progress import Progress
from .terminal import say

__all__ = ["left", "progress_on_stderr"]

_PATIENCE = 1.0
"""Seconds between lines, and before the first: shorter work stays silent."""
_ENOUGH = 5.0
"""Seconds of work before the time left is guessed."""


@contextmanager
def progress_on_stderr(quiet: bool) -> Iterator[Progress]:
    """Show progress inside a ``with`` block unless `quiet`; the time left comes from the steps of this process."""
    if quiet:
        yield lambda done, total, words: None
    elif sys.stderr.isatty():
        with _bar() as progress:
            yield progress
    else:
        yield _lines()


def left(seconds: float, done: int, total: int) -> str:
    """The time left in words, from the steps that this process has done in some seconds; "" while that is unknown.

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


def _lines() -> Progress:
    began = told = time.monotonic()
    first: int | None = None  # steps that were done before, by an earlier run or not

    def progress(done: int, total: int, words: str) -> None:
        nonlocal began, told, first
        now = time.monotonic()
        if total and first is None:
            began, first = now, done
        if now - told >= _PATIENCE:
            told = now
            rest = left(now - began, done - first, total - first) if first is not None else ""
            say(f"{words} ({', '.join(filter(None, (f'{done} of {total}', rest)))})" if total else words, err=True)

    return progress


@contextmanager
def _bar() -> Iterator[Progress]:
    from rich import progress as shown  # noqa: PLC0415
    from rich.console import Console  # noqa: PLC0415 - not for --help

    from ..core.text import clean  # noqa: PLC0415

    columns = (
        shown.TextColumn("{task.description}", markup=False),
        shown.BarColumn(),
        shown.MofNCompleteColumn(),
        shown.TimeElapsedColumn(),
        shown.TextColumn("left:"),
        shown.TimeRemainingColumn(),
    )
    with shown.Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("reading", total=None)

        def progress(done: int, total: int, words: str) -> None:
            bar.update(task, completed=done, total=total or None, description=clean(words))

        yield progress
