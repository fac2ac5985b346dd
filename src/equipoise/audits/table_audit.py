"""The audit: a table in, a record out. Joins the data, the linear models and the record; computes nothing itself."""

import platform
from collections.abc import Callable, MutableMapping, Sequence
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Unpack, cast

import numpy as np
from threadpoolctl import threadpool_limits

from ..core.records.audit import AuditRecord, DataCard, TaskCard
from ..errors import DataError, SettingError, listed

if TYPE_CHECKING:
    from ..data import Reading, Table
    from ..linear import LinearProblem

__all__ = ["RESAMPLES", "audit", "check_settings", "task_cards"]

RESAMPLES = 200
"""Resamples of the rows where fewer than half are complete and no number was asked for."""

_NOTHING_LEFT = 1e-9
"""A share of variance that is the rounding of a fit."""

_PACKAGES = ("equipoise", "numpy", "scipy", "pandas", "scikit-learn")


def audit(
    source: Any,
    Y: Any = None,
    *,
    targets: Sequence[str] | None = None,
    inputs: Sequence[str] | None = None,
    drop: Sequence[str] = (),
    width: int | None = None,
    header: bool = True,
    names: Sequence[str] | None = None,
    bootstraps: int | None = None,
    seed: int = 0,
    command: str = "",
    title: str | None = None,
    kept: MutableMapping[str, Any] | None = None,
    progress: Callable[..., None] | None = None,
    **reading: Unpack["Reading"],
) -> AuditRecord:
    """Which trade-offs a table's targets have under one shared linear layer, and what reaches them.

    Args:
        source: A `Table` (as `equipoise.data.load` returns it), or what that function accepts: a built-in name, a
            path, an address, a data frame. With `Y`: the inputs, an array or tensor of shape (n, p).
        Y: Targets, (n, k): an array, a tensor or a data frame with the rows of `source`.
        targets: Target columns; this and the next four as for `equipoise.data.load`, refused with a `Table`, which
            was made with its own.
        inputs: Input columns; None takes all others.
        drop: Columns to leave out.
        header: Whether a file's first line holds names.
        names: Names for a file's columns.
        width: Of the shared layer; None for every width from 1 to the smallest at which nothing is left to trade.
        bootstraps: Resamples of the rows over which the verdict's range is given. None: 200 where fewer than half
            of the rows are complete in the targets, otherwise none.
        seed: Of resamples and searches.
        command: What to type to get this record again; shown in the report.
        title: Of the report; by default data and tasks.
        kept: Finished parts of the same audit, as a dict: what is in it is not computed again, what is computed is put
            in.
        progress: Called as the audit goes on.
        **reading: How cells are read (``sep``, ``na``, ``numeric``, ...): see `equipoise.data.Reading`.

    Returns:
        The record: pass it to `equipoise.report.render_html`, or write it as JSON.

    Raises:
        InputError: The data, a column or a setting cannot be used.

    Example:
        >>> record = audit("linnerud", width=1)
        >>> record.verdicts[0].about.width, len(record.tasks)
        (1, 3)
    """
    from ..data import Table, encode_arrays, encode_frame, load  # noqa: PLC0415 - pandas
    from ..linear import LinearProblem  # noqa: PLC0415 - scipy
    from .assemble import audit_problem  # noqa: PLC0415 - scipy
    from .pictures.arrange import audit_pictures  # noqa: PLC0415 - scipy
    from .widths.width_story import width_summary  # noqa: PLC0415 - scipy

    check_settings(width, bootstraps, seed)
    given = {"targets": targets, "inputs": inputs, "drop": drop or None, "header": None if header else False}
    unused = [name for name, value in (given | {"names": names, **reading}).items() if value is not None]
    if Y is not None:
        if unused:
            raise SettingError(f"two arrays have no columns to name; {listed(unused)} belong to a table or data frame.")
        table = encode_arrays(source, Y)
    elif isinstance(source, Table):
        if unused:
            raise SettingError(
                f"a Table has its columns already: give {listed(unused)} to equipoise.data.load instead."
            )
        table = source
    elif hasattr(source, "columns") and hasattr(source, "iloc"):
        if not targets:
            raise DataError(f"a data frame needs targets=[...]; its columns: {listed(list(source.columns)[:20])}")
        table = encode_frame(source, targets=targets, inputs=inputs, drop=drop, **reading)
    else:
        table = load(source, targets=targets, inputs=inputs, drop=drop, header=header, names=names, **reading)
    problem = LinearProblem(table.inputs, table.targets, width, tasks=table.tasks)
    resamples = bootstraps if bootstraps is not None else (RESAMPLES if table.few_complete else 0)
    widths = None if width is None else (width,)
    # thousands of k x k problems: BLAS threads only wait for each other (5 times the CPU time on two cores)
    with threadpool_limits(1, user_api="blas"):
        verdicts = audit_problem(problem, widths, bootstraps=resamples, seed=seed, kept=kept, progress=progress)
    record = AuditRecord(
        title=title if title is not None else _title(table),
        command=command,
        data=_data_card(table, problem),
        tasks=task_cards(problem, table.units, table.kinds),
        verdicts=tuple(verdicts),
        smallest_width=max(1, problem.rank),
        summary=width_summary(verdicts, max(1, problem.rank)) if width is None else "",
        versions={"python": platform.python_version(), **{name: version(name) for name in _PACKAGES}},
    )
    return record.model_copy(update={"pictures": audit_pictures(record)})


