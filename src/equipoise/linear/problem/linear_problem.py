"""A table as a linear multi-task problem: everything that the trade-offs depend on, and nothing else."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...core.numbers import real_numbers
from ...errors import DataError, TaskError, listed
from .data_warnings import notes
from .gramian import checked_width, effective_rank

__all__ = ["LinearProblem", "task_names"]

Array = NDArray[np.float64]

_NORMAL_EQUATIONS_UP_TO = 1e8
"""Condition number of the inputs' second moments above which the predictions are computed from X itself."""

_CONSTANT = 1e-12
_LARGEST = 1e140
"""Size above which squares of a column are in danger of overflow; their inverse of underflow."""
_ABSENT = 1e-20
"""Share of a target below which what is explained of it is rounding."""


@dataclass(frozen=True, eq=False, init=False)
class LinearProblem:
    """Targets Y predicted from shared inputs X through one shared linear layer and a linear head a task.

    The model is y_i = X W a_i with W (p, q) shared and a_i (q,) the head of task i; deep linear networks are
    the same with q their narrowest shared width. For a given W the best head leaves the mean squared error

        L_i = c_i + G_ii - e_i,

    with c_i = ||y_i - ŷ_i||^2 / n the part of task i that no linear model explains, ŷ_i its least-squares
    prediction, G = Ŷ^T Ŷ / n, and e_i in [0, G_ii] the energy that the shared layer captures. So all
    trade-offs depend on (G, c, q) only (Hu et al., NeurIPS 2023, section 2, there without the 1/n).

    Args:
        X: (n, p) inputs, finite. More inputs than rows are legal: in-sample losses are then 0, and
            `warnings` says so.
        Y: (n, k) targets, finite, k >= 2, k <= n.
        width: Shared width q >= 1, or None where functions are told it later. It may exceed `rank`.
        tasks: k names. Default: the columns of `Y` where it is a data frame, else ``task0``, ``task1``, ...
        center: Subtract column means from X and Y (the same as an intercept in every head).
        scale: Divide targets by their standard deviations (ddof = 0): losses are then shares of each task's
            variance. Inputs are divided by theirs in any case where `scale` holds; predictions do not depend
            on that.

    Attributes:
        gramian: (k, k) G.
        unexplained: (k,) c.
        total: (k,) S_ii: mean squares of the targets after centring and scaling (1 with both).
        variance: (k,) variance of the raw targets, in their units squared.
        R2: (k,) share of `total` that least squares explains.
        rank: Effective number of tasks: rank of G.
        second_moments: (p, p) C = X^T X / n, after centring and scaling; with
        cross_moments: (p, k) B = X^T Y / n and
        target_moments: (k, k) S = Y^T Y / n.
        coefficients: (p, k) least-squares coefficients: Ŷ = X @ coefficients (of least norm where C is
            singular).
        method: How the predictions were computed.
        rows, inputs, tasks, width, center, scale: What was given.
        warnings: What a reader should doubt, one sentence each.

    Raises:
        DataError: X or Y not numeric, not finite, of other shapes, one row, a constant target, identical
            targets, more targets than rows, targets (and with `scale` False inputs) above 1e140 or below 1e-140.
        TaskError: Fewer than two tasks, or names that are doubled or too few.
        SettingError: width < 1.

    Example:
        >>> X = np.array([[0.0], [1.0], [2.0], [3.0]])
        >>> Y = np.column_stack([X[:, 0], [1.0, 0.0, 0.0, 1.0]])
        >>> problem = LinearProblem(X, Y, tasks=("line", "cup"))
        >>> problem.R2.round(3).tolist(), problem.rank
        ([1.0, 0.0], 1)
    """

    gramian: Array
    unexplained: Array
    total: Array
    variance: Array
    R2: Array
    rank: int
    second_moments: Array = field(repr=False)
    cross_moments: Array = field(repr=False)
    target_moments: Array = field(repr=False)
    coefficients: Array = field(repr=False)
    method: str
    rows: int
    inputs: int
    tasks: tuple[str, ...]
    width: int | None
    center: bool
    scale: bool
    warnings: tuple[str, ...]
    raw_inputs: Array = field(repr=False)
    raw_targets: Array = field(repr=False)

    def __init__(
        self,
        X: ArrayLike,
        Y: ArrayLike,
        width: int | None = None,
        *,
        tasks: Sequence[str] | None = None,
        center: bool = True,
        scale: bool = True,
    ) -> None:
        if width is not None:
            width = checked_width(width)
        raw_inputs, raw_targets = _numeric(X, "X", "inputs"), _numeric(Y, "Y", "targets")
        names = task_names(tasks if tasks is not None else getattr(Y, "columns", None), raw_targets)
        _check(raw_inputs, raw_targets, names, getattr(X, "columns", None), scale)
        warnings: list[str] = []
        inputs, targets = _prepared(raw_inputs, raw_targets, center, scale, warnings)
        rows = len(inputs)
        moments, cross, own = inputs.T @ inputs / rows, inputs.T @ targets / rows, targets.T @ targets / rows
        gramian, coefficients, method = _predictions(inputs, targets, moments, cross)
        total = own.diagonal().copy()
        absent = gramian.diagonal() <= _ABSENT * total
        gramian[absent] = gramian[:, absent] = 0.0  # rounding, which has no direction
        captured = np.minimum(gramian.diagonal(), total)
        shares = captured / total
        warnings += notes(inputs.shape[1], rows, np.atleast_2d(np.corrcoef(raw_targets.T)), names, shares)
        values: dict[str, Any] = {
            "gramian": gramian,
            "unexplained": total - captured,
            "total": total,
            "variance": raw_targets.var(axis=0),
            "R2": shares,
            "rank": effective_rank(gramian),
            "second_moments": moments,
            "cross_moments": cross,
            "target_moments": own,
            "coefficients": coefficients,
            "method": method,
            "rows": rows,
            "inputs": inputs.shape[1],
            "tasks": names,
            "width": width,
            "center": bool(center),
            "scale": bool(scale),
            "warnings": tuple(warnings),
            "raw_inputs": raw_inputs,
            "raw_targets": raw_targets,
        }
        for name, value in values.items():
            if isinstance(value, np.ndarray):
                value.setflags(write=False)
            object.__setattr__(self, name, value)

    @classmethod
    def from_moments(cls, second_moments: ArrayLike, *others: ArrayLike, **settings: Any) -> LinearProblem:
        """The problem from second moments about the means; see `linear.moments.problem_from_moments`."""
        from .moments import problem_from_moments  # noqa: PLC0415 - moments builds on this class

        return problem_from_moments(second_moments, *others, **settings)

    def at(self, width: int) -> LinearProblem:
        """The same problem with another shared width; nothing is computed again."""
        other = copy.copy(self)
        object.__setattr__(other, "width", checked_width(width))
        return other

    def losses(self, shared: Array, heads: Array) -> Array:
        """Mean squared error of each task for a model, from second moments alone.

        L_i = S_ii - 2 a_i^T W^T B_i + a_i^T W^T C W a_i.

        Args:
            shared: W (p, q), for inputs centred and scaled as `center` and `scale` say.
            heads: A (q, k), column i the head of task i.

        Returns:
            (k,), in the units of `total`.
        """
        maps = shared @ heads
        return np.asarray(
            self.total
            - 2 * np.einsum("pk,pk->k", maps, self.cross_moments)
            + np.einsum("pk,pk->k", maps, self.second_moments @ maps)
        )


