"""Inputs that give a target away: known only once the target is, they make every model look better than it will be."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ....core.numbers import Array
from ....core.text import joined, percent
from ....data.columns import cut, option
from ....data.encoding.values import as_floats, holds
from .columns import Columns, Target
from .preparation import class_codes

__all__ = ["giveaways"]

_BINS = 50
_LEVELS = 200  # different values of a column, above which classes are not looked at
_EXPLAINED = 0.99  # of the variance, or of the entropy
_RANKS = 0.9999  # rank correlation of one quantity with another that rises with it
_PURE, _ROWS, _SHARE, _BASE = 0.995, 30, 0.25, 0.9


def giveaways(frame: pd.DataFrame, columns: Columns) -> list[str]:
    """One warning for each input that says nearly all of a target, or all of it in many rows.

    Each input is cut into at most 50 bins of equally many rows, or taken by its values where they are few. Looked for
    are (a) a rank correlation of .9999 with a target; (b) bins that explain 99 % of a target's variance or entropy,
    corrected for the number of bins; (c) of an input of classes, those of 30 rows or more that go with one class of a
    target in 99.5 % of their rows, together a quarter of all rows, where no class has 90 % of the table. Every row
    counts: nothing is fitted by it.
    """
    warnings = []
    targets = [(target, _numbers(target, frame[target.name])) for target in columns.targets]
    ranks = [_ranks(pd.Series(values)) for _, values in targets]
    for name in columns.inputs:
        by_value = holds(frame[name]) == "classes"
        codes, labels = _binned(frame[name])
        own = None if by_value else _ranks(frame[name])
        for (target, values), places in zip(targets, ranks, strict=True):
            known = ~np.isnan(values)
            warning = ""
            if own is not None and target.kind == "regression":
                warning = _monotone(name, target, own, places)
            if not warning and labels is not None:
                warning = _warning(name, codes[known], labels, target, values[known], by_value)
            warnings += [warning] if warning else []
    return warnings


def _ranks(column: pd.Series) -> Array:
    return as_floats(column.rank())


def _monotone(name: str, target: Target, first: Array, second: Array) -> str:
    known = ~(np.isnan(first) | np.isnan(second))
    first, second = first[known], second[known]
    if len(first) < _ROWS or first.std() == 0 or second.std() == 0:
        return ""
    correlation = abs(float(np.corrcoef(first, second)[0, 1]))
    if correlation < _RANKS:
        return ""
    return f"{_shown(name, target)}: their rank correlation is {correlation:.5f}. {_advice(name)}"


def _shown(name: str, target: Target) -> str:
    return f"Input {cut(name)!r} gives target {cut(target.name)!r} away"


def _advice(name: str) -> str:
    return f"Is it known before the target is? If not: {option('drop', name)}."


def _numbers(target: Target, column: pd.Series) -> Array:
    return as_floats(column) if target.kind == "regression" else class_codes(column, target.holds, target.classes)


def _binned(column: pd.Series) -> tuple[NDArray[np.intp], Sequence[str] | None]:
    """Bin of each row, and what to call the bins; no names where the column has too many classes."""
    codes, levels = pd.factorize(column, sort=False, use_na_sentinel=False)
    if len(levels) <= _BINS or holds(column) == "classes":
        return codes, [str(level) for level in levels] if len(levels) <= _LEVELS else None
    numbers = _ranks(column)
    gaps = np.isnan(numbers)
    edges = np.quantile(numbers[~gaps], np.linspace(0, 1, _BINS + 1)[1:-1])
    codes = np.where(gaps, _BINS, np.searchsorted(edges, numbers))
    return codes.astype(np.intp), [f"bin {number}" for number in range(_BINS + 1)]


def _warning(
    name: str, codes: NDArray[np.intp], labels: Sequence[str], target: Target, values: Array, by_value: bool
) -> str:
    rows, bins = len(values), len(np.unique(codes))
    if rows < 2 * _ROWS or bins < 2 or rows <= 2 * bins:
        return ""
    advice, shown = _advice(name), _shown(name, target)
    if target.kind == "regression":
        sizes = np.bincount(codes, minlength=len(labels))
        sums = np.bincount(codes, weights=values - values.mean(), minlength=len(labels))
        total = np.square(values - values.mean()).sum()
        within = total - (sums[sizes > 0] ** 2 / sizes[sizes > 0]).sum()
        explained = 1 - (within / (rows - bins)) / (total / (rows - 1)) if total > 0 else 0.0
        if explained < _EXPLAINED:
            return ""
        return f"{shown}: alone, cut into {bins} bins, it explains {100 * explained:.1f} % of its variance. {advice}"
    table = np.zeros((len(labels), len(target.classes)))
    np.add.at(table, (codes, values.astype(np.intp)), 1)
    base, sizes = table.sum(axis=0) / rows, table.sum(axis=1)
    explained = 1 - _entropy(table, bins) / max(_entropy(table.sum(axis=0, keepdims=True), 1), 1e-12)
    if explained >= _EXPLAINED:
        return f"{shown}: alone it explains {100 * explained:.1f} % of its entropy in {rows} rows. {advice}"
    pure = (sizes >= _ROWS) & (table.max(axis=1) >= _PURE * sizes)
    decided = int(sizes[pure].sum())
    if not by_value or decided < _SHARE * rows or base.max() >= _BASE:
        return ""
    largest = np.flatnonzero(pure)[np.argsort(-sizes[pure], kind="stable")][:3]
    cases = joined(
        [f"{cut(labels[place])!r} means {target.classes[int(table[place].argmax())]!r}" for place in map(int, largest)]
    )
    return f"{shown} in {percent(decided, rows)} of the rows, where it is right in 99.5 % or more: {cases}. {advice}"


def _entropy(table: Array, bins: int) -> float:
    """Mean entropy of the rows' class within their bins, in nats, with the correction of Miller and Madow (1955)."""
    sizes = table.sum(axis=1)
    shares = table[sizes > 0] / sizes[sizes > 0, None]
    plain = -(
        np.where(shares > 0, shares * np.log(np.where(shares > 0, shares, 1)), 0.0).sum(axis=1) * sizes[sizes > 0]
    )
    return float(plain.sum() + ((table > 0).sum() - bins) / 2) / float(sizes.sum())