def check_settings(width: int | None, bootstraps: int | None, seed: int) -> None:
    """Refuse what no audit can use, before any table is read.

    Raises:
        SettingError: A width below 1; bootstraps or seed not whole numbers of 0 or more.
    """
    from ..linear.problem.gramian import checked_width  # noqa: PLC0415 - scipy

    if width is not None:
        checked_width(width)
    wrong = [
        f"{name}={value!r}"
        for name, value in {"seed": seed, "bootstraps": 0 if bootstraps is None else bootstraps}.items()
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 0
    ]
    if wrong:
        raise SettingError(f"seed and bootstraps must be whole numbers of 0 or more; found {listed(wrong, '')}.")


def _title(table: "Table") -> str:
    shown = ", ".join(table.tasks) if len(table.tasks) <= 4 else f"{len(table.tasks)} tasks"
    return f"{table.name}: {shown}"


def _data_card(table: "Table", problem: "LinearProblem") -> DataCard:
    return DataCard(
        name=table.name,
        source=table.source,
        rows=table.rows,
        rows_used=table.rows_used,
        inputs=table.inputs.shape[1],
        steps=(
            *table.steps,
            "Inputs and targets were centred and divided by their standard deviations, so losses are shares of "
            "each task's variance.",
            f"Least-squares predictions were computed from the {problem.method}, in float64.",
        ),
        warnings=(*table.warnings, *_doubts(problem)),
        columns=table.columns,
    )


def _doubts(problem: "LinearProblem") -> list[str]:
    """What only the fit shows; the table's own warnings have said the rest."""
    perfect = [name for name, share in zip(problem.tasks, problem.R2, strict=True) if share > 1 - _NOTHING_LEFT]
    nothing = [name for name, share in zip(problem.tasks, problem.R2, strict=True) if share < _NOTHING_LEFT]
    doubts = []
    if perfect and problem.inputs < problem.rows - 1:
        doubts.append(f"The inputs determine {listed(perfect)} exactly: is a target among the inputs?")
    if nothing:
        doubts.append(f"The inputs explain nothing of {listed(nothing)}.")
    return doubts


def task_cards(problem: "LinearProblem", units: Sequence[str], kinds: Sequence[str]) -> tuple[TaskCard, ...]:
    """One card a task of a linear problem.

    Args:
        problem: Fitted.
        units: Of each target, or "".
        kinds: ``regression`` or ``least squares on classes`` for each.
    """
    size = np.sqrt(problem.gramian.diagonal())
    # A task of which nothing can be predicted has no direction: its correlations are shown as 0.
    scale = np.where(size > 0, size, np.inf)
    correlations = np.clip(problem.gramian / np.outer(scale, scale), -1.0, 1.0)
    np.fill_diagonal(correlations, 1.0)
    return tuple(
        TaskCard(
            name=name,
            unit=units[index],
            kind=cast("Any", kinds[index]),
            variance=float(problem.variance[index]),
            separate_loss=float(problem.unexplained[index] / problem.total[index]),
            correlations=tuple(map(float, correlations[index])),
        )
        for index, name in enumerate(problem.tasks)
    )
