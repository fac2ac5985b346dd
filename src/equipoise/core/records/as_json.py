"""Records as JSON text and back."""

import json
from collections.abc import Iterator, Sequence

from .audit import AuditRecord, Verdict
from .json_text import model_of, parsed_json

__all__ = ["records_from_json", "records_to_json", "refuse_places"]


def records_to_json(records: Sequence[AuditRecord]) -> str:
    """One record as an object, several as an array."""
    plain = [record.model_dump(mode="json") for record in records]
    return json.dumps(plain[0] if len(plain) == 1 else plain, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def records_from_json(text: str) -> tuple[AuditRecord, ...]:
    """The inverse of `records_to_json`.

    Raises:
        ValueError: Not JSON, not such records (pydantic's `ValidationError` is one), or parts that do not fit.
    """
    plain = parsed_json(text)
    if plain == []:
        raise ValueError("the file holds an empty list of records")
    items = plain if isinstance(plain, list) else [plain]
    records = tuple(model_of(AuditRecord, item) for item in items)
    for record in records:
        _check(record)
    return records


def refuse_places(wrong: Sequence[str]) -> None:
    """Raise a `ValueError` that names the first five places that are wrong, or return where there are none."""
    if wrong:
        more = f"; and {len(wrong) - 5} more" if len(wrong) > 5 else ""
        raise ValueError("; ".join(wrong[:5]) + more)


def _check(record: AuditRecord) -> None:
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
    refuse_places(wrong)


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
