"""Which rows are left out together: blocks for cross-validation and for the jackknife."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...core.text import plural
from ...errors import DataError, SettingError

__all__ = ["BLOCKS", "FEWEST", "RowBlocks", "row_blocks"]

BLOCKS = 20
"""Blocks of the jackknife where there are rows or groups enough; two of them are a fold."""
FEWEST = 5
"""Groups below which an interval over blocks says nothing."""

Index = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class RowBlocks:
    """A partition of the rows.

    Attributes:
        block: (n,) the block of each row, 0 to `count` - 1.
        count: Number of blocks J.
        folds: Blocks of each fold; up to ten blocks are folds themselves, above that two are a fold.
        words: The partition in words.
    """

    block: Index
    count: int
    folds: tuple[tuple[int, ...], ...]
    words: str


def row_blocks(rows: int, *, seed: int = 0, groups: Any = None, times: Any = None) -> RowBlocks:
    """Twenty blocks of nearly equal size: random, of whole groups, or of rows that follow each other in time.

    Args:
        rows: Number of rows n, at least 20 where neither groups nor times are given.
        seed: Seed of the random order of rows or groups.
        groups: (n,) a value for each row; rows of one value are never split.
        times: (n,) numbers; blocks are runs of neighbouring times, and rows of one time are never split.

    Raises:
        DataError: Too few rows, or fewer than five groups or times.
        SettingError: Both groups and times.

    Example:
        >>> row_blocks(6, groups=list("abcdef")).folds
        ((0,), (1,), (2,), (3,), (4,), (5,))
        >>> row_blocks(40, times=range(40)).block[:5].tolist()
        [0, 0, 1, 1, 2]
    """
    if groups is not None and times is not None:
        raise SettingError("rows are held out either by group or by time; found both. Leave one of them out")
    if groups is None and times is None:
        if rows < BLOCKS:
            raise DataError(
                f"losses on new rows need at least {BLOCKS} rows, one a block of the jackknife; found {rows}"
            )
        block = np.empty(rows, dtype=np.int64)
        block[np.random.default_rng(seed).permutation(rows)] = np.arange(rows) * BLOCKS // rows
        return _partition(block, BLOCKS, "rows drawn at random")
    what = "group" if times is None else "time"
    values, codes = np.unique(np.asarray(groups if times is None else times), return_inverse=True)
    if len(codes) != rows:
        raise DataError(f"there must be one {what} a row: {rows}; found {len(codes)}")
    if len(values) < FEWEST:
        raise DataError(
            f"losses on new rows need at least {FEWEST} {what}s, of which none is on both sides; found {len(values)}"
        )
    count, sizes = min(BLOCKS, len(values)), np.bincount(codes)
    owner = np.empty(len(values), dtype=np.int64)
    if times is not None:
        # the middle of each time's rows decides; where few times hold most rows, blocks that stay empty are closed up
        middle = (np.cumsum(sizes) - sizes / 2) / rows
        owner[:] = np.unique(np.minimum((middle * count).astype(np.int64), count - 1), return_inverse=True)[1]
        count = int(owner.max()) + 1
        if count < FEWEST:
            raise DataError(f"losses on new rows need {FEWEST} blocks of times; {count} times hold most rows")
        return _partition(owner[codes], count, f"rows that follow each other in time ({plural(len(values), 'time')})")
    filled = np.zeros(count, dtype=np.int64)
    order = np.random.default_rng(seed).permutation(len(values))
    for group in order[np.argsort(-sizes[order], kind="stable")]:  # the largest first, each where there is most room
        owner[group] = int(filled.argmin())
        filled[owner[group]] += sizes[group]
    return _partition(owner[codes], count, f"whole groups ({plural(len(values), 'group')})")


def _partition(block: Index, count: int, words: str) -> RowBlocks:
    step = 1 if count <= BLOCKS // 2 else 2
    folds = tuple(tuple(range(first, min(first + step, count))) for first in range(0, count, step))
    return RowBlocks(block, count, folds, words)
