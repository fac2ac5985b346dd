"""A linear problem from a table: its rows checked, centred and scaled, and the least-squares predictions."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ...core.numbers import Array, real_numbers
from ...errors import DataError, TaskError, listed
from .fields import fields_of, refuse_targets, task_names

__all__ = ["checked_columns", "fields_of_rows", "numeric_table", "predictions", "prepared_inputs"]


_NORMAL_EQUATIONS_UP_TO = 1e8
"""Condition number of the inputs' second moments above which the predictions are computed from X itself."""

_CONSTANT = 1e-12
_LARGEST = 1e140
"""Size above which squares of a column are in danger of overflow; their inverse of underflow."""


def fields_of_rows(
    X: ArrayLike, Y: ArrayLike, *, tasks: Sequence[str] | None, center: bool, scale: bool
) -> dict[str, Any]:
    """The fields of ``LinearProblem(X, Y)``; see there."""
    raw_inputs, raw_targets = numeric_table(X, "X", "inputs"), numeric_table(Y, "Y", "targets")
    names = task_names(tasks if tasks is not None else getattr(Y, "columns", None), raw_targets.shape[1])
    checked_columns(raw_inputs, raw_targets, names, getattr(X, "columns", None), scale)
    warnings: list[str] = []
    inputs, targets = prepared_inputs(raw_inputs, center, scale, warnings), raw_targets
    if center:
        targets = targets - targets.mean(axis=0)
    if scale:
        targets = targets / targets.std(axis=0)
    rows = len(inputs)
    moments, cross, own = inputs.T @ inputs / rows, inputs.T @ targets / rows, targets.T @ targets / rows
    gramian, coefficients, method = predictions(inputs, targets, moments, cross)
    return fields_of(
        gramian,
        coefficients,
        (moments, cross, own),
        rows=rows,
        tasks=names,
        correlations=np.atleast_2d(np.corrcoef(raw_targets.T)),
        warnings=warnings,
        variance=raw_targets.var(axis=0),
        method=method,
        center=bool(center),
        scale=bool(scale),
        raw_inputs=raw_inputs,
        raw_targets=raw_targets,
    )


def numeric_table(values: ArrayLike, name: str, what: str) -> Array:
    """A (rows, columns) table of float64, or an error that names it."""
    table = real_numbers(values, f"{name} ({what})", DataError, "encode text columns first")
    if table.ndim == 1 and name == "X":
        table = table[:, None]
    if table.ndim == 1:
        raise TaskError(
            "a trade-off needs at least two tasks: Y must be (rows, tasks) with two columns or more; "
            f"found one task of shape {table.shape}"
        )
    if table.ndim != 2 or not table.shape[1]:
        raise DataError(f"{name} ({what}) must be a (rows, {what}) table; found shape {table.shape}")
    return table


