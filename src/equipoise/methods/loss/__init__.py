"""Methods that look at the losses alone: one scalar, one backward pass."""

from ..averaging.kept_iterates import KeptIterates as KeptIterates
from .augmented_lagrangian import AugmentedLagrangian
from .averaged import Averaged
from .cosmos import COSMOS
from .cov_weighting import CoVWeighting
from .dwa import DWA
from .famo import FAMO
from .geometric_loss import GeometricLoss
from .go4align import GO4Align
from .hypervolume_loss import HypervolumeLoss
from .imtl_l import IMTLL
from .linear_scalarization import LinearScalarization
from .omd_tchebycheff import OMDTchebycheff
from .p_norm import PNorm
from .pbi import PBI
from .relobralo import ReLoBRaLo
from .rlw import RLW
from .scale_invariant import ScaleInvariant
from .slaw import SLAW
from .smooth_tchebycheff import SmoothTchebycheff
from .soft_adapt import SoftAdapt
from .tchebycheff import Tchebycheff
from .uncertainty_weighting import UncertaintyWeighting
from .uwso import UWSO

__all__ = [
    "COSMOS",
    "DWA",
    "FAMO",
    "IMTLL",
    "PBI",
    "RLW",
    "SLAW",
    "UWSO",
    "AugmentedLagrangian",
    "Averaged",
    "CoVWeighting",
    "GO4Align",
    "GeometricLoss",
    "HypervolumeLoss",
    "LinearScalarization",
    "OMDTchebycheff",
    "PNorm",
    "ReLoBRaLo",
    "ScaleInvariant",
    "SmoothTchebycheff",
    "SoftAdapt",
    "Tchebycheff",
    "UncertaintyWeighting",
]
