"""Names of tasks, columns and runs."""

from collections import Counter
from collections.abc import Iterable

__all__ = ["doubled"]


def doubled(names: Iterable[str]) -> list[str]:
    """The names that occur more than once, in alphabetical order.

    Example:
        >>> doubled(["b", "a", "b", "a", "c"])
        ['a', 'b']
    """
    return sorted(name for name, count in Counter(names).items() if count > 1)
