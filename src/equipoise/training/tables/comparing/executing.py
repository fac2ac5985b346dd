"""Trainings in this process, or several at once in processes of their own; the numbers are the same to the bit."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ....core.progress import Progress
from ...executors.pool import run_in_processes
from .entrants import Training
from .parts import Parts
from .running import Trained, attempt

__all__ = ["Unit", "attempted"]


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


def _run(unit: Unit) -> Trained | str:
    return unit.run()


def attempted(units: Sequence[Unit], jobs: int, progress: Progress | None) -> list[Trained | str]:
    """What each training gave, in order, or why it failed; a process that dies costs its own training only."""
    results: dict[int, Trained | str] = {}

    def ended(number: int, result: Trained | str) -> None:
        results[number] = result
        following = next((unit.words for place, unit in enumerate(units) if place not in results), "")
        if progress is not None and following:
            progress(len(results), len(units), following)

    if progress is not None and units:
        progress(0, len(units), units[0].words)
    if jobs == 1:
        for number, unit in enumerate(units):
            ended(number, unit.run())
    else:
        calls = {number: (unit,) for number, unit in enumerate(units)}
        run_in_processes(_run, calls, min(jobs, len(units)), ended, lambda _, why: why)
    return [results[number] for number in range(len(units))]
