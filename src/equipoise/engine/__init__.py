"""From losses and their graph to per-task gradients, and back to one scalar that is differentiated as usual."""

from .inject import inject
from .jacobian import Jacobian
from .ownership import Ownership
from .passes import Gradients, Plan, differentiate

__all__ = ["Gradients", "Jacobian", "Ownership", "Plan", "differentiate", "inject"]
