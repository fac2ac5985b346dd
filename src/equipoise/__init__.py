"""equipoise: multi-task trade-offs, measured.

The names are in `equipoise._public`. They are loaded when the first is asked for, so that ``equipoise --help`` does not
wait for torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ._version import __version__ as __version__

if TYPE_CHECKING:
    from ._public import *  # noqa: F403


def __getattr__(name: str) -> Any:
    if name.startswith("_") and name != "__all__":
        raise AttributeError(f"module 'equipoise' has no attribute {name!r}")
    public = import_module("equipoise._public")
    if not hasattr(public, name):
        raise AttributeError(f"module 'equipoise' has no attribute {name!r}; it has {', '.join(public.__all__)}")
    return getattr(public, name)


def __dir__() -> list[str]:
    return sorted(import_module("equipoise._public").__all__)
