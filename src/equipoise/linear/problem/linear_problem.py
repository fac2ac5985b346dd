"""A table as a linear multi-task problem: everything that the trade-offs depend on, and nothing else."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...core.numbers import Array
from ...errors import SettingError
from .gramian import checked_width
from .incomplete_rows import fields_of_incomplete_rows
from .moments import fields_of_moments
from .rows import fields_of_rows

__all__ = ["LinearProblem"]


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
        tasks: Names of the k tasks. Default: the columns of `Y` where it is a data frame, else ``task0``, ``task1``,
            ...
        center: Subtract column means from X and Y (the same as an intercept in every head).
        scale: Divide targets by their standard deviations (ddof = 0): losses are then shares of each task's
            variance. Inputs are divided by theirs in any case where `scale` holds; predictions do not depend
            on that.

    Attributes:
        gramian: (k, k) Gramian G of the least-squares predictions.
        unexplained: (k,) losses c that no linear model removes.
        total: (k,) S_ii: mean squares of the targets after centring and scaling (1 with both).
        variance: (k,) variance of the raw targets, in their units squared.
        R2: (k,) share of `total` that least squares explains.
        rank: Effective number of tasks: rank of G.
        second_moments: (p, p) C = X^T X / n, after centring and scaling; with
        cross_moments: (p, k) B = X^T Y / n and
        target_moments: (k, k) S = Y^T Y / n.
        coefficients: (p, k) least-squares coefficients: Ŷ = X @ coefficients (of least norm where C is
            singular).
        method: Computation of the predictions, by name.
        task_rows: (k,) rows that each task was fitted to: all, unless targets are missing.
        rows, inputs, tasks, width, center, scale: Numbers of rows and inputs, and the settings as given.
        warnings: Doubts about the data, one sentence each.

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
    task_rows: NDArray[np.int64] = field(repr=False)
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
        self._record(fields_of_rows(X, Y, tasks=tasks, center=center, scale=scale), width)

    @classmethod
    def from_moments(
        cls,
        second_moments: ArrayLike,
        cross_moments: ArrayLike,
        target_moments: ArrayLike,
        *,
        width: int | None = None,
        **settings: Any,
    ) -> Self:
        """The problem from second moments about the means, without its rows: it cannot be resampled.

        Args:
            second_moments: (p, p) mean of (x - mean)(x - mean)^T.
            cross_moments: (p, k) mean of (x - mean)(y - mean)^T.
            target_moments: (k, k) mean of (y - mean)(y - mean)^T.
            width: Shared width, as for the class.
            settings: Further arguments of `linear.problem.moments.fields_of_moments`: rows, input_means, target_means,
                tasks, center, scale. What differs from ``LinearProblem(X, Y)`` is said there.

        Example:
            >>> X = np.array([[0.0, 1.0], [1.0, 0.0], [2.0, 5.0], [3.0, 2.0]])
            >>> Y = np.column_stack([X[:, 0], [1.0, 0.0, 0.0, 1.0]])
            >>> x, y = X - X.mean(0), Y - Y.mean(0)
            >>> means = {"input_means": X.mean(0), "target_means": Y.mean(0)}
            >>> problem = LinearProblem.from_moments(x.T @ x / 4, x.T @ y / 4, y.T @ y / 4, rows=4, **means)
            >>> bool(np.allclose(problem.gramian, LinearProblem(X, Y).gramian))
            True
        """
        problem = object.__new__(cls)
        problem._record(fields_of_moments(second_moments, cross_moments, target_moments, **settings), width)
        return problem

    @classmethod
    def from_incomplete_rows(
        cls,
        X: ArrayLike,
        Y: ArrayLike,
        width: int | None = None,
        *,
        tasks: Sequence[str] | None = None,
        scale: bool = True,
    ) -> Self:
        """The problem of rows of which some miss a target (NaN in Y): each task is fitted to the rows that have it.

        G is the Gramian of the predictions over the inputs of all rows, c the mean squared residuals of each task's own
        rows, and a task's variance is G_ii + c_i before scaling. Without gaps this is ``LinearProblem(X, Y)``; with
        gaps it holds for all rows if a task's coefficients and noise would be the same on the rows that miss it. Tasks
        need not share a row. Every task has an intercept of its own.

        Args:
            X: (n, p) inputs, finite.
            Y: (n, k) targets, NaN where missing; every row has one, every task two different values.
            width: Shared width; this and the next two as for the class.
            tasks: Names of the k tasks.
            scale: Whether targets are divided by the root of their variance.

        Raises:
            DataError: As the class; also a row without any target.

        Example:
            >>> X = np.array([[0.0], [1.0], [2.0], [0.0], [1.0], [2.0]])
            >>> gap = np.full(3, np.nan)
            >>> Y = np.column_stack([[*X[:3, 0], *gap], [*gap, *(5 - X[3:, 0])]])
            >>> LinearProblem.from_incomplete_rows(X, Y).gramian.round(9).tolist()
            [[1.0, -1.0], [-1.0, 1.0]]
        """
        problem = object.__new__(cls)
        problem._record(fields_of_incomplete_rows(X, Y, tasks=tasks, scale=scale), width)
        return problem

    @property
    def incomplete(self) -> bool:
        """Whether some task was fitted to fewer rows than others are."""
        return bool((self.task_rows < self.rows).any())

    def drawn(self, rows: NDArray[np.int64]) -> LinearProblem:
        """The problem of some of the rows, which may repeat, with the same settings.

        Raises:
            DataError: These rows are no problem: a target is constant among them, or missing.
        """
        X, Y = self.raw_inputs[rows], self.raw_targets[rows]
        if self.incomplete and np.isnan(Y).any():
            return LinearProblem.from_incomplete_rows(X, Y, self.width, tasks=self.tasks, scale=self.scale)
        return LinearProblem(X, Y, self.width, tasks=self.tasks, center=self.center, scale=self.scale)

    def _record(self, values: dict[str, Any], width: int | None) -> None:
        values["width"] = None if width is None else checked_width(width)
        for name, value in values.items():
            if isinstance(value, np.ndarray):
                value.setflags(write=False)
            object.__setattr__(self, name, value)

    def __getattr__(self, name: str) -> Any:
        if name in {"raw_inputs", "raw_targets"}:
            raise SettingError(
                "the rows of this problem were not kept, only their second moments, so that they cannot be resampled. "
                "Leave out bootstraps, or build LinearProblem(X, Y) from the rows"
            )
        raise AttributeError(f"{type(self).__name__!r} has no attribute {name!r}")

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
