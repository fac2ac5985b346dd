"""Methods that look at the inner products of the tasks' gradients."""

from .aligned_mtl import AlignedMTL
from .aligned_mtl_ub import AlignedMTLUB
from .cagrad import CAGrad
from .conflict_free import ConFIG
from .dual_proj import DualProj
from .epo import EPO
from .fair_grad import FairGrad
from .gradnorm import GradNorm
from .gradvac import GradVac
from .imtl import IMTL
from .imtl_g import IMTLG
from .inverse_norm import InverseNorm
from .mgda import MGDA
from .mgda_ub import MGDAUB
from .modo import MoDo
from .nash_mtl import NashMTL
from .pcgrad import PCGrad
from .pmtl import PMTL
from .rgw import RGW
from .sdmgrad import SDMGrad
from .upgrad import UPGrad

__all__ = [
    "EPO",
    "IMTL",
    "IMTLG",
    "MGDA",
    "MGDAUB",
    "PMTL",
    "RGW",
    "AlignedMTL",
    "AlignedMTLUB",
    "CAGrad",
    "ConFIG",
    "DualProj",
    "FairGrad",
    "GradNorm",
    "GradVac",
    "InverseNorm",
    "MoDo",
    "NashMTL",
    "PCGrad",
    "SDMGrad",
    "UPGrad",
]
