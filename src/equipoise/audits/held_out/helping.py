"""Which task helps which: the measured changes of every pair, and of all tasks together, as a record."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
from scipy.stats import t as student

from ...core.multiple_tests import holm
from ...core.numbers import Array
from ...core.records.sharing import LEVEL, Sharing

__all__ = ["sharing_of"]

_ROUNDING = 1e-12


def sharing_of(
    pairs: tuple[Array, Array],
    together: tuple[Array, Array],
    widths: Sequence[int],
    degrees: int,
    expected: Array | None,
) -> Sharing:
    """The record of changes and their standard errors: (k, k) of pairs, (k,) of all tasks together.

    `widths` are those that the folds chose, `degrees` the degrees of freedom of the errors. The p-values are those of
    Student's t, corrected by Holm's procedure over the k (k - 1) ordered pairs, and over the k tasks.
    """
    changes, errors = _without_rounding(*pairs)
    alike, alike_errors = _without_rounding(*together)
    others = ~np.eye(len(changes), dtype=bool)
    corrected = np.ones(changes.shape)
    corrected[others] = holm(_p_values(changes[others], errors[others], degrees))
    return Sharing(
        pairs=_rows(changes),
        pair_errors=_rows(errors),
        pair_p_values=_rows(corrected),
        together=tuple(map(float, alike)),
        together_errors=tuple(map(float, alike_errors)),
        together_p_values=tuple(holm(_p_values(alike, alike_errors, degrees))),
        widths=dict(sorted(Counter(int(width) for width in widths).items())),
        quantile=float(student.ppf(1 - LEVEL / 2, degrees)),
        expected=None if expected is None else _rows(expected),
    )


def _without_rounding(changes: Array, errors: Array) -> tuple[Array, Array]:
    """Changes of tasks that are one up to their unit are rounding: they are 0 and never vary."""
    real = np.abs(changes) + errors > _ROUNDING
    return np.where(real, changes, 0.0), np.where(real, errors, 0.0)


def _p_values(changes: Array, errors: Array, degrees: int) -> list[float]:
    """Two-sided; 1 where nothing changes, 0 of a change that never varies."""
    ratios = np.divide(np.abs(changes), errors, out=np.where(changes == 0, 0.0, np.inf), where=errors > 0)
    return [float(value) for value in 2 * student.sf(ratios, degrees)]


def _rows(values: Array) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(float(value) for value in row) for row in values)
