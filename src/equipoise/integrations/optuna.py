"""Optuna: an adaptive search over trainings, in a storage that several machines may share."""

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

from ..core.files import locked, refusing, take_lock
from ..core.numbers import is_whole
from ..core.optional import needed
from ..core.progress import Progress
from ..errors import RunFolderError, SettingError
from ..training.executors.runs import Executor, Outcome, Run, run_all

__all__ = ["optuna_search"]

Objectives = Sequence[str] | Mapping[str, Callable[[Outcome], float | None]]


def optuna_search(
    make_run: Callable[[Any], Run],
    objectives: Objectives,
    *,
    storage: Any,
    folder: str | Path,
    trials: int,
    name: str = "equipoise",
    at_once: int = 1,
    executor: Executor | None = None,
    jobs: int = 1,
    threads: int = 1,
    sampler: Any = None,
    progress: Progress | None = None,
) -> Any:
    """Search over weights, preferences or settings of trainings, each trial chosen from the results of earlier ones.

    Trials are `equipoise.Run` objects, carried out by `equipoise.run_all`. Repeating the command on the same storage
    and folder goes on: trials that an interrupted process left behind are tried again with the same parameters and go
    on from their checkpoints. The same command on several machines, with a storage and folder that all of them see,
    shares the trials. ``equipoise runs`` reads the storage of a database. Needs the extra ``equipoise[tune]``.

    Args:
        make_run: Function of an ``optuna.Trial`` that suggests parameters and returns the run. The run must depend on
            these parameters only.
        objectives: Task names, for their losses on the validation part; or a mapping from a name to a function of the
            `Outcome`. All are minimised.
        storage: Address of a database, such as ``"sqlite:///search.db"``; a ``pathlib.Path`` for a journal file, which
            also works on network disks; or a storage of Optuna.
        folder: Folder of results and checkpoints, the same for all commands on the study: trials that were begun with
            another folder are left alone.
        trials: Number of trials of the whole study, those of earlier commands and other machines included.
        name: Name of the study.
        at_once: Number of trials that are chosen together before their results are known.
        executor: Executor of the runs, as for `equipoise.run_all`.
        jobs: Number of worker processes, as for `equipoise.run_all`.
        threads: Number of threads of each run.
        sampler: Sampler of Optuna; Optuna's default if None.
        progress: Called when a run has ended.

    Returns:
        The ``optuna.Study``. Each trial has the user attributes ``run`` (the key of the run and name of its folder)
        and, where it failed, ``words``.

    Raises:
        SettingError: Optuna is not installed; there are no objectives; the study has other ones.
    """
    optuna = needed("optuna", "eq.integrations.optuna_search", "optuna", "equipoise[tune]")
    wanted = {"trials": trials, "at_once": at_once}
    wrong = [f"{word}={value!r} (a whole number from 1)" for word, value in wanted.items() if not is_whole(value, 1)]
    if isinstance(objectives, str) or not objectives:
        wrong.append(f"objectives={objectives!r} (task names, or a mapping from a name to a function of an outcome)")
    if wrong:
        raise SettingError(f"eq.integrations.optuna_search cannot use {'; '.join(wrong)}.")
    study = _study(optuna, storage, name, list(objectives), sampler)
    place = Path(folder)
    with _searching(place / "searches") as me:
        while True:
            _take_over(optuna, study, place / "searches", me)
            begun = study.get_trials(deepcopy=False)
            waiting = sum(trial.state == optuna.trial.TrialState.WAITING for trial in begun)
            fresh = trials - sum("again" not in trial.user_attrs for trial in begun)
            count = min(at_once, max(fresh, 0) + waiting)
            if not count:
                return study
            asked = []
            for _ in range(count):
                trial = study.ask()
                trial.set_user_attr("searcher", me)
                run = make_run(trial)
                trial.set_user_attr("run", run.key)
                asked.append((trial, run))
            different = {run.key: run for _, run in asked}
            outcomes = run_all(
                different.values(), executor, jobs=jobs, threads=threads, folder=place, progress=progress
            )
            found = dict(zip(different, outcomes, strict=True))
            for trial, run in asked:
                _tell(optuna, study, trial, objectives, found[run.key])


def _study(optuna: Any, storage: Any, name: str, objectives: list[str], sampler: Any) -> Any:
    if isinstance(storage, Path):
        backend = optuna.storages.journal.JournalFileBackend(str(storage))
        storage = optuna.storages.JournalStorage(backend)
    study = optuna.create_study(
        study_name=name,
        storage=storage,
        sampler=sampler,
        directions=["minimize"] * len(objectives),
        load_if_exists=True,
    )
    known = study.metric_names
    if known is None and not study.get_trials(deepcopy=False):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            study.set_metric_names(objectives)
        known = objectives
    ways = {direction.name for direction in study.directions}
    if list(known or ()) != objectives or ways != {"MINIMIZE"}:
        raise SettingError(
            f"the study {name!r} must minimise {objectives}; this storage holds one with the objectives "
            f"{known or 'without names'} ({', '.join(sorted(ways)).lower()}). Choose another name=."
        )
    return study


@contextmanager
def _searching(folder: Path) -> Iterator[str]:
    """Holds a lock for as long as this process searches, so that others see which trials nobody works on any more."""
    me = uuid4().hex[:12]
    with refusing(folder):
        (folder / me).mkdir(parents=True)
    with locked(folder / me):
        yield me


def _take_over(optuna: Any, study: Any, folder: Path, me: str) -> None:
    """Queue again, with the same parameters, the trials of searches that have ended."""
    states = optuna.trial.TrialState
    with locked(folder):
        for trial in study.get_trials(deepcopy=False, states=(states.RUNNING,)):
            other = trial.user_attrs.get("searcher")
            if other in {None, me} or not _has_ended(folder / other):
                continue
            study.tell(trial.number, state=states.FAIL, skip_if_finished=True)
            study.enqueue_trial(trial.params, user_attrs={"again": trial.number})


def _has_ended(searcher: Path) -> bool:
    """Whether a search of this folder has ended; of one in another folder that cannot be known."""
    if not searcher.is_dir():
        return False
    try:
        take_lock(searcher, wait=0).release()
    except RunFolderError:
        return False
    return True


def _tell(optuna: Any, study: Any, trial: Any, objectives: Objectives, outcome: Outcome) -> None:
    if isinstance(objectives, Mapping):
        values = [function(outcome) if outcome.status == "done" else None for function in objectives.values()]
    else:
        values = [outcome.losses.get("val", {}).get(task) for task in objectives]
    missing = [name for name, value in zip(objectives, values, strict=True) if value is None]
    if missing:
        words = outcome.words if outcome.status != "done" else f"no number for {', '.join(missing)}"
        trial.set_user_attr("words", f"{outcome.status}: {words}")
        study.tell(trial, state=optuna.trial.TrialState.FAIL)
    else:
        study.tell(trial, values)
