"""The audit: a table in, a record out. Joins the data, the linear models and the record; computes nothing itself."""

from collections.abc import MutableMapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Unpack

from ..core.numbers import is_whole
from ..core.progress import Progress
from ..core.records.audit import AuditRecord, DataCard
from ..errors import DataError, SettingError, listed

if TYPE_CHECKING:
    from ..data import Reading, Table
    from ..linear.held_out.row_blocks import RowBlocks

__all__ = ["RESAMPLES", "audit", "check_settings"]

RESAMPLES = 200
"""Resamples of the rows where fewer than half are complete and no number was asked for."""

MOST_INPUTS = 1_000
"""Input columns up to which remedies are measured on new rows without being asked to."""


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
    group: str | None = None,
    time: str | None = None,
    bootstraps: int | None = None,
    new_rows: bool | None = None,
    seed: int = 0,
    command: str = "",
    title: str | None = None,
    kept: MutableMapping[str, Any] | None = None,
    progress: Progress | None = None,
    **reading: Unpack["Reading"],
) -> AuditRecord:
    """Which trade-offs a table's targets have under one shared linear layer, and what reaches them.

    Where rows miss some of the targets, each task's own model is fitted to the rows that have it, and what tasks have
    in common is taken over the inputs of all rows (`LinearProblem.from_incomplete_rows`). What complete rows alone give
    stands beside it where there are 20 or more of them, and more than inputs; new rows are measured on these.

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
        group: Column whose values say which rows belong together: losses on new rows leave out whole groups.
        time: Column that orders the rows: losses on new rows leave out rows that follow each other.
        width: Width of the shared layer; None for every width up to the smallest at which nothing is left to trade.
        bootstraps: Resamples of the rows over which the verdict's range is given. None: 200 where fewer than half
            of the rows are complete in the targets, otherwise none.
        new_rows: Whether every remedy is measured on rows that it was not fitted to, by cross-validation. None: where
            the table has 20 complete rows or more (with a group or a time column, five of these or more) and at most
            1,000 input columns; otherwise the record says why not.
        seed: Seed of resamples, searches and the blocks of rows that are left out together.
        command: What to type to get this record again; shown in the report.
        title: Title of the report; by default data and tasks.
        kept: Finished parts of the same audit, as a dict: what is in it is not computed again, what is computed is put
            in.
        progress: Called as the audit goes on.
        **reading: Options about how cells are read (``sep``, ``na``, ``numeric``, ...): see `equipoise.data.Reading`.

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
    from ..linear.problem.data_warnings import fit_doubts  # noqa: PLC0415 - scipy
    from .assemble import audit_record  # noqa: PLC0415 - scipy

    check_settings(width, bootstraps, seed)
    given = {"targets": targets, "inputs": inputs, "drop": drop or None, "header": None if header else False}
    unused = [
        name
        for name, value in (given | {"names": names, "group": group, "time": time, **reading}).items()
        if value is not None
    ]
    if Y is not None:
        if unused:
            raise SettingError(f"two arrays have no columns to name; {listed(unused)} belong to a table or data frame.")
        table = encode_arrays(source, Y, incomplete=True)
    elif isinstance(source, Table):
        if unused:
            raise SettingError(
                f"a Table has its columns already: give {listed(unused)} to equipoise.data.load instead."
            )
        table = source
    elif hasattr(source, "columns") and hasattr(source, "iloc"):
        if not targets:
            raise DataError(f"a data frame needs targets=[...]; its columns: {listed(list(source.columns)[:20])}")
        table = encode_frame(
            source, targets=targets, inputs=inputs, drop=drop, group=group, time=time, incomplete=True, **reading
        )
    else:
        table = load(
            source, targets=targets, inputs=inputs, drop=drop, header=header, names=names, group=group, time=time,
            incomplete=True, **reading,
        )  # fmt: skip
    held_out = _held_out(table, new_rows, seed)
    build = LinearProblem if table.complete.all() else LinearProblem.from_incomplete_rows
    problem = build(table.inputs, table.targets, width, tasks=table.tasks)
    shown = ", ".join(table.tasks) if len(table.tasks) <= 4 else f"{len(table.tasks)} tasks"
    return audit_record(
        problem,
        DataCard(
            name=table.name,
            source=table.source,
            rows=table.rows,
            rows_used=table.rows_used,
            inputs=table.inputs.shape[1],
            steps=table.steps,
            warnings=table.warnings,
            columns=table.columns,
        ),
        title=title if title is not None else f"{table.name}: {shown}",
        kinds=table.kinds,
        units=table.units,
        doubts=fit_doubts(problem.inputs, problem.task_rows, problem.tasks, problem.R2),  # the table has said the rest
        packages=("pandas", "scikit-learn"),
        command=command,
        width=width,
        bootstraps=bootstraps if bootstraps is not None else (RESAMPLES if table.few_complete else 0),
        seed=seed,
        kept=kept,
        progress=progress,
        new_rows=held_out,
    )


def _held_out(table: "Table", wanted: bool | None, seed: int) -> "RowBlocks | str | None":
    """The rows that are left out together; a sentence where the table does not allow it and nobody insisted."""
    from ..linear.held_out.row_blocks import row_blocks  # noqa: PLC0415 - scipy

    if wanted is False:
        return None
    if wanted is None and table.inputs.shape[1] > MOST_INPUTS:
        return (
            f"Nothing was measured on new rows, since {table.inputs.shape[1]:,} input columns make that slow; "
            "new_rows=True (--new-rows) does it."
        )
    whole = table.complete
    given = {name: None if codes is None else codes[whole] for name, codes in
             (("groups", table.groups), ("times", table.times))}  # fmt: skip
    try:
        blocks = row_blocks(int(whole.sum()), seed=seed, **given)
    except DataError as error:
        if wanted:
            raise
        which = "" if whole.all() else ", which takes rows with every target"
        return f"Nothing was measured on new rows{which}: {error}."
    if whole.all():
        return blocks
    return replace(blocks, words=f"{blocks.words}, of the {int(whole.sum()):,} with every target")


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
        if not is_whole(value)
    ]
    if wrong:
        raise SettingError(f"seed and bootstraps must be whole numbers of 0 or more; found {listed(wrong, '')}.")
