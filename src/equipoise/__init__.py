"""equipoise: multi-task trade-offs, measured."""

from ._version import __version__

__all__ = ["__version__"]
