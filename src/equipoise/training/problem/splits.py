"""Which rows train, which select, which test: seeded, recorded, and no row or group on two sides."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...core.numbers import is_whole
from ...core.text import count
from ...errors import DataError, SettingError

__all__ = ["Split", "split"]

Index = NDArray[np.int64]
_SIDES = ("train", "val", "test")


@dataclass(frozen=True, eq=False)
class Split:
    """Row numbers of the three parts, rising.

    Attributes:
        train: Rows that are trained on.
        val: Rows on which models are selected; empty where none were asked for.
        test: Rows that are looked at once, at the end.
        how: The rule, the seed and the sizes, as a sentence.
    """

    train: Index
    val: Index
    test: Index
    how: str = field(default="")

    def __post_init__(self) -> None:
        together = np.concatenate([self.train, self.val, self.test])
        if len(np.unique(together)) != len(together):
            raise DataError("no row may be on two sides of a split; train, val and test share rows.")

    @property
    def parts(self) -> dict[str, Index]:
        """The parts by name."""
        return {name: getattr(self, name) for name in _SIDES}


def split(
    n_rows: int,
    fractions: Sequence[float] = (0.7, 0.15, 0.15),
    seed: int = 0,
    *,
    groups: ArrayLike | None = None,
    time: ArrayLike | None = None,
    stratify: ArrayLike | None = None,
) -> Split:
    """Deal the rows of a table to training, validation and test.

    Without a further argument rows are drawn at random. With `groups` whole groups are dealt, at random, each to the
    side that lacks most rows for its share. With `time` the earliest rows train and the latest test; rows of one
    moment stay on one side. With `stratify` each class is dealt for itself, so that its share is the same on all sides,
    up to a row.

    Args:
        n_rows: Number of rows, at least one for every side that is asked for.
        fractions: Shares of train, val and test, sum 1; 0 leaves a side empty, but not train.
        seed: Seed of the draw; a split by time needs none and is the same for all seeds.
        groups: (n_rows,) labels of which equal ones stay together: a customer, a patient, a measuring device.
        time: (n_rows,) numbers or dates to order the rows by.
        stratify: (n_rows,) classes whose shares are kept.

    Returns:
        The rows of each side, and a sentence that says how they were chosen.

    Raises:
        SettingError: Fractions that are no shares, a seed out of range, or more than one rule.
        DataError: Too few rows, groups or moments for the sides, a missing label, or another number of them.

    Example:
        >>> parts = split(10, (0.6, 0.2, 0.2), seed=1)
        >>> [len(rows) for rows in parts.parts.values()], parts.how
        ([6, 2, 2], 'at random, seed 1: 6 rows train, 2 val, 2 test')
        >>> split(4, (0.5, 0.0, 0.5), time=[3, 1, 2, 4]).train.tolist()
        [1, 2]
    """
    shares = _checked(n_rows, fractions, seed)
    given = {"groups": groups, "time": time, "stratify": stratify}
    named = [name for name, values in given.items() if values is not None]
    if len(named) > 1:
        raise SettingError(f"one rule at a time: give one of groups, time and stratify; got {' and '.join(named)}.")
    generator = np.random.default_rng([seed, 0x5B17])
    if not named:
        side, rule = _cut(generator.permutation(n_rows), shares), f"at random, seed {seed}"
    else:
        values = np.asarray(given[named[0]])
        _check_labels(values, n_rows, named[0])
        codes = np.unique(values, return_inverse=True)[1].reshape(n_rows)
        if groups is not None:
            side = _by_group(codes, shares, generator)
            rule = f"whole groups at random, seed {seed}, {count(int(codes.max()) + 1)} groups"
        elif time is not None:
            side, rule = _by_time(codes, shares), "by time, the latest rows last"
        else:
            side = _stratified(codes, shares, generator)
            rule = f"at random within each class, seed {seed}"
    parts = [np.flatnonzero(side == number) for number in range(3)]
    empty = [name for name, rows, share in zip(_SIDES, parts, shares, strict=True) if share > 0 and not len(rows)]
    if empty:
        raise DataError(
            f"every side of the split needs a row; {' and '.join(empty)} would be empty with {count(n_rows)} rows "
            f"split {rule}. Give more rows or other fractions."
        )
    sizes = ", ".join(f"{count(len(rows))}{' rows' * (not i)} {_SIDES[i]}" for i, rows in enumerate(parts))
    return Split(parts[0], parts[1], parts[2], f"{rule}: {sizes}")


def _checked(n_rows: int, fractions: Sequence[float], seed: int) -> list[float]:
    wrong = [] if is_whole(n_rows, least=1) else [f"n_rows={n_rows!r} (a whole number, at least 1)"]
    wrong += [] if is_whole(seed) else [f"seed={seed!r} (a whole number of at least 0)"]
    shares = [float(share) for share in fractions]
    fine = len(shares) == 3 and all(math.isfinite(share) and share >= 0 for share in shares)
    if not fine or shares[0] <= 0 or not math.isclose(sum(shares), 1.0, abs_tol=1e-6):
        wrong.append(f"fractions={fractions!r} (three shares of sum 1, the first above 0)")
    if wrong:
        raise SettingError(f"arguments of eq.split are out of range: {'; '.join(wrong)}.")
    return shares


def _check_labels(values: NDArray[np.generic], n_rows: int, name: str) -> None:
    if values.shape != (n_rows,):
        raise DataError(f"`{name}` must hold one label a row, shape ({n_rows},); got {values.shape}.")
    # None, NaN and NaT differ from themselves
    missing = [number for number, value in enumerate(values.tolist()) if value is None or value != value]  # noqa: PLR0124
    if missing:
        raise DataError(f"`{name}` must be known for every row; missing in {len(missing)}, the first is {missing[0]}.")


def _bounds(n: int, shares: Sequence[float]) -> list[int]:
    """Where the second and third side begin; every side that has a share gets a row while there are rows."""
    ends = [round(n * shares[0]), round(n * (shares[0] + shares[1]))]
    first = max(1, min(ends[0], n - (shares[1] > 0) - (shares[2] > 0)))
    second = max(first + (shares[1] > 0), min(ends[1], n - (shares[2] > 0)))
    return [first, n if shares[2] == 0 else second]


def _cut(order: Index, shares: Sequence[float]) -> Index:
    """Side of each row, for rows in the order in which they are dealt."""
    side = np.zeros(len(order), dtype=np.int64)
    first, second = _bounds(len(order), shares)
    side[order[first:second]] = 1
    side[order[second:]] = 2
    return side


def _by_group(codes: Index, shares: Sequence[float], generator: np.random.Generator) -> Index:
    sizes = np.bincount(codes)
    wanted = np.array(shares) * len(codes)
    got = np.zeros(3)
    chosen = np.empty(len(sizes), dtype=np.int64)
    # large groups first, so that small ones even out the shares; those of one size in random order
    order = generator.permutation(len(sizes))
    for group in order[np.argsort(-sizes[order], kind="stable")]:
        side = int(np.argmax(np.where(np.array(shares) > 0, (wanted - got) / np.maximum(wanted, 1e-300), -np.inf)))
        chosen[group] = side
        got[side] += sizes[group]
    return chosen[codes]


def _by_time(codes: Index, shares: Sequence[float]) -> Index:
    """Whole moments: each goes to the side on which the middle of its rows lies."""
    sizes = np.bincount(codes)
    middle = np.cumsum(sizes) - sizes / 2
    first, second = (len(codes) * shares[0], len(codes) * (shares[0] + shares[1]))
    side = np.where(middle <= first, 0, np.where(middle <= second, 1, 2)).astype(np.int64)
    if shares[2] == 0:
        side = np.minimum(side, 1 if shares[1] > 0 else 0)
    if shares[1] == 0:
        side[side == 1] = 2
    return side[codes]


def _stratified(codes: Index, shares: Sequence[float], generator: np.random.Generator) -> Index:
    """Classes one after the other, cut as a whole: quotas are kept up to a row, also over many small classes."""
    n = len(codes)
    # within a class rows lie evenly in (0, 1); sorting by that interleaves the classes, and the cut is one cut
    place = np.empty(n)
    for code in range(int(codes.max()) + 1):
        rows = generator.permutation(np.flatnonzero(codes == code))
        place[rows] = (np.arange(len(rows)) + generator.random()) / len(rows)
    return _cut(np.argsort(place, kind="stable"), shares)
