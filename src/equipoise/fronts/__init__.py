"""The front of a problem: points, sets, sweeps, conditioned models, soups, mixtures, indicators, and the choice."""

from ..core.simplex_points import dirichlet_points, lattice, lattice_of, sobol_points
from . import indicators
from .conditioned.conditioned_model import Conditioned
from .conditioned.learned_front import LearnedFront, learn_front
from .conditioned.training import ConditionedFront, fit_conditioned
from .decision import Choice, choose, knee, nondominated, pseudo_weights
from .mixture_model import MixtureModel
from .points.finding import find_points
from .points.found import FoundPoints
from .points.trained_points import TrainedPoints
from .refined_sweep import Sweep, sweep
from .sets.finding import find_set
from .sets.found import FoundSet
from .sets.trained_set import TrainedSet
from .soups import Soups, interpolate, soup

__all__ = [
    "Choice",
    "Conditioned",
    "ConditionedFront",
    "FoundPoints",
    "FoundSet",
    "LearnedFront",
    "MixtureModel",
    "Soups",
    "Sweep",
    "TrainedPoints",
    "TrainedSet",
    "choose",
    "dirichlet_points",
    "find_points",
    "find_set",
    "fit_conditioned",
    "indicators",
    "interpolate",
    "knee",
    "lattice",
    "lattice_of",
    "learn_front",
    "nondominated",
    "pseudo_weights",
    "sobol_points",
    "soup",
    "sweep",
]
