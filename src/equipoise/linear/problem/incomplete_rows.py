"""A linear problem from rows that miss some of their targets: each task is fitted to its own rows.

The best linear predictor of each task comes from the rows that have its target. What tasks have in common, the Gramian
of these predictions, is taken over the inputs of all rows, so that it is known for tasks that share no row at all. A
task's variance is then that of its prediction over all rows plus the mean squared residual of its own rows (the law of
total variance, with one noise level): without gaps all of it is what `LinearProblem(X, Y)` computes. With gaps the
excess of a shared layer over a task's own model is still exact, as the mean squared distance of two linear functions
over all rows' inputs; what is assumed is that a task's own rows would give the same coefficients anywhere.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ...core.numbers import Array
from ...errors import DataError, listed
from .fields import fields_of, task_names
from .rows import checked_columns, numeric_table, predictions, prepared_inputs

__all__ = ["fields_of_incomplete_rows"]

FEWEST = 3
"""Common rows below which two targets are not compared."""


def fields_of_incomplete_rows(
    X: ArrayLike, Y: ArrayLike, *, tasks: Sequence[str] | None, scale: bool
) -> dict[str, Any]:
    """The fields of ``LinearProblem.from_incomplete_rows(X, Y)``; see there."""
    raw_inputs, raw_targets = numeric_table(X, "X", "inputs"), numeric_table(Y, "Y", "targets")
    names = task_names(tasks if tasks is not None else getattr(Y, "columns", None), raw_targets.shape[1])
    known = ~np.isnan(raw_targets)
    few = [f"'{name}' ({count})" for name, count in zip(names, known.sum(axis=0), strict=True) if count < 2]
    if few:
        raise DataError(f"a target needs at least two rows with a value; found {listed(few, '')}. Leave it out")
    if len(raw_targets) and not known.any(axis=1).all():
        empty = int((~known.any(axis=1)).sum())
        raise DataError(f"every row must have a target; {empty} of {len(known)} rows have none. Leave these rows out")
    # a gap filled with a value of its own column changes no check: neither its range nor whether it is constant
    filled = np.where(known, raw_targets, raw_targets[known.argmax(axis=0), np.arange(len(names))])
    checked_columns(raw_inputs, filled, names, getattr(X, "columns", None), scale)
    warnings: list[str] = []
    inputs = prepared_inputs(raw_inputs, True, scale, warnings)
    coefficients, residual = np.zeros((inputs.shape[1], len(names))), np.zeros(len(names))
    patterns, place = np.unique(known, axis=1, return_inverse=True)
    for number, rows in enumerate(patterns.T):
        here = np.flatnonzero(np.ravel(place) == number)
        x, y = inputs[rows], raw_targets[np.ix_(rows, here)]
        x, y = x - x.mean(axis=0), y - y.mean(axis=0)  # an intercept of their own
        own, coefficients[:, here], _ = predictions(x, y, x.T @ x / len(x), x.T @ y / len(x))
        residual[here] = np.maximum(np.mean(y**2, axis=0) - own.diagonal(), 0.0)
    fitted = inputs @ coefficients
    gramian = fitted.T @ fitted / len(inputs)
    variance = gramian.diagonal() + residual
    size = np.sqrt(variance) if scale else np.ones(len(names))
    gramian, coefficients, residual = gramian / np.outer(size, size), coefficients / size, residual / size**2
    second = inputs.T @ inputs / len(inputs)
    return fields_of(
        gramian,
        coefficients,
        # what residuals of two tasks have in common is not known where they share no row, and decides nothing
        (second, second @ coefficients, gramian + np.diag(residual)),
        rows=len(inputs),
        tasks=names,
        correlations=_correlations(raw_targets, known),
        warnings=warnings,
        task_rows=known.sum(axis=0),
        variance=variance,
        method="rows that have each target, and compared over the inputs of all rows",
        center=True,
        scale=bool(scale),
        raw_inputs=raw_inputs,
        raw_targets=raw_targets,
    )


def _correlations(Y: Array, known: np.ndarray[Any, np.dtype[np.bool_]]) -> Array:
    """Of each pair over the rows that have both; 0 where these are too few, or one does not vary there."""
    found = np.eye(Y.shape[1])
    for i, j in zip(*np.triu_indices(Y.shape[1], 1), strict=True):
        both = known[:, i] & known[:, j]
        pair = Y[both][:, [i, j]]
        if len(pair) >= FEWEST and pair.std(axis=0).min() > 0:
            found[i, j] = found[j, i] = np.asarray(np.corrcoef(pair.T))[0, 1]
    return found
