"""The public names on one screen. `equipoise` loads this file when the first of them is asked for."""

from . import data, errors, laws, linear, methods, solve
from ._version import __version__
from .auditing import audit
from .balancer import Balancer
from .methods import *  # noqa: F403
from .methods import direction, weights
from .types import Bounds, Ray, ReferencePoint

__all__ = [
    "Balancer",
    "Bounds",
    "Ray",
    "ReferencePoint",
    "__version__",
    "audit",
    "data",
    "direction",
    "errors",
    "laws",
    "linear",
    "methods",
    "solve",
    "weights",
]
__all__ += [name for name in methods.__all__ if name[0].isupper()]
