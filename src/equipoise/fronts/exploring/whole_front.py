"""`explore`: a problem in; its front, what weights select of it, and the chosen point out. Reads like the recipe."""

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal, Unpack

import numpy as np
import pandas as pd

from ..._version import __version__
from ...core.numbers import Array, is_whole
from ...core.progress import Progress
from ...core.records.explored import ExploreRecord, SingleTask
from ...core.tasks import Preference
from ...data.builtin.catalogue import BUILTINS
from ...data.reading import Reading, checked_reading
from ...errors import DataError, SettingError, TaskError, listed
from ...methods import LinearScalarization
from ...problems import BoxProblem, named, table
from ...training.executors.runs import Executor
from ...training.problem.problem import Problem
from ..decision import choose
from ..refined_sweep import Sweep, sweep
from .conditioning import Conditioning, conditioned_curve, refuse_unconditioned
from .digits import DIGITS, of_digits, parted
from .folder import ExploreFolder
from .judging import chosen_points, judged_points, point_run
from .running import Trainings
from .subject import Subject, of_box, of_problem
from .tables import of_table

__all__ = ["Explored", "explore"]


@dataclass(frozen=True, eq=False)
class Explored:
    """A front that was explored.

    Attributes:
        record: Everything that a report shows; `record.points` are the points with their runs.
        conditioned: The model for all preferences as it was trained; None where none was asked for, or where the
            record was found in the folder.
    """

    record: ExploreRecord
    conditioned: Conditioning | None = None

    @property
    def losses(self) -> Array:
        """(m, k) mean losses of all points, on the part that judges."""
        return np.array([point.losses for point in self.record.points])

    @property
    def unselected(self) -> tuple[str, ...]:
        """Names of the points that no weights select."""
        return tuple(point.name for point in self.record.points if point.support == "none")


