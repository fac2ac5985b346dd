"""Trainings in this process, or several at once in processes of their own; the numbers are the same to the bit."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

from ....core.progress import Progress
from .entrants import Training
from .parts import Parts
from .running import Trained, attempt

__all__ = ["Unit", "attempted"]

_DIED = "its process died (killed, or out of memory)"


@dataclass(frozen=True, eq=False)
class Unit:
    """One training of one seed: the arguments of `attempt`."""

    parts: Parts
    training: Training
    seed: int
    folder: Path | None

    def run(self) -> Trained | str:
        """Train."""
        return attempt(self.parts, self.training, self.seed, self.folder)

    @property
    def words(self) -> str:
        """As progress shows it."""
        return f"seed {self.seed}: {self.training.name}"


def attempted(units: Sequence[Unit], jobs: int, progress: Progress | None) -> list[Trained | str]:
    """What each training gave, in order, or why it failed.

    A process that dies takes the trainings down that run at that moment: those are tried once more, one at a time, so
    that a training that kills its process costs itself only.
    """
    results: dict[int, Trained | str] = {}

    def tell(number: int) -> None:
        if progress is not None:
            progress(len(results), len(units), units[number].words)

    if jobs == 1:
        for number, unit in enumerate(units):
            tell(number)
            results[number] = unit.run()
        return list(results.values())
    _together(dict(enumerate(units)), min(jobs, len(units)), results, tell)
    for number, unit in enumerate(units):
        if number not in results:
            _together({number: unit}, 1, results, tell)
            results.setdefault(number, _DIED)
    return [results[number] for number in range(len(units))]


def _together(
    units: Mapping[int, Unit], jobs: int, results: dict[int, Trained | str], tell: Callable[[int], None]
) -> None:
    """Put in the results of all units whose process lived."""
    pool = ProcessPoolExecutor(jobs, mp_context=get_context("spawn"))  # a fork of a process with threads can hang
    try:
        futures = {pool.submit(unit.run): number for number, unit in units.items()}
        tell(next(iter(units)))
        for future in as_completed(futures):
            if not isinstance(future.exception(), BrokenProcessPool):
                results[futures[future]] = future.result()
                tell(futures[future])
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
