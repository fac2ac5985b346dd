"""Methods that look at the inner products of the tasks' gradients."""

from .aligned_mtl import AlignedMTL
from .aligned_mtl_ub import AlignedMTLUB
from .cagrad import CAGrad
from .capped_mgda import CappedMGDA
from .conflict_free import ConFIG
from .dual_proj import DualProj
from .edm import EDM
from .epo import EPO
from .fair_grad import FairGrad
from .ferero import FERERO
from .gradnorm import GradNorm
from .gradvac import GradVac
from .imtl import IMTL
from .imtl_g import IMTLG
from .inverse_norm import InverseNorm
from .meta_balance import MetaBalance
from .mgda import MGDA
from .mgda_ub import MGDAUB
from .modo import MoDo
from .nash_mtl import NashMTL
from .ntk_mtl import NTKMTL
from .ntk_weights import NTKWeights
from .pcd import PCD
from .pcgrad import PCGrad
from .pmgda import PMGDA
from .pmtl import PMTL
from .rgw import RGW
from .sdmgrad import SDMGrad
from .upgrad import UPGrad

__all__ = [
    "EDM",
    "EPO",
    "FERERO",
    "IMTL",
    "IMTLG",
    "MGDA",
    "MGDAUB",
    "NTKMTL",
    "PCD",
    "PMGDA",
    "PMTL",
    "RGW",
    "AlignedMTL",
    "AlignedMTLUB",
    "CAGrad",
    "CappedMGDA",
    "ConFIG",
    "DualProj",
    "FairGrad",
    "GradNorm",
    "GradVac",
    "InverseNorm",
    "MetaBalance",
    "MoDo",
    "NTKWeights",
    "NashMTL",
    "PCGrad",
    "SDMGrad",
    "UPGrad",
]
