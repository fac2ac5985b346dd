"""A table with several targets as a subject: each seed draws its own split, as in ``equipoise fit``."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import pairwise

import pandas as pd
from torch import Tensor, nn

from ...core.records.explored import ExploredTask
from ...data.columns import clean_name
from ...data.reading import Reading
from ...errors import DataError, listed
from ...training.problem.problem import Problem
from ...training.tables.comparing.assembling import data_card, task_cards
from ...training.tables.comparing.parts import Parts, problem_of
from ...training.tables.networks.network import TableNetwork
from ...training.tables.networks.recipe import Recipe, recipe_for, schedule
from ...training.tables.preparing.columns import look_at
from ...training.tables.preparing.giveaways import giveaways
from ...training.tables.preparing.preparation import Preparation
from ...training.tables.preparing.source import read_table
from ...training.tables.preparing.splitting import split_card, splits
from ...training.tables.saved import frame_sha256
from .subject import Given, Subject

__all__ = ["of_table"]

_RATE = 0.1  # of the rate of the recipe's layers, whose entries are larger by the root of their inputs
_SHARE = 0.4  # of the steps of `fit`: a front needs many trainings


def of_table(
    source: str | os.PathLike[str] | pd.DataFrame,
    *,
    targets: Sequence[str] | None,
    inputs: Sequence[str] | None,
    drop: Sequence[str],
    group: str | None,
    time: str | None,
    seeds: Sequence[int],
    epochs: int | None,
    hidden: Sequence[int] | None,
    header: bool,
    names: Sequence[str] | None,
    reading: Reading,
) -> Subject:
    """Read and prepare the table; arguments as those of `fit_table`.

    Raises:
        InputError: The table, a column or a setting cannot be used; fewer than two targets; a target without a label in
            the validation or test rows of a seed.
    """
    raw = read_table(source, reading, header=header, names=names)
    of, at = (None if name is None else clean_name(name) for name in (group, time))
    columns = look_at(raw, targets=targets, inputs=inputs, drop=drop, group=of, time=at, reading=reading)
    tasks = tuple(target.name for target in columns.targets)
    if len(tasks) < 2:
        raise DataError(f"a front needs at least two targets; found {listed(tasks)}. Name more with --targets.")
    columns.warnings += giveaways(raw.frame, columns)
    divided = splits(raw.frame, columns, seeds, group=of, time=at)
    preparations = [Preparation.fitted(raw, columns, each.train) for each in divided]
    recipe = replace(recipe_for(preparations[0], len(divided[0].train), hidden=hidden, epochs=epochs), members=1)
    if epochs is None:
        recipe = replace(recipe, epochs=max(5, round(_SHARE * recipe.epochs)))
    parts = {
        seed: Parts.of(raw.frame, preparation, each.parts)
        for seed, each, preparation in zip(seeds, divided, preparations, strict=True)
    }
    for seed, each in parts.items():
        empty = {part: [task for task, rows in each.labelled(part).items() if not rows] for part in ("val", "test")}
        if any(empty.values()):
            raise DataError(
                f"every target needs labelled rows in the validation and the test part; with seed {seed} there are "
                f"none of {listed([*empty['val'], *empty['test']])}. Use more rows, or drop these targets."
            )
    cards = task_cards(raw.frame, columns)
    sha256 = raw.sha256 or frame_sha256(raw.frame)
    asked = {
        "data": raw.name, "sha256": sha256, "targets": tasks, "inputs": tuple(columns.inputs), "group": group,
        "time": time, "recipe": repr(recipe), "reading": {k: v for k, v in reading.items() if v not in (None, (), 0)},
    }  # fmt: skip
    text = repr(sorted(asked.items()))
    card = split_card(divided, columns, group=of, time=at)
    return Subject(
        words=f"{raw.name}: {len(tasks)} targets from {preparations[0].width} encoded input columns",
        title=f"{raw.name}: {', '.join(tasks[:4])}",
        tasks=tuple(
            ExploredTask(name=task.name, loss=f"{task.loss}, {task.loss_unit}", metrics=(task.metric,))
            for task in cards
        ),
        problem_of=lambda seed: Given(
            partial(problem_of, parts[seed], recipe, tasks, raw.name), f"table with seed {seed}: {text}"
        ),
        settings={
            "epochs": recipe.epochs, "batch_size": recipe.batch_size, "optimizer": recipe.optimizer,
            "schedule": schedule,
        },
        judged_on="the validation part",
        rows=(card.val, card.test),
        asked=asked,
        budget=f"{recipe.epochs} epochs in batches of {recipe.batch_size}, shared layers of width "
        f"{', '.join(map(str, recipe.hidden))}",
        plain=lambda seed: partial(_plain_problem, parts[seed], recipe, tasks, raw.name),
        rate=_RATE * recipe.learning_rate,
        data=data_card(raw, columns, preparations[0].width),
        split=card,
        sha256=sha256,
        cards=cards,
    )  # fmt: skip


class PlainNetwork(nn.Module):
    """The features of the runs' network, then plain layers of the same widths, which a preference can act on.

    (rows, p) -> {task: (rows, 1, outputs)}.

    Args:
        whole: Network of one member, of which the features are taken.
        hidden: Widths of the layers.
        outputs: Task -> number of outputs.
    """

    def __init__(self, whole: TableNetwork, hidden: Sequence[int], outputs: Mapping[str, int]) -> None:
        super().__init__()
        self.tasks = tuple(outputs)
        sizes = [whole.scale.factor.shape[-1], *hidden]
        whole.trunk, whole.heads = nn.Sequential(), nn.ModuleList()
        self.inputs = whole
        layers: list[nn.Module] = []
        for before, after in pairwise(sizes):
            layers += [nn.Linear(before, after), nn.Mish()]
        self.trunk = nn.Sequential(*layers)
        self.heads = nn.ModuleList(nn.Linear(sizes[-1], size) for size in outputs.values())

    def forward(self, rows: Tensor) -> dict[str, Tensor]:
        """Outputs in the form of a `TableNetwork` of one member."""
        features = self.trunk(self.inputs.embedded(rows)[0])
        return {task: head(features)[:, None] for task, head in zip(self.tasks, self.heads, strict=True)}


def _plain_problem(parts: Parts, recipe: Recipe, tasks: tuple[str, ...], name: str) -> Problem:
    preparation = parts.preparation
    outputs = {task: preparation.outputs[task] for task in tasks}
    found = problem_of(parts, recipe, tasks, name)
    found.make_model = partial(_plain_network, found.make_model, recipe.hidden, outputs)
    return found


def _plain_network(make: Callable[[], nn.Module], hidden: Sequence[int], outputs: Mapping[str, int]) -> PlainNetwork:
    whole = make()
    assert isinstance(whole, TableNetwork)  # a recipe without `width` makes no other
    return PlainNetwork(whole, hidden, outputs)
