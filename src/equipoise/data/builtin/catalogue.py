"""The table of built-in sets: what can be named instead of a file. Nothing is downloaded."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from ..raw import Card, RawTable
from . import arm, diabetes, linnerud

__all__ = ["BUILTINS", "READERS"]

BUILTINS: Mapping[str, Card] = MappingProxyType({card.name: card for card in (arm.CARD, diabetes.CARD, linnerud.CARD)})
"""Name -> card."""

READERS: Mapping[str, Callable[[], RawTable]] = MappingProxyType(
    {
        arm.CARD.name: arm.read_arm,
        diabetes.CARD.name: diabetes.read_diabetes,
        linnerud.CARD.name: linnerud.read_linnerud,
    }
)
"""Name -> what reads it."""
