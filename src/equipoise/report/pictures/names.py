"""Long names made short, the same way everywhere on a page, and still told apart."""

from collections.abc import Mapping, Sequence
from typing import Any

from ...core.text import clean, shorten

__all__ = ["LONGEST", "said_shorter", "short_names"]

LONGEST = 48
"""Most letters of a task's name in sentences and tables; the whole name stands in the table of tasks."""


def short_names(names: Sequence[str], length: int = LONGEST) -> list[str]:
    """Names of at most `length` letters, all different where the names are.

    Example:
        >>> short_names(["a", "x" * 60 + "1", "x" * 60 + "2"], 9)
        ['a', 'xxxx…xxx1', 'xxxx…xxx2']
        >>> short_names(["left" * 9, "left" * 8], 9)
        ['(1)lef…ft', '(2)lef…ft']
    """
    cleaned = [clean(name) for name in names]
    cut = [shorten(name, length) for name in cleaned]
    return [
        short if cut.count(short) == 1 or cleaned.count(name) > 1 else _numbered(name, number, length)
        for number, (name, short) in enumerate(zip(cleaned, cut, strict=True), start=1)
    ]


def _numbered(name: str, number: int, length: int) -> str:
    mark = f"({number})"
    return mark + shorten(name, max(3, length - len(mark)))


def said_shorter(page: Any, names: Sequence[str]) -> Any:
    """A part of a page (strings, numbers, lists and dicts) with every long name of a task made short."""
    pairs = zip(map(clean, names), short_names(names), strict=True)
    changed = {name: short for name, short in pairs if name != short}
    ordered = sorted(changed, key=len, reverse=True)  # a name may be part of another

    def told(part: Any) -> Any:
        if isinstance(part, str):
            for name in ordered:
                part = part.replace(name, changed[name])
            return part
        if isinstance(part, Mapping):
            return {key: told(value) for key, value in part.items()}
        return [told(item) for item in part] if isinstance(part, list) else part

    return told(page) if changed else page
