"""One JSON object a line (.jsonl, .ndjson), as training logs and Hugging Face data sets are written."""

import json
from collections.abc import Sequence
from typing import Any

import pandas as pd

from ...errors import DataError
from ..columns import column_names
from ..raw import RawTable
from ..reading import Reading
from .source import Source
from .text import as_text

__all__ = ["read_json_lines"]


def read_json_lines(
    source: Source, reading: Reading, *, header: bool = True, names: Sequence[str] | None = None
) -> RawTable:
    """Read JSON lines: a key is a column, nested objects become ``outer.inner``, an absent key or null is missing.

    Lists are kept as their JSON text. Blank lines are left out; a last line that was cut off is left out and said.
    Cost: O(cells), plain Python; all rows are held.

    Raises:
        DataError: A line is not a JSON object; the message gives its number.
    """
    if not header or names is not None or reading["skip_rows"]:
        raise DataError(
            f"{source.name!r} names its columns in every line: --no-header, --names and --skip-rows do not apply."
        )
    file = as_text(source, reading["encoding"])
    rows: list[dict[str, Any]] = []
    steps = list(file.steps)
    with file.open() as text:
        for number, line in enumerate(text, start=1):
            if not line.strip():
                continue
            try:
                found = json.loads(line)
            except (ValueError, RecursionError) as error:
                if rows and not line.endswith("\n"):
                    steps.append(f"The last line, {number}, is cut off and was left out.")
                    break
                raise DataError(
                    f"{source.name!r}, line {number}: every line must be a JSON object; {error}. A file that holds one "
                    "large array is not JSON lines: write one object a line."
                ) from error
            if not isinstance(found, dict):
                raise DataError(
                    f'{source.name!r}, line {number}: every line must be a JSON object such as {{"a": 1}}; found '
                    f"{line.strip()[:60]!r}."
                )
            rows.append(_flat(found))
    own = list(dict.fromkeys(key for row in rows for key in row))
    columns = column_names(source.name, own)
    frame = pd.DataFrame({name: [row.get(key) for row in rows] for key, name in zip(own, columns, strict=True)})
    return source.table(frame, steps, warnings=file.warnings)


def _flat(found: dict[str, Any], before: str = "") -> dict[str, Any]:
    """Keys of nested objects joined by dots."""
    row: dict[str, Any] = {}
    for key, value in found.items():
        if isinstance(value, dict):
            row |= _flat(value, f"{before}{key}.")
        else:
            row[before + key] = json.dumps(value, ensure_ascii=False) if isinstance(value, list) else value
    return row
