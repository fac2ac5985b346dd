"""Tables on their way out, as CSV that a spreadsheet may open."""

import re

import pandas as pd

from ...core.text import plural

__all__ = ["as_csv"]

_ACTS = re.compile(r"[=+\-@\t\r].+", re.DOTALL)
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


def as_csv(frame: pd.DataFrame) -> tuple[str, list[str]]:
    """The table as CSV text, and what was changed on the way.

    A text that a spreadsheet would take for a formula gets an apostrophe before it. Numbers keep all their digits.

    Example:
        >>> text, notes = as_csv(pd.DataFrame({"a": ["=1+1", "-2", "+"]}))
        >>> text.split()
        ['a', "'=1+1", '-2', '+']
        >>> notes
        ['1 text that a spreadsheet would take for a formula was given an apostrophe before it.']
    """
    changed = 0

    def harmless(value: object) -> object:
        nonlocal changed
        if isinstance(value, str) and _ACTS.fullmatch(value) and not _NUMBER.fullmatch(value):
            changed += 1
            return f"'{value}"
        return value

    safe = frame.copy()
    for place, kind in enumerate(frame.dtypes):
        if not pd.api.types.is_numeric_dtype(kind):
            safe.isetitem(place, frame.iloc[:, place].astype(object).map(harmless).array)
    safe.columns = pd.Index([harmless(str(name)) for name in frame.columns])
    words = "1 text that a spreadsheet would take for a formula was" if changed == 1 else (
        f"{plural(changed, 'text')} that a spreadsheet would take for formulas were"
    )  # fmt: skip
    notes = [f"{words} given an apostrophe before {'it' if changed == 1 else 'them'}."] if changed else []
    return safe.to_csv(index=False, lineterminator="\n"), notes
