"""A linear problem from second moments alone, as a stream of rows gives them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ...core.numbers import Array
from ...errors import DataError
from .fields import fields_of, refuse_targets, task_names

__all__ = ["fields_of_moments"]


CONSTANT = 1e-24
"""Variance below this share of the squared mean is the rounding of a constant."""

CUT = 1e-11
"""Directions of the inputs below this share of the largest (of their correlations) count as rounding."""


def fields_of_moments(
    second_moments: ArrayLike,
    cross_moments: ArrayLike,
    target_moments: ArrayLike,
    *,
    rows: int,
    input_means: ArrayLike,
    target_means: ArrayLike,
    tasks: Sequence[str] | None = None,
    center: bool = True,
    scale: bool = True,
) -> dict[str, Any]:
    """The fields of the problem that `LinearProblem(X, Y)` would be, from moments about the means.

    With x and y centred, C (p, p) is the mean of x x^T, B (p, k) of x y^T and S (k, k) of y y^T; there must be two rows
    or more, and as many as targets. The other arguments are those of `LinearProblem`. Differences: predictions come
    from the eigenvectors of C, where the rows would give them from X itself above a condition number of 1e8; directions
    of the inputs below 1e-11 of the largest are then left out, and `warnings` says so. Nothing can be resampled.

    Raises:
        DataError: Shapes, values that are not finite, a constant target, identical targets, too few rows.
        TaskError: Names that do not fit, fewer than two tasks.
    """
    C, B, S = (np.array(part, dtype=np.float64) for part in (second_moments, cross_moments, target_moments))
    x, y = np.array(input_means, dtype=np.float64), np.array(target_means, dtype=np.float64)
    if x.ndim != 1 or y.ndim != 1 or not len(x) or (C.shape, B.shape, S.shape) != (
        (len(x), len(x)), (len(x), len(y)), (len(y), len(y))
    ):  # fmt: skip
        raise DataError(
            "moments of p inputs and k targets must have shapes (p, p), (p, k), (k, k), means (p,) and (k,); found "
            f"{C.shape}, {B.shape}, {S.shape}, {x.shape}, {y.shape}"
        )
    names = task_names(tasks, len(y))
    if not all(np.isfinite(part).all() for part in (C, B, S, x, y)):
        raise DataError("moments must be finite; found NaN or inf: some row held one, or the sums overflowed")
    if rows < 2 or rows < len(y):
        raise DataError(f"at least two rows and as many as targets are needed; found {rows} rows, {len(y)} targets")
    central, variance = S, np.diag(S).copy()
    _check_targets(S, variance, y, names)
    warnings: list[str] = []
    idle = np.diag(C) <= CONSTANT * x**2
    if center:
        C[idle] = C[:, idle] = 0.0
        B[idle] = 0.0
        if idle.any():
            warnings.append(f"{int(idle.sum())} of {len(x)} inputs are constant and carry nothing")
    else:
        C, B, S = C + np.outer(x, x), B + np.outer(x, y), S + np.outer(y, y)
    if scale:
        sizes, units = np.sqrt(np.diag(C)), np.sqrt(variance)
        sizes = np.where(sizes > 0, sizes, 1.0)
        C, B, S = C / np.outer(sizes, sizes), B / np.outer(sizes, units), S / np.outer(units, units)
    gramian, coefficients = _predictions(C, B, warnings)
    return fields_of(
        gramian,
        coefficients,
        (C, B, S),
        rows=int(rows),
        tasks=names,
        correlations=central / np.sqrt(np.outer(variance, variance)),
        warnings=warnings,
        variance=variance,
        method="second moments of a stream",
        center=bool(center),
        scale=bool(scale),
    )


def _check_targets(S: Array, variance: Array, means: Array, names: tuple[str, ...]) -> None:
    constant = [name for name, held in zip(names, variance <= CONSTANT * means**2, strict=True) if held]
    apart = variance[:, None] + variance - 2 * S
    same = (apart <= 1e-15 * (variance[:, None] + variance)) & np.isclose(means[:, None], means, rtol=1e-14, atol=0)
    pairs = [f"'{names[i]}' = '{names[j]}'" for i, j in np.argwhere(np.triu(same, 1)).tolist()]
    refuse_targets(constant, pairs)


def _predictions(C: Array, B: Array, warnings: list[str]) -> tuple[Array, Array]:
    """G = B^T C^+ B and C^+ B, from the eigenvectors of the inputs' correlations."""
    sizes = np.sqrt(np.maximum(np.diag(C), 0.0))
    inverse = np.divide(1.0, sizes, out=np.zeros_like(sizes), where=sizes > 0)
    values, vectors = np.linalg.eigh(inverse[:, None] * C * inverse)
    if not values[-1] > 0:
        return np.zeros((B.shape[1],) * 2), np.zeros(B.shape)
    live = int((sizes > 0).sum())
    keep = values > CUT * values[-1]
    if keep.sum() < live:
        spread = values[-1] / max(float(values[len(values) - live]), np.finfo(np.float64).tiny)
        warnings.append(
            f"{live - int(keep.sum())} of {live} directions of the inputs are too weak to tell from rounding in "
            f"their second moments (condition number {spread:.1e}) and were left out"
        )
    roots = (vectors[:, keep] / np.sqrt(values[keep])).T * inverse
    half = roots @ B
    return half.T @ half, roots.T @ half
