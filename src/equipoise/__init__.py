"""equipoise: multi-task trade-offs, measured."""

from . import linear, methods
from ._version import __version__
from .methods import *  # noqa: F403
from .methods import direction, weights
from .types import Bounds, Ray, ReferencePoint

__all__ = ["Bounds", "Ray", "ReferencePoint", "__version__", "direction", "linear", "methods", "weights"]
__all__ += [name for name in methods.__all__ if name[0].isupper()]
