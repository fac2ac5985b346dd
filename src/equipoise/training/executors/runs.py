"""A run as a value, and a list of them carried out by anything that has `submit`."""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal, Protocol

import torch
from pydantic import BaseModel, ConfigDict, ValidationError

from ...core.files import read_file, replace_file
from ...core.names import doubled
from ...core.numbers import is_whole
from ...core.progress import Progress
from ...core.records.json_text import first_fault
from ...errors import EquipoiseError, RunFolderError, SettingError
from ...methods.base import Method
from ...methods.loss import LinearScalarization
from ..loop.fitted import Fitted
from ..loop.training import fit
from ..problem.problem import Problem
from ..stacked.many_fits import STACKABLE, fit_together
from .configuration_text import text_of
from .pool import run_in_processes

__all__ = ["Outcome", "Run", "run_all"]

RESULT = "result.json"
Status = Literal["done", "failed", "died"]
_FAILURES = (EquipoiseError, ArithmeticError, LookupError, OSError, RuntimeError, TypeError, ValueError)
_MOST = 64  # runs in one stack


@dataclass(frozen=True)
class Run:
    """One training: what `equipoise.fit` is called with.

    Attributes:
        problem: Function that makes the problem. For worker processes it must be importable: a function of a module,
            or a ``functools.partial`` of one.
        method: Method that balances the losses; None for their mean.
        seed: Seed of the training.
        settings: Further arguments of `equipoise.fit`, such as ``{"epochs": 20}``.
        name: Shown in messages; it does not decide the result, and is not part of the key.

    Example:
        >>> import equipoise as eq
        >>> def make(rows: int = 8) -> eq.Problem: ...
        >>> Run(make, eq.MGDA(), settings={"steps": 5}).key == Run(make, eq.MGDA(), settings={"steps": 5}, name="x").key
        True
    """

    problem: Callable[[], Problem]
    method: Method | None = None
    seed: int = 0
    settings: Mapping[str, Any] = field(default_factory=dict)
    name: str = ""

    @property
    def key(self) -> str:
        """Hash of the configuration: 16 hexadecimal digits, the same in every process."""
        card = {
            "problem": text_of(self.problem),
            "method": repr(self.method),
            "seed": int(self.seed),
            "settings": {name: text_of(value) for name, value in sorted(self.settings.items())},
        }
        return hashlib.sha256(json.dumps(card, sort_keys=True).encode()).hexdigest()[:16]


class Outcome(BaseModel):
    """What became of a run.

    Attributes:
        key: Key of the run.
        name: Name of the run.
        status: ``done``; ``failed`` (it raised); ``died`` (its process was killed or crashed).
        words: Why it failed, or how it ended.
        losses: Part -> task -> loss of the selected model.
        metrics: Part -> task -> name -> value.
        weights: Task -> mean weight over the last interval; None for methods without weights, and failures.
        best_step: Step of the selected model.
        steps: Steps of the training.
        passes: Its backward passes.
        seconds: Its wall time.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    format: Literal[1] = 1
    key: str
    name: str = ""
    status: Status
    words: str
    losses: dict[str, dict[str, float | None]] = {}
    metrics: dict[str, dict[str, dict[str, float | None]]] = {}
    weights: dict[str, float | None] | None = None
    best_step: int = 0
    steps: int = 0
    passes: int = 0
    seconds: float = 0.0


class Executor(Protocol):
    """Anything with `submit`, such as those of ``concurrent.futures``, Dask or Ray's pool."""

    def submit(self, function: Callable[..., Any], /, *arguments: Any) -> Any:
        """Begin a call; what is returned has `result`."""


