"""From losses and their graph to per-task gradients, and back to one scalar that is differentiated as usual."""

from .blocks.dense import Jacobian
from .graph.ownership import Ownership
from .passes.exact import Gradients, Plan, differentiate
from .step.inject import inject

__all__ = ["Gradients", "Jacobian", "Ownership", "Plan", "differentiate", "inject"]
