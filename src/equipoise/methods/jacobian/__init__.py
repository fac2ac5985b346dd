"""Methods that look at the gradients themselves: single coordinates, or gradients of earlier steps."""

from .db_mtl import DBMTL
from .excess_mtl import ExcessMTL
from .grad_drop import GradDrop
from .gradient_annealing import GradientAnnealing
from .moco import MoCo
from .tracked import Tracked

__all__ = ["DBMTL", "ExcessMTL", "GradDrop", "GradientAnnealing", "MoCo", "Tracked"]
