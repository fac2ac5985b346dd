"""Whether the parts of a record fit each other, so that an edited file is refused by name and never drawn wrongly."""

from collections.abc import Iterator

from .audit import AuditRecord, Verdict

__all__ = ["check_record"]


def check_record(record: AuditRecord) -> None:
    """Refuse a record whose lengths or indices disagree; pydantic has looked at every value by itself.

    Pictures know their own shape: `equipoise.audits.pictures.catalogue.check_pictures`.

    Raises:
        ValueError: All places at once.
    """
    k = len(record.tasks)
    wrong = [] if k and record.verdicts else ["tasks and verdicts: at least one each"]
    wrong += [
        f"tasks.{number}.correlations: one a task ({k}), found {len(task.correlations)}"
        for number, task in enumerate(record.tasks)
        if len(task.correlations) != k
    ]
    for number, verdict in enumerate(record.verdicts):
        wrong += [f"verdicts.{number}.{words}" for words in _of_verdict(verdict, k)]
    if wrong:
        more = f"; and {len(wrong) - 5} more" if len(wrong) > 5 else ""
        raise ValueError("; ".join(wrong[:5]) + more)


def _of_verdict(verdict: Verdict, k: int) -> Iterator[str]:
    if verdict.remedy is not None and not 0 <= verdict.remedy < len(verdict.ladder):
        yield f"remedy: a place in the ladder of {len(verdict.ladder)}, found {verdict.remedy}"
    for place, rung in enumerate(verdict.ladder):
        named = {"losses": rung.losses, "weights": rung.weights, "written_weights": rung.written_weights}
        for key, values in named.items():
            if values is not None and len(values) != k:
                yield f"ladder.{place}.{key}: one a task ({k}), found {len(values)}"
    for place, point in enumerate(verdict.front):
        for key, values in {"losses": point.losses, "weights": point.weights}.items():
            if values is not None and len(values) != k:
                yield f"front.{place}.{key}: one a task ({k}), found {len(values)}"
    cycle, related = verdict.condition.cycle, verdict.condition.cycle_correlations
    if len(related) > len(cycle):
        yield f"condition.cycle_correlations: at most one a task of the cycle ({len(cycle)}), found {len(related)}"
