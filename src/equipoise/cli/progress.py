"""Progress on stderr: a bar on a terminal, a line now and then where it is piped, nothing with --quiet."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["Report", "progress"]

Report = Callable[[int, int, str], None]
"""Called with steps done, steps in all, and what is being done."""

_PATIENCE = 1.0
"""Seconds between lines, and before the first: shorter work stays silent."""


@contextmanager
def progress(quiet: bool) -> Iterator[Report]:
    """A function to call as work goes on.

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


def _lines() -> Report:
    told = time.monotonic()

    def report(done: int, total: int, words: str) -> None:
        nonlocal told
        if time.monotonic() - told >= _PATIENCE:
            told = time.monotonic()
            sys.stderr.write(f"{words} ({done} of {total})\n")
            sys.stderr.flush()

    return report


@contextmanager
def _bar() -> Iterator[Report]:
    from rich.console import Console  # noqa: PLC0415 - not for --help
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn  # noqa: PLC0415

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("reading", total=None)

        def report(done: int, total: int, words: str) -> None:
            bar.update(task, completed=done, total=total, description=words)

        yield report
