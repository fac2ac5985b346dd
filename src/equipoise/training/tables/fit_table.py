"""`fit_table`: a table with several targets in, a comparison and selected networks out. Reads like the recipe it is."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Unpack

import pandas as pd

from ..._version import __version__
from ...core.progress import Progress
from ...core.records.audit import DataCard
from ...core.records.fitted import Entrant, FitRecord, FittedTask, SeedRun
from ...core.text import plural
from ...data.columns import clean_name
from ...data.raw import RawTable
from ...data.reading import Reading, checked_reading
from ...errors import EquipoiseError
from ...methods.base import Method
from ...methods.loss import LinearScalarization
from ..problem.splits import Split
from .comparing.assembling import Used, data_card, seed_run, selected_entrants, task_cards
from .comparing.boosting import boosted
from .comparing.entrants import Plan, plans
from .comparing.executing import Unit, attempted
from .comparing.parts import Parts
from .comparing.running import Trained
from .networks.recipe import Recipe, recipe_for
from .predictor import Network, Predictor
from .preparing.columns import Columns, look_at
from .preparing.giveaways import giveaways
from .preparing.preparation import Preparation
from .preparing.source import read_table
from .preparing.splitting import split_card, splits
from .saved import RUNS, FitTableConfig, frame_sha256, held_folder, load_predictor, read_fit, save_fit
from .settings import BASELINES, Baseline, checked_seeds

__all__ = ["FittedTable", "fit_table"]

Announce = Callable[[DataCard, tuple[FittedTask, ...]], object]


@dataclass(frozen=True, eq=False)
class FittedTable:
    """A comparison, and the networks that it selected.

    Attributes:
        record: What `equipoise.report` renders.
        predictor: Networks that predict.
    """

    record: FitRecord
    predictor: Predictor

    def predict(
        self, source: str | os.PathLike[str] | pd.DataFrame, *, probabilities: bool = False, **reading: Any
    ) -> pd.DataFrame:
        """Predictions for new rows: see `equipoise.training.tables.predicting.predict`."""
        return self.predictor.predict(source, probabilities=probabilities, **reading)


def fit_table(
    source: str | os.PathLike[str] | pd.DataFrame,
    *,
    targets: Sequence[str] | None = None,
    inputs: Sequence[str] | None = None,
    drop: Sequence[str] = (),
    group: str | None = None,
    time: str | None = None,
    method: Method | None = None,
    seeds: int | Sequence[int] = 3,
    epochs: int | None = None,
    hidden: Sequence[int] | None = None,
    width: int | None = None,
    trials: int = 4,
    baselines: Sequence[Baseline] = BASELINES,
    header: bool = True,
    names: Sequence[str] | None = None,
    jobs: int = 1,
    folder: str | os.PathLike[str] | None = None,
    overwrite: bool = False,
    command: str = "",
    title: str | None = None,
    announce: Announce | None = None,
    progress: Progress | None = None,
    **reading: Unpack[Reading],
) -> FittedTable:
    """Train one network for all targets of a table, and whatever it must be compared with.

    Each seed divides the rows anew into 70 % for training, 15 % for validation and 15 % for test, prepares the columns
    by its training rows alone, and trains every entrant. Epochs, weights and the network that later predicts each
    target are chosen by the validation part; the test part is only reported.

    Args:
        source: What `equipoise.data.load` accepts, or a data frame. Rows with some missing targets are used for the
            others.
        targets: Names of the target columns; None for the declared set of a file that has one.
        inputs: Names of the input columns; None for all others.
        drop: Names of columns not to use.
        group: Column whose groups stay together, all on one side; it is no input unless named in `inputs`.
        time: Column by which the latest rows become the test part, likewise.
        method: Method that balances the joint network's losses; their mean if None.
        seeds: Number of seeds, or the seeds themselves.
        epochs: Passes over the training rows for every network; None decides by the number of rows.
        hidden: Widths of the trunk's layers; None decides by the number of rows.
        width: Width of the shared layer of a linear network that takes part; None for none.
        trials: Trainings among which fixed weights are tuned, equal weights among them.
        baselines: What the joint network is compared with: ``weights``, ``separate``, ``boosting``.
        header: Whether the first row of a text table holds the names.
        names: Names for all columns, in place of the table's own.
        jobs: Trainings at once, each in a process of its own.
        folder: Folder that everything is written to, so that the same call goes on after an interruption; None keeps it
            in memory.
        overwrite: Replace another fit in the folder.
        command: What to type to get this again, for the report.
        title: Title of the report.
        announce: Called with the columns and targets as they were read, before anything is trained.
        progress: Called before each training.
        **reading: Options about how cells are read: see `equipoise.data.Reading`.

    Returns:
        The record and the networks.

    Raises:
        InputError: The table, a column or a setting cannot be used; all problems at once.
        RunFolderError: The folder cannot be used.

    Cost:
        About 2,500 steps a training. Measured on one core: 14 CPU seconds for the joint network of a table of 538
        training rows and 2 targets, 20 for its two separate ones; 20 and 35 for 34,000 rows and 2 targets.

    Example:
        >>> import numpy as np
        >>> x = np.linspace(-1, 1, 60)
        >>> table = pd.DataFrame({"x": x, "square": x**2, "cube": x**3})
        >>> fitted = fit_table(table, targets=["square", "cube"], seeds=1, epochs=2, hidden=(8,), baselines=())
        >>> list(fitted.predict(table.head(3)[["x"]]).columns)
        ['square', 'cube']
    """
    chosen = checked_seeds(seeds, epochs, hidden, width, trials, baselines, jobs)
    method = LinearScalarization() if method is None else method
    how = checked_reading(reading)
    raw = read_table(source, how, header=header, names=names)
    columns = look_at(
        raw, targets=targets, inputs=inputs, drop=drop, group=_clean(group), time=_clean(time), reading=how
    )
    if len(columns.targets) == 1:  # its weight does not matter, and it is alone already
        baselines = [name for name in baselines if name == "boosting"]
    columns.warnings += giveaways(raw.frame, columns)
    divided = splits(raw.frame, columns, chosen, group=_clean(group), time=_clean(time))
    first = Preparation.fitted(raw, columns, divided[0].train)
    card, tasks = data_card(raw, columns, first.width), task_cards(raw.frame, columns)
    if announce is not None:
        announce(card, tasks)
    recipe = recipe_for(first, len(divided[0].train), hidden=hidden, epochs=epochs)
    entrants = tuple(plans([task.name for task in tasks], recipe, method, baselines, trials, width))

    config = FitTableConfig(
        version=__version__,
        data=raw.name,
        sha256=raw.sha256 or frame_sha256(raw.frame),
        settings={
            "targets": [task.name for task in tasks], "inputs": list(columns.inputs), "group": group, "time": time,
            "method": repr(method), "seeds": chosen, "epochs": recipe.epochs, "hidden": list(recipe.hidden),
            "width": width, "trials": trials, "baselines": list(baselines),
            "reading": {key: value for key, value in how.items() if value not in (None, (), 0)},
        },
    )  # fmt: skip
    place = None if folder is None else Path(folder)
    with held_folder(place, config, overwrite=overwrite) as finished:
        if place is not None and finished:
            return FittedTable(read_fit(place), load_predictor(place))
        results, preparations = _all_runs(raw, columns, divided, chosen, entrants, place, jobs, progress)
        runs: dict[str, list[SeedRun]] = {plan.name: [] for plan in entrants}
        used: dict[str, list[tuple[Preparation, Used]]] = {plan.name: [] for plan in entrants}
        for seed, preparation in zip(chosen, preparations, strict=True):
            for plan in entrants:
                run, counted = seed_run(plan, seed, [results[seed, training.name] for training in plan.trainings])
                runs[plan.name].append(run)
                used[plan.name].append((preparation, counted))
        sizes = {
            name: next((sum(found.parameters for _, found in counted) for _, counted in seeds_of if counted), None)
            for name, seeds_of in used.items()
        }
        compared = [
            Entrant(
                name=plan.name, role=plan.role, words=plan.words, method=plan.method, parameters=sizes[plan.name],
                runs=tuple(runs[plan.name]),
            )
            for plan in entrants
        ]  # fmt: skip
        selected = _selected(compared, [task.name for task in tasks])
        predictor = Predictor(tuple(_networks(selected, used)), how)
        if "boosting" in baselines:
            compared.append(_boosting(raw, divided, chosen, preparations, progress))
        record = FitRecord(
            title=title if title is not None else f"{raw.name}: {', '.join(task.name for task in tasks[:4])}",
            command=command,
            data=card,
            sha256=config.sha256,
            tasks=tasks,
            split=split_card(divided, columns, group=_clean(group), time=_clean(time)),
            seeds=tuple(chosen),
            budget=_budget(recipe, trials if "weights" in baselines else 1),
            selection=_SELECTION,
            entrants=tuple(compared),
            selected=selected,
            predicts="the mean over the networks of all seeds, each trained on its own training rows; "
            "the losses above are those of single seeds",
            device=f"CPU, one thread a training, {plural(jobs, 'training')} at once",
            versions=_versions(),
        )
        if place is not None:
            save_fit(place, record, predictor)
        return FittedTable(record, predictor)


_SELECTION = (
    "The validation part chooses: within a training the epoch with the lowest geometric mean of the targets' losses "
    "(of separate networks each one's own best epoch), among the tuned weights likewise, and for each target the "
    "network with the lowest geometric mean of its losses over the seeds. The test part chooses nothing."
)


def _budget(recipe: Recipe, trials: int) -> str:
    tuned = f"; weights are tuned over {plural(trials, 'training')}" if trials > 1 else ""
    members = f", each the mean of {recipe.members} members trained together" if recipe.members > 1 else ""
    return (
        f"{plural(recipe.epochs, 'epoch')} of the training rows for every network, in batches of {recipe.batch_size}"
        f"{members}{tuned}"
    )


def _all_runs(
    raw: RawTable,
    columns: Columns,
    divided: Sequence[Split],
    seeds: Sequence[int],
    entrants: Sequence[Plan],
    folder: Path | None,
    jobs: int,
    progress: Progress | None,
) -> tuple[dict[tuple[int, str], Trained | str], list[Preparation]]:
    """Every training of every seed, once, in order: what it gave, or why it failed."""
    trainings = list({training.name: training for plan in entrants for training in plan.trainings}.values())
    preparations = [Preparation.fitted(raw, columns, each.train) for each in divided]
    units = [
        Unit(parts, training, seed, None if folder is None else folder / RUNS / f"seed-{seed}-{training.name}")
        for seed, each, preparation in zip(seeds, divided, preparations, strict=True)
        for parts in [Parts.of(raw.frame, preparation, each.parts)]
        for training in trainings
    ]
    found = attempted(units, jobs, progress)
    results = {(unit.seed, unit.training.name): result for unit, result in zip(units, found, strict=True)}
    return results, preparations


def _selected(compared: Sequence[Entrant], tasks: Sequence[str]) -> dict[str, str]:
    """Who predicts each target.

    Raises:
        EquipoiseError: No network was trained with all seeds.
    """
    if not any(all(run.status == "done" for run in entrant.runs) for entrant in compared):
        reasons = {run.reason for entrant in compared for run in entrant.runs if run.reason}
        raise EquipoiseError(f"no network could be trained with all seeds. {' '.join(sorted(reasons)[:5])}")
    return selected_entrants(compared, tasks)


def _networks(selected: Mapping[str, str], used: Mapping[str, Sequence[tuple[Preparation, Used]]]) -> Iterator[Network]:
    """The networks that are needed to predict, of all seeds."""
    for name in dict.fromkeys(selected.values()):
        for preparation, counted in used[name]:
            for training, found in counted:
                serves = tuple(task for task in training.tasks if selected[task] == name)
                if serves:
                    yield Network(preparation, training.recipe, training.tasks, serves, found.state)


def _boosting(
    raw: RawTable,
    divided: Sequence[Split],
    seeds: Sequence[int],
    preparations: Sequence[Preparation],
    progress: Progress | None,
) -> Entrant:
    runs = []
    for number, (seed, each, preparation) in enumerate(zip(seeds, divided, preparations, strict=True)):
        if progress is not None:
            progress(number, len(seeds), f"seed {seed}: gradient boosting")
        runs.append(boosted(raw.frame, preparation, each.parts, seed))
    words = "gradient boosting for each target (scikit-learn's defaults)"
    return Entrant(name="boosting", role="boosting", words=words, runs=tuple(runs))


def _versions() -> dict[str, str]:
    packages = ("torch", "scikit-learn", "pandas", "numpy", "rtdl-num-embeddings")
    return {"equipoise": __version__, **{package: version(package) for package in packages}}


def _clean(name: str | None) -> str | None:
    return None if name is None else clean_name(name)
