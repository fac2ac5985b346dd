"""The table that every loader returns: inputs, several targets, and what was done to them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..core.names import doubled
from ..core.numbers import Array
from ..core.records.columns import ColumnCard
from ..errors import DataError, listed

__all__ = ["CLASSES", "REGRESSION", "Table"]

REGRESSION = "regression"
CLASSES = "least squares on classes"


@dataclass(frozen=True, eq=False, repr=False)
class Table:
    """Inputs and targets as float64 arrays, with their history.

    Nothing is centred or scaled here: a linear model does that itself and says so. The arrays are copied and
    made read-only, so a table can be shared.

    Attributes:
        name: Name of the set or file.
        source: Origin and licence, as a phrase.
        inputs: (n, p), encoded; n is `rows_used`, p >= 1; finite.
        input_names: One a column of `inputs`.
        targets: (n, k), each in its own unit; finite, or NaN where a row misses a target and the table was loaded so;
            no column constant.
        tasks: One name a column of `targets`, all different.
        units: One a task, "" where unknown.
        kinds: One a task: ``regression`` or ``least squares on classes``.
        rows: Rows of the file, before any was left out.
        rows_used: Rows that are complete in the targets; with NaN in these, rows that have any target.
        steps: Changes to the columns, one sentence each.
        warnings: Doubts, one sentence each.
        columns: Cards of the columns of the source: how each was read.
        sha256: Checksum of the file's bytes; of the values for sets bundled with scikit-learn; "" for generated tables
            and frames.
        groups: (n,) the group of each row as a number, or None where no column was named for it.
        times: (n,) the time of each row as a number, or None where no column was named for it.

    Raises:
        DataError: Shapes disagree, names are doubled, or a value is not finite.

    Example:
        >>> numbers = np.arange(6.0).reshape(3, 2)
        >>> kinds = ("regression", "regression")
        >>> table = Table("toy", "own", np.eye(3), tuple("abc"), numbers, tuple("uv"), ("", ""), kinds, 3, 3)
        >>> table
        Table 'toy': 3 of 3 rows, 3 inputs, 2 tasks ('u', 'v')
    """

    name: str
    source: str
    inputs: Array
    input_names: tuple[str, ...]
    targets: Array
    tasks: tuple[str, ...]
    units: tuple[str, ...]
    kinds: tuple[str, ...]
    rows: int
    rows_used: int
    steps: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    sha256: str = ""
    columns: tuple[ColumnCard, ...] = ()
    groups: Array | None = None
    times: Array | None = None

    def __post_init__(self) -> None:
        inputs, targets = _own(self.inputs), _own(self.targets)
        for column_kind, array in (("inputs", inputs), ("targets", targets)):
            array.setflags(write=False)
            object.__setattr__(self, column_kind, array)
        wrong = [
            f"{what} must have {expected} entries, found {found}"
            for what, expected, found in (
                ("inputs (rows)", self.rows_used, inputs.shape[0]),
                ("targets (rows)", self.rows_used, targets.shape[0]),
                ("input_names", inputs.shape[1], len(self.input_names)),
                ("tasks", targets.shape[1], len(self.tasks)),
                ("units", targets.shape[1], len(self.units)),
                ("kinds", targets.shape[1], len(self.kinds)),
            )
            if expected != found
        ]
        if twice := doubled(self.tasks):
            wrong.append(f"task names must all differ, found twice: {listed(twice)}; rename these target columns")
        for column_kind, array in (("inputs", inputs), ("targets", targets)):
            bad = ~np.isfinite(array) if column_kind == "inputs" else np.isinf(array)
            if bad.any():
                wrong.append(f"{column_kind} must be finite, found {int(bad.sum())} values that are not")
        if array.ndim == 2 and np.isnan(targets).all(axis=1).any():
            wrong.append("every row must have a target, found rows of NaN alone")
        if wrong:
            raise DataError(f"Table {self.name!r}: " + "; ".join(wrong) + ".")

    @property
    def complete(self) -> NDArray[np.bool_]:
        """(n,) which of the rows used are complete in all targets."""
        return np.asarray(~np.isnan(self.targets).any(axis=1))

    @property
    def few_complete(self) -> bool:
        """Whether under half of the rows are complete in the targets: a verdict then needs its range."""
        return 2 * int(self.complete.sum()) < self.rows

    def __repr__(self) -> str:
        return (
            f"Table {self.name!r}: {self.rows_used} of {self.rows} rows, {self.inputs.shape[1]} inputs, "
            f"{len(self.tasks)} tasks ({listed(self.tasks)})"
        )


def _own(values: Array) -> Array:
    """A matrix that nobody else can change: a copy, or the array itself where it is read-only and owns its numbers."""
    mine = isinstance(values, np.ndarray) and values.dtype == np.float64 and values.ndim == 2 and values.base is None
    if mine and not values.flags.writeable:
        return values
    return np.array(values, dtype=np.float64, ndmin=2)
