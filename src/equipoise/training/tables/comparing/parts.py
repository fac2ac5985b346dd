"""A prepared table as a `Problem`: tensors of the three parts, one loss and one metric a target."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score
from torch import Tensor

from ...problem.metric import Metric
from ...problem.problem import Problem
from ..networks.network import task_loss
from ..networks.recipe import Recipe
from ..preparing.preparation import Preparation

__all__ = ["METRICS", "Parts", "measured", "problem_of"]

METRICS = {"regression": "R2", "binary": "area under the ROC curve", "classes": "accuracy"}
"""Kind of a target -> its metric; of all three, more is better."""

Rows = tuple[NDArray[np.float32], NDArray[np.float32]]


@dataclass(frozen=True, eq=False)
class Parts:
    """One split of a table, prepared by its training rows.

    Attributes:
        preparation: Fitted on the training rows.
        rows: ``train``, ``val`` and ``test`` -> inputs (rows, p) and targets (rows, k).
    """

    preparation: Preparation
    rows: Mapping[str, Rows]

    @classmethod
    def of(cls, frame: pd.DataFrame, preparation: Preparation, split: Mapping[str, NDArray[np.int64]]) -> "Parts":
        """Encode the rows of each part."""
        chosen = {part: frame.iloc[rows] for part, rows in split.items()}
        encoded = {
            part: (preparation.encode(given), preparation.encode_targets(given)) for part, given in chosen.items()
        }
        return cls(preparation, encoded)

    def labelled(self, part: str) -> dict[str, int]:
        """Target -> rows of a part that have a label."""
        counts = (~np.isnan(self.rows[part][1])).sum(axis=0)
        return {target.name: int(count) for target, count in zip(self.preparation.targets, counts, strict=True)}


def problem_of(parts: Parts, recipe: Recipe, tasks: Sequence[str], name: str) -> Problem:
    """The problem that `equipoise.fit` trains, for some of the targets."""
    targets = [(place, target) for place, target in enumerate(parts.preparation.targets) if target.name in tasks]
    return Problem(
        partial(recipe.network, parts.preparation, tuple(tasks)),
        {target.name: partial(_loss, target.name, place, target.kind) for place, target in targets},
        {
            target.name: Metric(METRICS[target.kind], partial(_metric, target.name, place, target.kind), "higher")
            for place, target in targets
        },
        name=name,
        train=parts.rows["train"],
        val=parts.rows["val"],
        test=parts.rows["test"],
    )


def _loss(
    task: str, place: int, kind: str, outputs: Mapping[str, Tensor], batch: tuple[Tensor, Tensor]
) -> Tensor | None:
    return task_loss(outputs[task], batch[1][:, place], kind)


def _metric(task: str, place: int, kind: str, outputs: Mapping[str, Tensor], batch: tuple[Tensor, Tensor]) -> float:
    output, target = outputs[task][:, 0].double().numpy(), batch[1][:, place].numpy()
    known = ~np.isnan(target)
    if kind == "classes":
        shifted = np.exp(output - output.max(axis=1, keepdims=True))
        return measured(kind, shifted[known], target[known])
    return measured(kind, output[known, 0], target[known])


def measured(kind: str, prediction: NDArray[Any], target: NDArray[Any]) -> float:
    """The metric of predictions on labelled rows; NaN where it has no meaning.

    Args:
        kind: ``regression``: R2, 1 - squared error / squared deviation from the rows' mean; ``binary``: area under the
            ROC curve; ``classes``: share of rows whose class is the most probable one.
        prediction: (rows,) numbers or scores of the second class; (rows, classes) scores.
        target: (rows,) numbers or places of classes.
    """
    if not len(target):
        return float("nan")
    if kind == "classes":
        return float((prediction.argmax(axis=1) == target).mean())
    if len(np.unique(target)) < 2:
        return float("nan")
    if kind == "binary":
        return float(roc_auc_score(target, prediction))
    spread = float(np.square(target.astype(np.float64) - target.mean(dtype=np.float64)).sum())
    return 1 - float(np.square(prediction - target).sum()) / spread
