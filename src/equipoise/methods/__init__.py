"""Balancing methods: one class a method, one method a file.

`table` maps every name that the command line knows to its class.
"""

from types import MappingProxyType

from . import gramian, jacobian, loss, wrappers
from .arrays import direction, weights
from .base import (
    Answer,
    CounterExample,
    GramianMethod,
    JacobianMethod,
    LossMethod,
    Method,
    State,
    StateTensor,
    Step,
    WeightedSum,
)
from .gramian import *  # noqa: F403
from .jacobian import *  # noqa: F403
from .loss import *  # noqa: F403
from .loss.uncertainty_weighting import scaled_cross_entropy
from .surgery import RotoGrad
from .wrappers import *  # noqa: F403

table: MappingProxyType[str, type[Method]] = MappingProxyType(
    {
        name.lower(): getattr(module, name)
        for module in (loss, gramian, jacobian, wrappers)
        for name in sorted(module.__all__)
    }
)
"""Name on the command line -> class; every table, test and page iterates over this."""

__all__ = [
    "Answer",
    "CounterExample",
    "GramianMethod",
    "JacobianMethod",
    "LossMethod",
    "Method",
    "RotoGrad",
    "State",
    "StateTensor",
    "Step",
    "WeightedSum",
    "direction",
    "scaled_cross_entropy",
    "table",
    "weights",
]
__all__ += loss.__all__
__all__ += gramian.__all__
__all__ += jacobian.__all__
__all__ += wrappers.__all__
