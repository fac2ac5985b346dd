"""Training, validation and test rows of a table, one split a seed."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
import pandas as pd

from ....core.records.fitted import SplitCard
from ....errors import DataError
from ...problem.splits import Split, split
from .columns import Columns
from .preparation import class_codes

__all__ = ["FRACTIONS", "split_card", "splits"]

FRACTIONS = (0.7, 0.15, 0.15)
_MOST_CELLS = 100  # combinations of classes by which rows are stratified


def splits(
    frame: pd.DataFrame, columns: Columns, seeds: Sequence[int], *, group: str | None, time: str | None
) -> list[Split]:
    """One split for each seed: by group or by time where asked, else at random, stratified where targets are classes.

    Raises:
        DataError: Both are asked for, a group or moment is missing, or too few rows, groups or moments.
    """
    if group is not None and time is not None:
        raise DataError(f"rows can be divided by --group {group} or by --time {time}, not by both. Keep one.")
    name = group if group is not None else time
    if name is not None and (missing := int(frame[name].isna().sum())):
        raise DataError(
            f"{name!r} must be known for every row, since it divides them; it is missing in {missing} rows."
        )
    groups = None if group is None else pd.factorize(frame[group])[0]
    moments = None if time is None else pd.factorize(frame[time], sort=True)[0]
    classes = None if name is not None else _cells(frame, columns)
    try:
        return [split(len(frame), FRACTIONS, seed, groups=groups, time=moments, stratify=classes) for seed in seeds]
    except DataError as error:
        raise DataError(f"the table cannot be divided into training, validation and test rows: {error}") from error


def split_card(found: Sequence[Split], columns: Columns, *, group: str | None, time: str | None) -> SplitCard:
    """The splits, as a record says it."""
    kind: Literal["random", "group", "time"] = "group" if group else "time" if time else "random"
    words = {
        "group": f"by group: no {group} in two parts",
        "time": f"by {time}: the latest rows are the test part",
        "random": "at random" + (", stratified by the classes of the targets" if _classes(columns) else ""),
    }
    sizes = {
        part: round(float(np.mean([len(each.parts[part]) for each in found]))) for part in ("train", "val", "test")
    }
    return SplitCard(how=words[kind], kind=kind, redrawn=kind != "time", **sizes)


def _classes(columns: Columns) -> bool:
    return any(target.kind != "regression" for target in columns.targets)


def _cells(frame: pd.DataFrame, columns: Columns) -> np.ndarray | None:
    """Which classes of all targets a row has, as one number; only of the first target where there are too many."""
    codes = [
        np.nan_to_num(class_codes(frame[target.name], target.holds, target.classes), nan=-1)
        for target in columns.targets
        if target.kind != "regression"
    ]
    if not codes:
        return None
    cells = np.unique(np.column_stack(codes), axis=0, return_inverse=True)[1].ravel()
    return cells if cells.max() < _MOST_CELLS else codes[0].astype(int)
