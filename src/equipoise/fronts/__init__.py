"""The front of a problem: points, sets, sweeps, conditioned models, soups, mixtures, indicators, and the choice."""

from ..core.simplex_points import dirichlet_points, lattice, lattice_of, sobol_points
from . import indicators
from .conditioned.conditioned_model import Conditioned
from .conditioned.learned_front import LearnedFront, learn_front
from .conditioned.training import ConditionedFront, fit_conditioned
from .data_problems.fair_classification import fair_classification
from .data_problems.overlapped_digits import overlapped_digits
from .data_problems.rotated_digits import rotated_digits
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
    "fair_classification",
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
    "overlapped_digits",
    "pseudo_weights",
    "rotated_digits",
    "sobol_points",
    "soup",
    "sweep",
]
