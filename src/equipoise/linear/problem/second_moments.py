"""Second moments of a stream of rows: constant memory, one pass, about the time of the matrix products themselves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...core.numbers import Array
from ...errors import DataError
from .linear_problem import LinearProblem

__all__ = ["SecondMoments"]


BLOCK = 2**17
"""Numbers worked on at a time (1 MiB): they stay in the cache between the shift, the sums and the product."""


class SecondMoments:
    """Sums of products of inputs and targets over batches: all that a linear problem needs.

    Kept are (p + k, p + k) sums of products, (p + k,) sums, and the first block's means, which are subtracted from
    every row before anything is squared: a mean that is large against the spread then costs no digits (Chan, Golub and
    LeVeque, 1983).

    Args:
        inputs: Number of inputs p, or None to take it from the first batch.
        targets: Number of targets k, or None to take it from the first batch.

    Attributes:
        rows: Number of rows seen.

    Example:
        >>> X = np.random.default_rng(0).normal(size=(100, 3))
        >>> stream = SecondMoments()
        >>> for batch in np.split(X, 4):
        ...     stream.update(batch, batch[:, :2] + 7.0)
        >>> stream.rows, bool(np.allclose(stream.second_moments, np.cov(X.T, bias=True)))
        (100, True)
    """

    def __init__(self, inputs: int | None = None, targets: int | None = None) -> None:
        self.rows = 0
        self._inputs, self._targets = inputs, targets
        self._shift: Array | None = None
        self._sums: Array = np.zeros(0)
        self._products: Array = np.zeros((0, 0))
        self._buffer: Array = np.zeros((0, 0))

    def update(self, X: ArrayLike, Y: ArrayLike) -> None:
        """Add a batch of rows.

        Args:
            X: (n, p) inputs of any real dtype; sums are in float64.
            Y: Targets, (n, k).

        Raises:
            DataError: Shapes that do not fit, or values that are not finite. Nothing of the batch was then added.

        Cost: (p + k)^2 n multiplications in one symmetric product, and one pass over the batch.
        """
        inputs, targets = _table(X, "X"), _table(Y, "Y")
        if len(inputs) != len(targets):
            raise DataError(f"X and Y must have the same rows; found {len(inputs)} and {len(targets)}")
        for name, found, known in (("X", inputs, self._inputs), ("Y", targets, self._targets)):
            if known is not None and found.shape[1] != known:
                raise DataError(f"{name} must have {known} columns, as before; found {found.shape[1]}")
        if not len(inputs):
            return
        width, total = inputs.shape[1], inputs.shape[1] + targets.shape[1]
        block = max(BLOCK // total, 64)
        shift = self._shift
        if shift is None:
            # the mean of some rows, in float64, is near enough to every mean
            head = min(block, len(inputs))
            shift = np.concatenate([table[:head].mean(axis=0, dtype=np.float64) for table in (inputs, targets)])
        if self._buffer.shape != (block, total):
            self._buffer = np.empty((block, total))
        sums, products = np.zeros(total), np.zeros((total, total))
        ones = np.ones(block)
        for start in range(0, len(inputs), block):
            stop = min(start + block, len(inputs))
            part = self._buffer[: stop - start]
            np.subtract(inputs[start:stop], shift[:width], out=part[:, :width])
            np.subtract(targets[start:stop], shift[width:], out=part[:, width:])
            sums += ones[: stop - start] @ part
            products += part.T @ part
        # NaN and inf survive in the sums: no pass of its own is needed to find them
        if not (np.isfinite(sums).all() and np.isfinite(products.diagonal()).all()):
            bad = np.flatnonzero(~(np.isfinite(sums) & np.isfinite(products.diagonal())))
            names = [f"input {j}" if j < width else f"target {j - width}" for j in bad.tolist()]
            raise DataError(
                f"rows must be finite; found NaN or inf in {', '.join(names[:20])} of this batch, which was not added"
            )
        if self._shift is None:
            self._shift, self._inputs, self._targets = shift, width, total - width
            self._sums, self._products = sums, products
        else:
            self._sums = self._sums + sums
            self._products += products
        self.rows += len(inputs)

    def merge(self, other: SecondMoments) -> None:
        """Add the rows that another stream has seen (another process, another part of the data).

        Raises:
            DataError: Other numbers of columns.
        """
        if other._shift is None:
            return
        if self._shift is None:
            self.rows, self._inputs, self._targets = other.rows, other._inputs, other._targets
            self._shift, self._sums = other._shift.copy(), other._sums.copy()
            self._products = other._products.copy()
            return
        if (self._inputs, self._targets) != (other._inputs, other._targets):
            raise DataError(
                f"streams of {self._inputs} inputs and {self._targets} targets cannot take in one of "
                f"{other._inputs} and {other._targets}"
            )
        apart = other._shift - self._shift
        cross = np.outer(other._sums, apart)
        self._products += other._products + cross + cross.T + other.rows * np.outer(apart, apart)
        self._sums = self._sums + other._sums + other.rows * apart
        self.rows += other.rows

    def _central(self) -> tuple[Array, Array]:
        """Means, and second moments about them."""
        if self._shift is None:
            raise DataError("no row was seen: update(X, Y) first")
        offset = self._sums / self.rows
        return self._shift + offset, self._products / self.rows - np.outer(offset, offset)

    @property
    def second_moments(self) -> Array:
        """(p, p) C about the mean, divided by the number of rows."""
        return self._central()[1][: self._inputs, : self._inputs]

    @property
    def cross_moments(self) -> Array:
        """(p, k) B."""
        return self._central()[1][: self._inputs, self._inputs :]

    @property
    def target_moments(self) -> Array:
        """(k, k) S."""
        return self._central()[1][self._inputs :, self._inputs :]

    @property
    def input_means(self) -> Array:
        """(p,)."""
        return self._central()[0][: self._inputs]

    @property
    def target_means(self) -> Array:
        """(k,)."""
        return self._central()[0][self._inputs :]

    def problem(
        self, width: int | None = None, *, tasks: Sequence[str] | None = None, **settings: Any
    ) -> LinearProblem:
        """The linear problem of all rows seen; arguments as for `LinearProblem`.

        Raises:
            DataError, TaskError, SettingError: As `LinearProblem.from_moments`.
        """
        return LinearProblem.from_moments(
            self.second_moments,
            self.cross_moments,
            self.target_moments,
            rows=self.rows,
            input_means=self.input_means,
            target_means=self.target_means,
            width=width,
            tasks=tasks,
            **settings,
        )


def _table(values: ArrayLike, name: str) -> NDArray[Any]:
    table = np.asarray(values)
    if table.dtype.kind not in "biuf":
        raise DataError(f"{name} must be real numbers; found dtype {table.dtype}")
    if table.ndim == 1:
        table = table[:, None]
    if table.ndim != 2 or not table.shape[1]:
        raise DataError(f"{name} must be a (rows, columns) table; found shape {table.shape}")
    return table.astype(np.float64) if table.dtype.kind == "b" else table