def explore(
    problem: str | os.PathLike[str] | pd.DataFrame | BoxProblem | Problem | Callable[[], Problem],
    *,
    sums: int = 10,
    tchebycheff: int = 8,
    seeds: int | Sequence[int] = 3,
    gap: float = 0.05,
    wish: Preference | None = None,
    conditioned: int = 0,
    steps: int | None = None,
    epochs: int | None = None,
    settings: Mapping[str, Any] | None = None,
    targets: Sequence[str] | None = None,
    inputs: Sequence[str] | None = None,
    drop: Sequence[str] = (),
    group: str | None = None,
    time: str | None = None,
    hidden: Sequence[int] | None = None,
    header: bool = True,
    names: Sequence[str] | None = None,
    jobs: int = 1,
    executor: Executor | None = None,
    stack: bool = False,
    folder: str | os.PathLike[str] | None = None,
    overwrite: bool = False,
    command: str = "",
    title: str | None = None,
    announce: Callable[[Subject], object] | None = None,
    progress: Progress | None = None,
    **reading: Unpack[Reading],
) -> Explored:
    """Map the front of a problem, and say which of its points some weights select and which none does.

    First each task is trained alone. Then a sweep of weighted sums puts its next run where neighbouring losses lie
    farthest apart, and Tchebycheff points go where gaps remain (see `equipoise.front.sweep`). Every preference is
    trained with every seed through `equipoise.run_all`. Refinement, verdict and choice are made on the validation part;
    the test part is shown for the chosen points only. Points are judged by `equipoise.linear.audit_runs`: whether
    weights select a point *among these points*, which says nothing about runs that were never made.

    Args:
        problem: A formula problem or its name (`equipoise.problems.table`); ``"overlapped-digits"`` or
            ``"rotated-digits"``, with ``":FOLDER"`` for files in the format of MNIST; an `equipoise.Problem` with a
            validation part, or a function that makes one (for several jobs it must be importable); a table as
            `equipoise.data.load` accepts it, or a data frame.
        sums: Most weighted sums, at least 2 for two tasks and 2 k for more.
        tchebycheff: Most Tchebycheff points after them.
        seeds: Number of seeds, or the seeds themselves. Each draws its own split of a table.
        gap: The sweeps end when no untried gap is larger than this share of the ranges.
        wish: What the chosen point should be, beside the knee: `Bounds`, `ReferencePoint` or `Ray`.
        conditioned: Steps of one model for all preferences, trained with the first seed besides, in one go; 0 for none.
        steps: Optimizer steps of each training, for formula problems (600 by default) and your own.
        epochs: Passes over the training rows, for tables, digits (20 by default) and your own problems.
        settings: Further arguments of `equipoise.fit`, for your own problems.
        targets: Names of a table's target columns; None for the declared set of a file that has one.
        inputs: Names of a table's input columns; None for all others.
        drop: Names of a table's columns not to use.
        group: Column whose groups stay together, all on one side of a split.
        time: Column by which the latest rows become the test part.
        hidden: Widths of the shared layers for a table, where None decides by the number of rows, or for digits.
        header: Whether the first row of a text table holds the names.
        names: Names for all columns of a table, in place of its own.
        jobs: Trainings at once, each in a process of its own.
        executor: Anything with `submit` that runs are given to instead.
        stack: Whether the seeds of a preference are trained together where that is faster: for problems that all seeds
            share, with one job; see `equipoise.run_all`.
        folder: Folder of the runs and the record; the same call goes on there. ``equipoise report`` renders it.
        overwrite: Replace another exploration in the folder.
        command: What to type to get this again, for the report.
        title: Title of the report.
        announce: Called with the problem as it was read, before anything is trained.
        progress: Called before each preference is trained.
        **reading: Options about how cells of a table are read: see `equipoise.data.Reading`.

    Returns:
        The record, and the conditioned model.

    Raises:
        InputError: Problem, table or settings cannot be used.
        RunFolderError: The folder holds something else.
        EquipoiseError: A preference failed with every seed.

    Cost:
        At most (sums + tchebycheff + tasks) x seeds trainings.

    Example:
        >>> explore("zdt2", sums=2, tchebycheff=1, seeds=1, steps=150).unselected  # the front is concave
        ('T1',)
        >>> explore("quad", sums=3, tchebycheff=0, seeds=1, steps=150).unselected
        ()
    """
    chosen = _checked(sums, tchebycheff, seeds, conditioned, jobs, gap, steps, epochs)
    subject = _subject(
        problem, steps=steps, epochs=epochs, settings=settings, targets=targets, inputs=inputs, drop=drop, group=group,
        time=time, hidden=hidden, header=header, names=names, seeds=chosen, reading=checked_reading(reading),
    )  # fmt: skip
    if jobs > 1 and isinstance(problem, Problem):
        raise SettingError(
            "with several jobs each process makes the problem anew: pass an importable function that returns it "
            "instead of the eq.Problem, or jobs=1."
        )
    if stack and (jobs > 1 or executor is not None):
        raise SettingError("stack=True trains seeds together in this process: leave out jobs and executor.")
    tasks = subject.names
    _refuse_sizes(len(tasks), sums)
    if conditioned:
        refuse_unconditioned(subject, chosen[0], conditioned)
    if wish is not None:
        choose(np.eye(len(tasks)) + 1, wish, tasks=tasks)  # refuses what does not fit before anything is trained
    if announce is not None:
        announce(subject)
    asked = {
        **subject.asked, "sums": sums, "tchebycheff": tchebycheff, "seeds": chosen, "gap": gap, "wish": repr(wish),
        "conditioned": conditioned,
    }  # fmt: skip
    place = None if folder is None else ExploreFolder(Path(folder), asked, overwrite=overwrite)
    if place is not None and not overwrite and (known := place.found()) is not None:
        return Explored(known)
    if place is not None:
        place.begin()
    expected = sums + tchebycheff + len(tasks)
    trainings = Trainings(subject, chosen, jobs, executor, stack, place.path if place else None, progress, expected)
    with closing(trainings):
        singles = [LinearScalarization(tuple(row)) for row in np.eye(len(tasks)).tolist()]
        alone = [_single(trainings, number, single) for number, single in enumerate(singles)]
        linear = sweep(trainings.losses, tasks, runs=sums, criterion="linear", gap=gap)
        origin: Literal["zero", "utopia"] = "zero" if subject.box is None and linear.losses.min() > 0 else "utopia"
        both = sweep(trainings.losses, tasks, runs=tchebycheff, gap=gap, known=linear, origin=origin)
    outcomes = [trainings.train(preference) for preference in both.preferences]
    judged = judged_points(both, len(linear.losses), outcomes, chosen, kept=place is not None)
    model, curve = None, None
    if conditioned:
        model, curve = conditioned_curve(
            subject, chosen[0], conditioned, [single.loss for single in alone], judged, progress
        )
    record = ExploreRecord(
        title=title if title is not None else subject.title,
        command=command,
        problem=subject.words,
        tasks=subject.tasks,
        judged_on=subject.judged_on,
        rows=subject.rows,
        data=subject.data,
        split=subject.split,
        sha256=subject.sha256,
        seeds=tuple(chosen),
        budget=subject.budget,
        points=judged.points,
        singles=tuple(alone),
        units=tuple(judged.audit.scale.tolist()),
        reference=() if judged.reference is None else tuple(judged.reference.tolist()),
        volumes=judged.volumes,
        ended=(linear.words, both.words),
        emptiest=_empty(linear),
        chosen=chosen_points(judged, tasks, outcomes, chosen, wish),
        conditioned=curve,
        true_front=subject.true_front,
        resamples=judged.audit.resamples,
        paired=judged.paired,
        device="CPU, one thread a training",
        versions={"equipoise": __version__, **{name: version(name) for name in ("torch", "numpy", "moocore")}},
    )
    if place is not None:
        place.write(record)
    return Explored(record, model)


def _refuse_sizes(k: int, sums: int) -> None:
    """Raise where there is nothing to trade, or too few weighted sums for the corners of the front."""
    if k < 2:
        raise TaskError("a front needs at least two losses; this problem has one.")
    least = k if k == 2 else 2 * k
    if sums < least:
        raise SettingError(f"`sums` must be at least {least} for {k} tasks, for the corners of the front; got {sums}.")