def run_all(
    runs: Iterable[Run],
    executor: Executor | None = None,
    *,
    jobs: int = 1,
    threads: int = 1,
    stack: bool = False,
    folder: str | Path | None = None,
    progress: Progress | None = None,
) -> list[Outcome]:
    """Carry out a list of trainings; a run that fails or whose process dies costs nothing but itself.

    Every run uses `threads` threads wherever it runs, and draws from its own seed only, so the results are the same
    whatever the number of jobs. With `folder` each run has a folder of its key's name, so the same call goes on where
    it was interrupted, in the middle of a run too; runs that failed or died are tried again.

    With `stack`, runs of one problem and the same settings that differ in seed or in the weights of a
    `LinearScalarization` are trained together, at most 64 at a time, in one vectorized step (`torch.func.vmap`), where
    a measurement on their first steps says that it is faster. It is logged, and in the outcomes' words. Losses agree
    with those of a run by itself to about 1e-5, relative, in float32, but not to the bit, and a stack that is
    interrupted begins anew. Models that cannot be stacked are trained one after another, and the words say why.

    Args:
        runs: Trainings, no two of the same configuration.
        executor: Anything with `submit`, such as ``eq.integrations.RayExecutor`` and ``SlurmExecutor``; `jobs` worker
            processes, or this process for 1 job, if None.
        jobs: Number of worker processes.
        threads: Number of threads of each run.
        stack: Whether runs that differ in seed and weights only are trained together where that is faster.
        folder: Folder of results and checkpoints; nothing is kept if None.
        progress: Called when a run has ended.

    Returns:
        One outcome a run, in the order of the runs.

    Raises:
        SettingError: Two runs of one configuration, or a setting out of range.
        RunFolderError: A result cannot be read.

    Example:
        >>> import torch, equipoise as eq
        >>> def make() -> eq.Problem:
        ...     x = torch.linspace(-1, 1, 32)[:, None]
        ...     losses = {"a": lambda out, batch: (out - batch[1]) ** 2, "b": lambda out, batch: (out - 1) ** 2}
        ...     return eq.Problem(lambda: torch.nn.Linear(1, 1), losses, train=(x, x), test=(x, x))
        >>> outcomes = eq.run_all([eq.Run(make, eq.MGDA(), seed, {"steps": 4}) for seed in (0, 1)])
        >>> [(outcome.status, outcome.steps) for outcome in outcomes]
        [('done', 4), ('done', 4)]
    """
    listed_runs = list(runs)
    keys = [run.key for run in listed_runs]
    wrong = [
        f"{name}={value!r}" for name, value in {"jobs": jobs, "threads": threads}.items() if not is_whole(value, 1)
    ]
    wrong += [f"the runs with the keys {twice} are the same" for twice in [doubled(keys)] if twice]
    if wrong:
        raise SettingError(f"eq.run_all needs whole numbers from 1 and different runs; got {'; '.join(wrong)}.")
    place = None if folder is None else Path(folder)
    found: dict[int, Outcome] = {}
    for number, key in enumerate(keys):
        known = None if place is None else _kept(place / key)
        if known is not None and known.status == "done":
            found[number] = known.model_copy(update={"name": listed_runs[number].name})
    waiting = [number for number in range(len(keys)) if number not in found]

    def ended(number: int, outcome: Outcome) -> None:
        found[number] = outcome
        if progress is not None:
            progress(len(found), len(keys), f"{outcome.name or outcome.key}: {outcome.status}")

    place_text = None if place is None else str(place)
    groups = in_groups(listed_runs, waiting, place) if stack else [[number] for number in waiting]
    calls = {group[0]: ([listed_runs[number] for number in group], threads, place_text) for group in groups}
    members = {group[0]: group for group in groups}

    def all_ended(first: int, outcomes: list[Outcome]) -> None:
        for number, outcome in zip(members[first], outcomes, strict=True):
            ended(number, outcome)

    def all_died(first: int, why: str) -> list[Outcome]:
        return [_died(listed_runs[number], why) for number in members[first]]

    if executor is not None:
        with getattr(executor, "together", nullcontext)():  # such as one array of jobs
            futures = {first: executor.submit(carry_out_together, *call) for first, call in calls.items()}
        for first, future in futures.items():
            all_ended(first, _result(future, partial(all_died, first)))
    elif jobs == 1:
        for first, call in calls.items():
            all_ended(first, carry_out_together(*call))
    else:
        run_in_processes(carry_out_together, calls, jobs, all_ended, all_died)
        # which run of a stack killed its process is found by carrying out each by itself
        again = [number for group in groups if len(group) > 1 for number in group if found[number].status == "died"]
        members = {number: [number] for number in again}
        calls = {number: ([listed_runs[number]], threads, place_text) for number in again}
        run_in_processes(carry_out_together, calls, jobs, all_ended, all_died)
    return [found[number] for number in range(len(keys))]


