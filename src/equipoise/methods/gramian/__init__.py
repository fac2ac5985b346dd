"""Methods that look at the inner products of the tasks' gradients."""

from .mgda import MGDA
from .pcgrad import PCGrad

__all__ = ["MGDA", "PCGrad"]