def _checked(
    sums: int, tchebycheff: int, seeds: int | Sequence[int], conditioned: int, jobs: int, gap: float,
    steps: int | None, epochs: int | None,
) -> list[int]:  # fmt: skip
    """The seeds; raises `SettingError` with everything that is out of range."""
    given = range(seeds) if isinstance(seeds, int) and not isinstance(seeds, bool) else seeds
    chosen = list(given) if isinstance(given, Sequence) else []
    least = {"sums": (sums, 2), "tchebycheff": (tchebycheff, 0), "conditioned": (conditioned, 0), "jobs": (jobs, 1)}
    wrong = [
        f"{name}={value!r} (a whole number of at least {low})"
        for name, (value, low) in least.items()
        if not is_whole(value, least=low)
    ]
    wrong += [
        f"{name}={value!r} (a whole number of at least 1)"
        for name, value in {"steps": steps, "epochs": epochs}.items()
        if value is not None and not is_whole(value, least=1)
    ]
    if isinstance(gap, bool) or not isinstance(gap, int | float) or not 0 < gap < 1:
        wrong.append(f"gap={gap!r} (between 0 and 1)")
    if not chosen or not all(map(is_whole, chosen)) or len(set(chosen)) < len(chosen):
        wrong.append(f"seeds={seeds!r} (how many, at least 1, or different whole numbers)")
    if wrong:
        raise SettingError(f"arguments of explore are out of range: {'; '.join(wrong)}.")
    return [int(seed) for seed in chosen]


def _subject(
    problem: Any, *, steps: int | None, epochs: int | None, settings: Mapping[str, Any] | None, reading: Reading,
    **of: Any,
) -> Subject:  # fmt: skip
    """What the first argument is, and whether the others belong to it."""
    columns = {name: of[name] for name in ("targets", "inputs", "drop", "group", "time", "hidden", "names")}
    given = [name for name, value in columns.items() if value]
    if isinstance(problem, str) and parted(problem)[0] in DIGITS:
        wrong = {name: value for name, value in columns.items() if name != "hidden"}
        _refuse("a digit problem", {**wrong, "steps": steps, "settings": settings}, "Give epochs and hidden.")
        return of_digits(problem, of["seeds"], epochs, of["hidden"])
    named_problem = isinstance(problem, str) and problem.lower() in table and not given
    if isinstance(problem, str) and not named_problem:
        _refuse_unknown(problem, given)
    if isinstance(problem, str | os.PathLike | pd.DataFrame) and not named_problem:
        _refuse("a table", {"steps": steps, "settings": settings}, "Its trainings are set by epochs and hidden.")
        return of_table(problem, epochs=epochs, reading=reading, **of)
    _refuse("a problem that is no table", dict.fromkeys(given, True), "")
    if isinstance(problem, str | BoxProblem):
        _refuse("a formula problem", {"epochs": epochs, "settings": settings}, "Give steps.")
        return of_box(named(problem) if isinstance(problem, str) else problem, steps)
    if not isinstance(problem, Problem) and not callable(problem):
        raise SettingError(
            "explore takes a name, a formula problem, an eq.Problem, a function that returns one, or a table; got "
            f"{type(problem).__name__}."
        )
    return of_problem(problem, settings or {}, steps, epochs)


def _refuse_unknown(name: str, options: Sequence[str]) -> None:
    """Raise for a word that is no table, where it may be meant as a formula problem."""
    if name == "-" or name in BUILTINS or Path(name).suffix or Path(name).name != name or Path(name).exists():
        return
    if name.lower() in table:
        _refuse(f"the formula problem {name!r}", dict.fromkeys(options, True), "")
    raise DataError(
        f"{name!r} is neither a formula problem, a digit problem, a built-in set nor a file here. Formula problems: "
        f"{listed(table)}; digit problems: {listed(DIGITS)}; built-in sets: {listed(BUILTINS)}."
    )


def _refuse(what: str, options: Mapping[str, Any], instead: str) -> None:
    wrong = [name for name, value in options.items() if value]
    if wrong:
        raise SettingError(f"{', '.join(wrong)} cannot be used with {what}. {instead}".rstrip())


def _single(trainings: Trainings, place: int, preference: LinearScalarization) -> SingleTask:
    outcomes = trainings.train(preference)
    runs = tuple(
        point_run(outcome, seed, trainings.subject.names, kept=trainings.folder is not None)
        for outcome, seed in zip(outcomes, trainings.seeds, strict=True)
    )
    known = [run.losses[place] for run in runs if run.losses is not None]
    return SingleTask(task=trainings.subject.names[place], loss=float(np.mean(known)) if known else None, runs=runs)


def _empty(linear: Sweep) -> tuple[tuple[str, str], ...]:
    return tuple((f"S{i + 1}", f"S{j + 1}") for i, j in linear.holes)
