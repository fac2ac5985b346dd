"""The task that the others serve, for methods in which one task comes first: named by the user, or the first one."""

from ...core.tasks import Tasks
from ...errors import SettingError, TaskError, listed

__all__ = ["primary_row", "refuse_primary"]


def refuse_primary(primary: object) -> None:
    """Raises `SettingError` unless the setting is a task's name or None."""
    if primary is not None and not (isinstance(primary, str) and primary):
        raise SettingError(f"`primary` must be the name of a task, or None for the first one; got {primary!r}.")


def primary_row(tasks: Tasks, primary: str | None) -> int | None:
    """The row of the primary task in a step.

    Args:
        tasks: Tasks of the step.
        primary: Name of the primary task; None for the first of all tasks.

    Returns:
        Its row among the present tasks; None where it takes no part in the step.

    Raises:
        TaskError: No task has that name.

    Example:
        >>> primary_row(Tasks(("a", "b", "c"), (0, 2)), "c")
        1
    """
    if primary is None:
        return 0 if tasks.present[0] == 0 else None
    if primary not in tasks.names:
        raise TaskError(f"`primary` must be one of the tasks {listed(tasks.names)}; got {primary!r}.")
    return tasks.here.index(primary) if primary in tasks.here else None