def _numeric(values: ArrayLike, name: str, what: str) -> Array:
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


def task_names(tasks: Any, Y: Array) -> tuple[str, ...]:
    """Names of the k columns of Y, checked; ``task0``, ``task1``, ... where `tasks` is None.

    Raises:
        TaskError: A single string, another number of names, doubled names, or fewer than two.

    Example:
        >>> task_names(None, np.empty((0, 2)))
        ('task0', 'task1')
    """
    count = Y.shape[1]
    if isinstance(tasks, str):
        raise TaskError(f"tasks must be a sequence of names; found {tasks!r}. Pass a list of {count} names")
    names = tuple(str(task) for task in tasks) if tasks is not None else tuple(f"task{i}" for i in range(count))
    if len(names) != count:
        raise TaskError(f"Y has {count} columns, tasks names {len(names)}: {listed(names)}")
    doubled = sorted({name for name in names if names.count(name) > 1})
    if doubled:
        raise TaskError(f"task names must differ; doubled: {listed(doubled)}")
    if count < 2:
        raise TaskError(f"a trade-off needs at least two tasks; found one: {listed(names)}")
    return names


def _check(X: Array, Y: Array, tasks: tuple[str, ...], input_names: Any, scale: bool) -> None:
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
            f"X and Y must be finite; found NaN or inf in {listed(bad[:20], '')}{more}. Drop or fill these rows first"
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
    if constant:
        raise DataError(f"a target must vary; constant: {listed(constant)}. Leave it out")
    order = sorted(range(len(tasks)), key=lambda i: Y[:, i].tobytes())
    same = [
        f"'{tasks[min(i, j)]}' = '{tasks[max(i, j)]}'" for i, j in pairwise(order) if np.array_equal(Y[:, i], Y[:, j])
    ]
    if same:
        raise DataError(f"targets must differ; identical in every row: {listed(sorted(same), '')}. Keep one of each")


def _is_constant(column: Array) -> bool:
    half = column / 2  # the range of a column may be too large for a float64
    return bool(np.ptp(half) <= _CONSTANT * np.abs(half).max())


def _unit(X: Array) -> Array:
    """X with every column divided by a power of 2 that brings it to order 1, which loses no digit."""
    _, exponents = np.frexp(np.maximum(X.max(axis=0), -X.min(axis=0)))
    return np.asarray(np.ldexp(X, -exponents), dtype=np.float64)


def _prepared(X: Array, Y: Array, center: bool, scale: bool, warnings: list[str]) -> tuple[Array, Array]:
    """Centred and scaled tables, one copy of each; inputs that are constant become 0 where centred."""
    idle = np.array([_is_constant(column) for column in X.T])
    if scale:
        X = _unit(X)  # squares of very large or small inputs would be inf or 0
    elif center:
        X = X.copy()
    if center:
        X -= X.mean(axis=0)
        Y = Y - Y.mean(axis=0)
        X[:, idle] = 0.0
        if idle.any():
            warnings.append(f"{int(idle.sum())} of {X.shape[1]} inputs are constant and carry nothing")
    if scale:
        size = np.sqrt(np.einsum("ij,ij->j", X, X) / len(X))
        X /= np.where(size > 0, size, 1.0)
        Y = Y / Y.std(axis=0)
    return X, Y


def _predictions(X: Array, Y: Array, moments: Array, cross: Array) -> tuple[Array, Array, str]:
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
