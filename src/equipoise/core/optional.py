"""Packages that only some users need: imported where they are used; a missing one is named with what to type."""

from importlib import import_module
from types import ModuleType

from ..errors import SettingError

__all__ = ["needed"]


def needed(module: str, who: str, package: str, install: str) -> ModuleType:
    """Import a module of an optional package.

    Args:
        module: Dotted name of the module.
        who: Subject of the message, such as ``"this tracker"``.
        package: Name of the package that holds the module.
        install: Argument of ``pip install`` that brings it, such as ``"equipoise[tracking]"``.

    Raises:
        SettingError: The package is not installed, or cannot be imported.

    Example:
        >>> needed("json", "this", "json", "json").__name__
        'json'
    """
    try:
        return import_module(module)
    except ImportError as error:
        raise SettingError(
            f"{who} needs {package}, which is not installed or cannot be imported ({error}). "
            f"Type: pip install '{install}'"
        ) from error
