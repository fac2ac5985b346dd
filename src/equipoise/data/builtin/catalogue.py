"""The table of built-in sets: what can be named instead of a file. Nothing is downloaded."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from ..raw import Card, RawTable
from . import arm, bundled

__all__ = ["BUILTINS", "READERS"]

_SETS: tuple[tuple[Card, Callable[[], RawTable]], ...] = (
    (arm.CARD, arm.read_arm),
    (bundled.DIABETES, bundled.read_diabetes),
    (bundled.LINNERUD, bundled.read_linnerud),
)
BUILTINS: Mapping[str, Card] = MappingProxyType({card.name: card for card, _ in _SETS})
"""Name -> card."""
READERS: Mapping[str, Callable[[], RawTable]] = MappingProxyType({card.name: read for card, read in _SETS})
"""Name -> the function that reads it."""
