"""Linear multi-task models, solved exactly: which trade-offs exist and which a weighted sum can reach.

Functions take the Gramian G = Ŷ^T Ŷ / n of the tasks' least-squares predictions, so they can be used from any
program that can write down a (k, k) matrix. Losses are L_i = c_i + G_ii - e_i: the unexplained part, plus the
predictable part, less the energy that the shared layer captures.
"""

from .problem import LinearProblem
from .reachability import Reach, reach
from .scalarization import Scalarized, scalarized, scalarized_model
from .signs import condition

__all__ = [
    "LinearProblem",
    "Reach",
    "Scalarized",
    "condition",
    "reach",
    "scalarized",
    "scalarized_model",
]
