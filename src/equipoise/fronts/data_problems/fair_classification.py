"""Accuracy against fairness: a class to predict, and equal chances of it for two groups."""

import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Unpack

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from ...data.reading import Reading, checked_reading
from ...errors import DataError, listed
from ...training.problem.metric import Metric
from ...training.problem.problem import Problem
from ...training.tables.preparing.columns import look_at
from ...training.tables.preparing.preparation import Preparation
from ...training.tables.preparing.source import read_table
from ...training.tables.preparing.splitting import splits
from .shared_network import SharedNetwork

__all__ = ["fair_classification"]


def fair_classification(
    source: str | os.PathLike[str] | pd.DataFrame,
    label: str,
    group: str,
    *,
    seed: int = 0,
    inputs: Sequence[str] | None = None,
    drop: Sequence[str] = (),
    hidden: Sequence[int] = (64, 64),
    header: bool = True,
    names: Sequence[str] | None = None,
    make_model: Callable[[], nn.Module] | None = None,
    **reading: Unpack[Reading],
) -> Problem:
    r"""Predict a class of two, with equal chances of it for the two groups of a column.

    With :math:`p_i` the probability of the second class, y the label and a the group, the losses are

    .. math:: L_1 = -\frac1n \sum_i \log P(y_i), \qquad
              L_2 = \Big| \frac{1}{n_{01}} \sum_{a_i = 0,\, y_i = 1} p_i
                        - \frac{1}{n_{11}} \sum_{a_i = 1,\, y_i = 1} p_i \Big|,

    the cross entropy in nats and the difference of the mean chances of the two groups among rows of the second class
    (equal opportunity). A constant has :math:`L_2 = 0`, and 1 is the largest value. It is no mean over rows, so each
    part is evaluated at once; a batch where one group has no row of the second class has no L_2. The group stays among
    the inputs unless it is in `drop`.

    Args:
        source: Table as `equipoise.data.load` accepts it, or a data frame; for Adult its file by path.
        label: Column with two classes; the second in order of names counts as the chance, for Adult ``>50K``.
        group: Column with two groups, such as the sex.
        seed: Seed of the split.
        inputs: Input columns; None for all others.
        drop: Columns not to use.
        hidden: Widths of the shared layers.
        header: Whether the first row of a text table holds the names.
        names: Names for all columns, in place of the table's own.
        make_model: Function that makes another network, (rows, p) -> {"label": (rows, 1)}, a logit.
        **reading: Options about how cells are read: see `equipoise.data.Reading`.

    Returns:
        A problem with the tasks ``label`` and ``fairness``; the accuracy, and the difference of the shares of rows of
        the second class that are predicted so.

    Raises:
        DataError: A table that can't be read, or other than two classes or groups.

    Source:
        Hardt et al. (2016) for equal opportunity; Padh et al. (2021) and Ruchte & Grabocka (2021) for such a loss. We
        differ: chances as they are, without tanh, and divided by the rows of each group, not by all.

    Example:
        >>> draw = np.random.default_rng(0)
        >>> sex, x = draw.integers(2, size=400), draw.normal(size=400)
        >>> frame = pd.DataFrame({"x": x, "sex": np.array(["f", "m"])[sex], "rich": np.array(["no", "yes"])[
        ...     (x + sex + draw.normal(size=400) > 1).astype(int)]})
        >>> fair_classification(frame, "rich", "sex").tasks
        ('label', 'fairness')
    """
    raw = read_table(source, checked_reading(reading), header=header, names=names)
    absent = [name for name in (label, group) if name not in raw.frame.columns]
    if absent:
        raise DataError(f"the table has no column {listed(absent)}; it has {listed(raw.frame.columns)}.")
    columns = look_at(
        raw, targets=[label], inputs=inputs, drop=drop, group=None, time=None, reading=checked_reading(reading)
    )
    (divided,) = splits(raw.frame, columns, [seed], group=None, time=None)
    preparation = Preparation.fitted(raw, columns, divided.train)
    groups = _two(raw.frame[group].astype(str).where(raw.frame[group].notna()), f"`group` column '{group}'")
    (target,) = preparation.targets
    if target.kind != "binary":
        raise DataError(f"`label` column '{label}' must have two classes; it was read as {target.kind}.")
    rows = {}
    for part, chosen in divided.parts.items():
        frame = raw.frame.iloc[chosen]
        known = np.flatnonzero(groups[chosen] >= 0)
        encoded = preparation.encode(frame)[known], preparation.encode_targets(frame)[known, 0]
        rows[part] = (*map(torch.from_numpy, encoded), torch.from_numpy(groups[chosen][known]))
    return Problem(
        make_model or partial(SharedNetwork, preparation.width, tuple(hidden), {"label": 1}),
        {"label": _label, "fairness": _fairness},
        {
            "label": Metric("accuracy", _accuracy, "higher"),
            "fairness": Metric("difference of shares", _difference),
        },
        train=rows["train"],
        val=rows["val"],
        test=rows["test"],
        evaluation_rows=None,
        name=f"{raw.name}: {label} and fairness by {group}",
    )


def _two(column: "pd.Series[Any]", what: str) -> np.ndarray[Any, np.dtype[np.int64]]:
    """0 and 1 for the two values of a column in order of their names, -1 where it is missing."""
    values = sorted(column.dropna().unique())
    if len(values) != 2:
        raise DataError(f"{what} must hold two groups; found {len(values)}: {listed(map(str, values[:6]))}.")
    return np.asarray(column.map({values[0]: 0, values[1]: 1}).fillna(-1).to_numpy(dtype=np.int64))


Batch = tuple[Tensor, Tensor, Tensor]


def _label(outputs: Mapping[str, Tensor], batch: Batch) -> Tensor:
    return nn.functional.binary_cross_entropy_with_logits(outputs["label"][:, 0], batch[1], reduction="none")


def _fairness(outputs: Mapping[str, Tensor], batch: Batch) -> Tensor | None:
    chances = outputs["label"][:, 0].sigmoid()
    sides = [chances[(batch[2] == side) & (batch[1] == 1)] for side in (0, 1)]
    return None if any(not len(side) for side in sides) else (sides[0].mean() - sides[1].mean()).abs()


def _accuracy(outputs: Mapping[str, Tensor], batch: Batch) -> float:
    return float(((outputs["label"][:, 0] > 0) == (batch[1] == 1)).double().mean())


def _difference(outputs: Mapping[str, Tensor], batch: Batch) -> float:
    taken = (outputs["label"][:, 0] > 0).double()
    sides = [taken[(batch[2] == side) & (batch[1] == 1)] for side in (0, 1)]
    return float((sides[0].mean() - sides[1].mean()).abs()) if all(len(side) for side in sides) else float("nan")
