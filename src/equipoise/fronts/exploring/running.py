"""Preferences in, losses out: each trained with every seed, through `run_all`, so that nothing is trained twice."""

from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ...core.numbers import Array
from ...core.progress import Progress
from ...core.tasks import Preference
from ...errors import EquipoiseError
from ...methods import LinearScalarization, Tchebycheff
from ...training.executors.pool import process_context
from ...training.executors.runs import Executor, Outcome, Run, run_all
from .selecting import PreferredLoss
from .subject import Subject

__all__ = ["RUNS", "Trainings", "ending", "vector"]

RUNS = "runs"
"""Folder of the runs below that of the exploration."""


@dataclass(eq=False)
class Trainings:
    """Everything that was trained so far.

    Attributes:
        subject: Problem that is explored.
        seeds: Seeds of every preference.
        jobs: Number of worker processes.
        executor: The executor that runs are submitted to, or None.
        stack: Whether the seeds of a preference are trained together where that is faster.
        folder: Folder of the exploration, or None.
        progress: Told before each preference.
        expected: Most preferences that will be trained.
        done: Preference -> one outcome a seed.
    """

    subject: Subject
    seeds: Sequence[int]
    jobs: int
    executor: Executor | None
    stack: bool
    folder: Path | None
    progress: Progress | None
    expected: int
    done: dict[Preference, list[Outcome]] = field(default_factory=dict)
    _pool: ProcessPoolExecutor | None = None

    def train(self, preference: Preference) -> list[Outcome]:
        """One outcome a seed.

        Raises:
            EquipoiseError: The training failed with every seed.
        """
        if preference in self.done:
            return self.done[preference]
        if self.progress is not None:
            self.progress(len(self.done), self.expected, _short(preference))
        assert isinstance(preference, LinearScalarization | Tchebycheff)
        runs = [
            Run(
                self.subject.problem_of(seed),
                preference,
                seed,
                {**self.subject.settings, "select": PreferredLoss(preference)},
            )
            for seed in self.seeds
        ]
        found = self._carry_out(runs)
        if all(vector(outcome, self.subject.names) is None for outcome in found):
            why = ending(found[0], self.subject.names).rstrip(".")
            raise EquipoiseError(
                f"training with {preference!r} failed with every seed: {why}. What is finished is kept where a folder "
                "was given."
            )
        self.done[preference] = found
        return found

    def _carry_out(self, runs: Sequence[Run]) -> list[Outcome]:
        """One pool of processes for all preferences: a process takes longer to start than a small training."""
        place = None if self.folder is None else self.folder / RUNS
        if self.executor is not None or self.jobs == 1:
            return run_all(runs, self.executor, folder=place, stack=self.stack)
        if self._pool is None:
            self._pool = ProcessPoolExecutor(min(self.jobs, len(self.seeds)), mp_context=process_context())
        found = run_all(runs, self._pool, folder=place)
        if any(outcome.status == "died" for outcome in found):  # the pool is broken, and does not say by which run
            self.close()
            found = run_all(runs, jobs=min(self.jobs, len(runs)), folder=place)
        return found

    def close(self) -> None:
        """End the processes."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
            self._pool = None

    def losses(self, preference: Preference) -> Array:
        """(k,) means over the seeds that are done, on the part that judges."""
        rows = [vector(outcome, self.subject.names) for outcome in self.train(preference)]
        return np.asarray(np.mean([row for row in rows if row is not None], axis=0))


def _short(preference: Preference) -> str:
    assert isinstance(preference, LinearScalarization | Tchebycheff)
    weights = " : ".join(f"{float(w):.3g}" for w in preference.weights or () if not isinstance(w, tuple))
    return (
        f"{'weighted sum' if isinstance(preference, LinearScalarization) else 'Tchebycheff point'}, weights {weights}"
    )


def vector(outcome: Outcome, tasks: Sequence[str], part: str = "val") -> tuple[float, ...] | None:
    """The k losses of a run on a part; None where it failed or one is not finite."""
    found = [outcome.losses.get(part, {}).get(task) for task in tasks]
    known = tuple(loss for loss in found if loss is not None)
    return known if outcome.status == "done" and len(known) == len(tasks) else None


def ending(outcome: Outcome, tasks: Sequence[str]) -> str:
    """How a run ended, in words; one that was carried out may still have losses that are not finite."""
    if outcome.status == "done" and vector(outcome, tasks) is None:
        return "its losses on the validation part are not finite."
    return outcome.words
