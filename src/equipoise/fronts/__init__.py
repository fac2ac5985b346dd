"""The front of a problem: points by preference, sets, sweeps, mixtures, indicators, and which point to choose."""

from ..core.simplex_points import dirichlet_points, lattice, lattice_of, sobol_points
from . import indicators
from .decision import Choice, choose, knee, nondominated, pseudo_weights
from .mixture_model import MixtureModel
from .points.finding import FoundPoints, find_points
from .refined_sweep import Sweep, sweep
from .sets.finding import find_set
from .sets.found import FoundSet

__all__ = [
    "Choice",
    "FoundPoints",
    "FoundSet",
    "MixtureModel",
    "Sweep",
    "choose",
    "dirichlet_points",
    "find_points",
    "find_set",
    "indicators",
    "knee",
    "lattice",
    "lattice_of",
    "nondominated",
    "pseudo_weights",
    "sobol_points",
    "sweep",
]
