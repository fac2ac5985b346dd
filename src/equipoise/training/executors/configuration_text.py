"""What a run is configured with, as text that is the same in every process: its hash is the run's key."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from ...errors import SettingError

__all__ = ["text_of"]


def text_of(value: Any) -> Any:
    """A value of a configuration as text that is the same in every process."""
    if isinstance(value, partial):
        return [text_of(value.func), text_of(value.args), text_of(value.keywords)]
    if isinstance(value, Mapping):
        return {str(key): text_of(part) for key, part in sorted(value.items())}
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return [text_of(part) for part in value]
    if value is None or isinstance(value, bool | int | str):
        return value
    if callable(value) and hasattr(value, "__qualname__"):
        return f"{value.__module__}.{value.__qualname__}"
    text = repr(value)
    if " at 0x" in text:
        raise SettingError(
            f"a run is known by its configuration, and {type(value).__qualname__} has no text of its own: use "
            "functions of modules, functools.partial, and values that print as the call that made them."
        )
    return text
