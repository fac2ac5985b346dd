"""Records as JSON text and back."""

import json
from collections.abc import Iterable, Sequence
from typing import Any

from .audit import AuditRecord
from .audit_check import check_record
from .json_text import parsed_json

__all__ = ["records_from_json", "records_to_json"]


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
    records = tuple(AuditRecord.model_validate_json(json.dumps(item)) for item in _as_list(plain))
    for record in records:
        check_record(record)
    return records


def _as_list(plain: Any) -> Iterable[Any]:
    if isinstance(plain, list) and not plain:
        raise ValueError("the file holds an empty list of records")
    return plain if isinstance(plain, list) else [plain]
