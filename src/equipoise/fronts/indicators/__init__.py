"""Numbers that say how good a set of points is: volume, distance from a front, spread, adherence to preferences."""

from .adherence import boundary_distance, controllability, nonuniformity, ray_angles
from .distances import additive_epsilon, fill_distance, generational_distance, hausdorff_distance, igd, igd_plus
from .dominated_volume import SampledVolume, hypervolume, hypervolume_contributions, sampled_hypervolume
from .spread import smallest_gap, soft_smallest_gap, spacing, span, sparsity
from .subset_selection import best_subset, best_value
from .volume_gradient import HypervolumeGradient, hypervolume_gradient

__all__ = [
    "HypervolumeGradient",
    "SampledVolume",
    "additive_epsilon",
    "best_subset",
    "best_value",
    "boundary_distance",
    "controllability",
    "fill_distance",
    "generational_distance",
    "hausdorff_distance",
    "hypervolume",
    "hypervolume_contributions",
    "hypervolume_gradient",
    "igd",
    "igd_plus",
    "nonuniformity",
    "ray_angles",
    "sampled_hypervolume",
    "smallest_gap",
    "soft_smallest_gap",
    "spacing",
    "span",
    "sparsity",
]
