"""What a page shows in full: which width first, which widths at all, and which tasks of very many."""

from collections.abc import Sequence

from ...core.records.audit import AuditRecord, Verdict

__all__ = ["MOST_SECTIONS", "MOST_TASKS", "recommended", "sections_shown", "tasks_shown"]

MOST_SECTIONS = 20
"""Most widths of one case that are told in full."""
MOST_TASKS = 40
"""Most tasks in one table of losses."""


def recommended(record: AuditRecord) -> int:
    """Which verdict to show first, as an index into verdicts of rising width.

    It is the narrowest width below the rank at which a weighted sum brings every task within the threshold of a model
    of its own. Where there is none, the width that the narrowest width's remedy asks for if a weighted sum is enough
    there, then the narrowest at which it is, then the narrowest.
    """
    first = record.verdicts[0]
    asked = None if first.remedied.kind == "separate" else first.remedied.width
    reached = [place for place, verdict in enumerate(record.verdicts) if verdict.reached]
    near = [place for place in reached if _near(record.verdicts[place])]
    wanted = [place for place in reached if record.verdicts[place].about.width == asked]
    return (*near, *wanted, *reached, 0)[0]


def _near(verdict: Verdict) -> bool:
    return verdict.status == "enough" and verdict.remedied.worst_excess <= verdict.effect.threshold


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
