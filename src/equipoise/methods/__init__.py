"""Balancing methods: one class a method, one method a file.

`table` maps every name that the command line knows to its class; `register` adds a method of your own.
"""

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
from .registry import register, table, unregister
from .surgery import RotoGrad
from .wrappers import *  # noqa: F403

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
    "register",
    "scaled_cross_entropy",
    "table",
    "unregister",
    "weights",
]
__all__ += loss.__all__
__all__ += gramian.__all__
__all__ += jacobian.__all__
__all__ += wrappers.__all__