def checked_columns(X: Array, Y: Array, tasks: tuple[str, ...], input_names: Any, scale: bool) -> None:
    """Raise for everything that makes the table unusable, all offenders at once."""
    if len(X) != len(Y):
        raise DataError(f"X and Y must have the same rows; X has {len(X)}, Y has {len(Y)}")
    if len(X) < 2:
        raise DataError(f"at least two rows are needed, many more than columns are wise; found {len(X)}")
    inputs = tuple(str(name) for name in input_names) if input_names is not None else None
    bad = [
        f"{what} '{label}' ({int(count)} of {len(X)} rows)"
        for what, table, labels in (
            ("input", X, inputs or tuple(f"column {j}" for j in range(X.shape[1]))),
            ("target", Y, tasks),
        )
        for label, count in zip(labels, (~np.isfinite(table)).sum(axis=0), strict=True)
        if count
    ]
    if bad:
        more = f" and {len(bad) - 20} more" if len(bad) > 20 else ""
        raise DataError(
            f"X and Y must be finite; found NaN or inf in {listed(bad[:20], '')}{more}. Drop or fill these rows first; "
            "where only targets are missing, LinearProblem.from_incomplete_rows uses what is there"
        )
    if Y.shape[1] > len(Y):
        raise DataError(f"there must be at least as many rows as targets; found {len(Y)} rows, {Y.shape[1]} targets")
    constant = [name for name, column in zip(tasks, Y.T, strict=True) if _is_constant(column)]
    extreme = [
        f"'{name}' ({np.abs(column).max():.3g})"
        for name, column in zip(tasks, Y.T, strict=True)
        if name not in constant and not (np.ptp(column / 2) > 1 / _LARGEST and np.abs(column).max() < _LARGEST)
    ]
    if extreme:
        raise DataError(
            f"a target's variance must be a number of float64, so targets must be of size 1e-140 to 1e140; found "
            f"{listed(extreme, '')}. Express them in another unit"
        )
    if not scale:
        large = np.abs(X).max(axis=0)
        odd = [j for j, size in enumerate(large) if size and not 1 / _LARGEST < size < _LARGEST]
        if odd:
            shown = [f"'{inputs[j] if inputs else f'column {j}'}' ({large[j]:.3g})" for j in odd[:20]]
            raise DataError(
                f"with scale=False inputs must be of size 1e-140 to 1e140; found {listed(shown, '')}. Pass scale=True, "
                "or express them in another unit"
            )
    order = sorted(range(len(tasks)), key=lambda i: Y[:, i].tobytes())
    same = [
        f"'{tasks[min(i, j)]}' = '{tasks[max(i, j)]}'" for i, j in pairwise(order) if np.array_equal(Y[:, i], Y[:, j])
    ]
    refuse_targets(constant, sorted(same))


def _is_constant(column: Array) -> bool:
    half = column / 2  # the range of a column may be too large for a float64
    return bool(np.ptp(half) <= _CONSTANT * np.abs(half).max())


def _unit(X: Array) -> Array:
    """X with every column divided by a power of 2 that brings it to order 1, which loses no digit."""
    _, exponents = np.frexp(np.maximum(X.max(axis=0), -X.min(axis=0)))
    return np.asarray(np.ldexp(X, -exponents), dtype=np.float64)


def prepared_inputs(X: Array, center: bool, scale: bool, warnings: list[str]) -> Array:
    """Centred and scaled inputs, one copy; those that are constant become 0 where centred."""
    idle = np.array([_is_constant(column) for column in X.T])
    if scale:
        X = _unit(X)  # squares of very large or small inputs would be inf or 0
    elif center:
        X = X.copy()
    if center:
        X -= X.mean(axis=0)
        X[:, idle] = 0.0
        if idle.any():
            warnings.append(f"{int(idle.sum())} of {X.shape[1]} inputs are constant and carry nothing")
    if scale:
        size = np.sqrt(np.einsum("ij,ij->j", X, X) / len(X))
        X /= np.where(size > 0, size, 1.0)
    return X


def predictions(X: Array, Y: Array, moments: Array, cross: Array) -> tuple[Array, Array, str]:
    """(G, coefficients, method). G is a product M^T M in both routes, so that it is positive semidefinite."""
    rows, inputs = X.shape
    if inputs < rows:
        values = np.linalg.eigvalsh(moments)
        if values[0] * _NORMAL_EQUATIONS_UP_TO > values[-1]:
            lower = np.linalg.cholesky(moments)
            half = np.linalg.solve(lower, cross)
            return half.T @ half, np.linalg.solve(lower.T, half), "normal equations"
    left, sizes, right = np.linalg.svd(X, full_matrices=False)
    if not sizes[0] > 0:
        return np.zeros((Y.shape[1],) * 2), np.zeros((inputs, Y.shape[1])), "no input varies"
    keep = sizes > sizes[0] * max(X.shape) * np.finfo(np.float64).eps
    half = left[:, keep].T @ Y
    return half.T @ half / rows, right[keep].T @ (half / sizes[keep, None]), "singular values of the inputs"
