"""What a page shows in full: which width first, which widths at all, and which tasks of very many."""

from collections.abc import Sequence

from ...core.records.audit import AuditRecord, Rung, Verdict

__all__ = ["MOST_SECTIONS", "MOST_TASKS", "recommended", "sections_shown", "tasks_shown", "worst_excess"]

MOST_SECTIONS = 20
"""Most widths of one case that are told in full."""
MOST_TASKS = 40
"""Most tasks in one table of losses."""


def recommended(record: AuditRecord) -> int:
    """Which verdict to show first: that of the width which the narrowest width's remedy asks for.

    Args:
        record: Of an audit; its verdicts rise in width.

    Returns:
        An index into its verdicts. Where a weighted sum is not enough at that width, or the remedy is separate models,
        the narrowest width at which it is enough; where there is none, the narrowest width.
    """
    first = record.verdicts[0]
    remedy = first.ladder[first.remedy]
    asked = None if remedy.kind == "separate" else remedy.width
    reached = [place for place, verdict in enumerate(record.verdicts) if verdict.reached]
    return next((place for place in reached if record.verdicts[place].about.width == asked), (*reached, 0)[0])


def sections_shown(record: AuditRecord) -> list[int]:
    """Verdicts told in full, the recommended one first; of very many widths, it and the narrowest."""
    first = recommended(record)
    others = [place for place in range(len(record.verdicts)) if place != first]
    return [first, *others[: MOST_SECTIONS - 1]]


def tasks_shown(verdict: Verdict, separate: Sequence[float]) -> list[int]:
    """Tasks of a table in their order; of very many, those that some remedy leaves furthest above their own best."""
    count = len(separate)
    if count <= MOST_TASKS:
        return list(range(count))
    most = [max(rung.losses[task] - separate[task] for rung in verdict.ladder) for task in range(count)]
    return sorted(sorted(range(count), key=lambda task: -most[task])[:MOST_TASKS])


def worst_excess(rung: Rung, separate: Sequence[float]) -> list[int]:
    """The task or tasks, by index, that a remedy leaves furthest above their own best; ties to three digits."""
    excess = [loss - own for loss, own in zip(rung.losses, separate, strict=True)]
    largest = max(excess)
    return [task for task, value in enumerate(excess) if value > largest - 5e-4]