def carry_out_together(runs: Sequence[Run], threads: int, folder: str | None) -> list[Outcome]:
    """Runs that may be stacked, in whatever process this is; what cannot be stacked is carried out one by one."""
    if len(runs) == 1:
        return [carry_out(runs[0], threads, folder)]
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        problem = runs[0].problem()
        weighted = [(run.method or LinearScalarization(), run.seed) for run in runs]
        together = fit_together(problem, weighted, runs[0].settings)  # type: ignore[arg-type] # `in_groups` looked
        fitted, words = together.fitted, together.words
    except _FAILURES as error:  # each run by itself says what fails in it
        fitted, words = [None] * len(runs), f"one after another: {type(error).__name__}: {error}"
    finally:
        torch.set_num_threads(before)
    outcomes = []
    for run, one in zip(runs, fitted, strict=True):
        if one is None:
            outcome = carry_out(run, threads, folder)
            outcome = outcome.model_copy(update={"words": f"{outcome.words}; {words}"})
        else:
            outcome = _outcome(run, one, f"{one.status}; {words}")
        if folder is not None:
            place = Path(folder) / run.key
            place.mkdir(parents=True, exist_ok=True)
            replace_file(place / RESULT, outcome.model_dump_json(indent=2) + "\n")
        outcomes.append(outcome)
    return outcomes


def carry_out(run: Run, threads: int, folder: str | None) -> Outcome:
    """One run, in whatever process this is; what it raises is recorded, and does not end the others.

    Raises:
        KeyboardInterrupt, SystemExit: The run is saved first.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    place = None if folder is None else Path(folder) / run.key
    try:
        problem = run.problem()
        fitted = fit(problem, run.method, seed=run.seed, folder=place, **run.settings)
        outcome = _outcome(run, fitted, fitted.status)
    except _FAILURES as error:
        outcome = Outcome(key=run.key, name=run.name, status="failed", words=f"{type(error).__name__}: {error}")
    finally:
        torch.set_num_threads(before)
    if place is not None and place.is_dir():
        replace_file(place / RESULT, outcome.model_dump_json(indent=2) + "\n")
    return outcome


def _outcome(run: Run, fitted: Fitted, words: str) -> Outcome:
    return Outcome(
        key=run.key,
        name=run.name,
        status="done",
        words=words,
        losses=fitted.losses,
        metrics=fitted.metrics,
        weights=fitted.weights,
        best_step=fitted.best_step,
        steps=fitted.cost.steps,
        passes=fitted.cost.passes,
        seconds=fitted.cost.seconds,
    )


def _kept(place: Path) -> Outcome | None:
    try:
        return Outcome.model_validate_json(read_file(place / RESULT))
    except FileNotFoundError:
        return None
    except (OSError, ValidationError) as error:
        why = first_fault(error) if isinstance(error, ValidationError) else error.strerror
        raise RunFolderError(
            f"{str(place / RESULT)!r} must be a result of eq.run_all; it cannot be read: {why}. Remove it, and the run "
            "is looked at again."
        ) from error


def _result(future: "Future[list[Outcome]]", died: Callable[[str], list[Outcome]]) -> list[Outcome]:
    try:
        return future.result()
    except (OSError, RuntimeError) as error:  # a broken pool is a RuntimeError
        return died(f"{type(error).__name__}: {error}")


def _died(run: Run, why: str) -> Outcome:
    return Outcome(key=run.key, name=run.name, status="died", words=why)


def in_groups(runs: Sequence[Run], waiting: Sequence[int], place: Path | None) -> list[list[int]]:
    """Numbers of runs that may be trained together: of one problem and the same settings, and weighted sums.

    A run that was begun by itself, in a folder, goes on by itself.
    """
    groups: dict[str, list[int]] = {}
    for number in waiting:
        run = runs[number]
        plain = isinstance(run.method or LinearScalarization(), LinearScalarization) and set(run.settings) <= STACKABLE
        begun = place is not None and (place / run.key).exists()
        same = json.dumps(
            [text_of(run.problem), {name: text_of(value) for name, value in sorted(run.settings.items())}]
        )
        groups.setdefault(same if plain and not begun else str(number), []).append(number)
    return [group[start : start + _MOST] for group in groups.values() for start in range(0, len(group), _MOST)]
