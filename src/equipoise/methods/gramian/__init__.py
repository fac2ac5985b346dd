"""Methods that look at the inner products of the tasks' gradients."""

from .aligned_mtl import AlignedMTL
from .aligned_mtl_ub import AlignedMTLUB
from .gradnorm import GradNorm
from .gradvac import GradVac
from .inverse_norm import InverseNorm
from .mgda import MGDA
from .mgda_ub import MGDAUB
from .pcgrad import PCGrad
from .rgw import RGW

__all__ = [
    "AlignedMTL",
    "AlignedMTLUB",
    "GradNorm",
    "GradVac",
    "InverseNorm",
    "MGDA",
    "MGDAUB",
    "PCGrad",
    "RGW",
]
