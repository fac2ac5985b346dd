"""Methods that look at the losses alone: one scalar, one backward pass."""

from .dwa import DWA
from .linear_scalarization import LinearScalarization
from .omd_tchebycheff import OMDTchebycheff
from .smooth_tchebycheff import SmoothTchebycheff
from .tchebycheff import Tchebycheff
from .uncertainty_weighting import UncertaintyWeighting

__all__ = [
    "DWA",
    "LinearScalarization",
    "OMDTchebycheff",
    "SmoothTchebycheff",
    "Tchebycheff",
    "UncertaintyWeighting",
]
