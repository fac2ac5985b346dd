"""Linear multi-task models, solved exactly: which trade-offs exist and which a weighted sum can reach.

Functions take the Gramian G = Ŷ^T Ŷ / n of the tasks' least-squares predictions, so they can be used from any
program that can write down a (k, k) matrix. Losses are L_i = c_i + G_ii - e_i: the unexplained part, plus the
predictable part, less the energy that the shared layer captures.
"""

from .audits import audit_problem
from .creases import Crease, crease_points, judge_creases
from .descent import MGDAPath, mgda
from .descent_ub import SharedGramians, UBPath, mgda_ub, shared_gramians, ub_descent_margin
from .endings import EndPoint, EndPoints, end_points
from .minimal_mixtures import MinimalMixture, minimal_mixture
from .mixtures import PoolMixture, mixture
from .pareto import ParetoTest, Support, pareto_test, support
from .problem import LinearProblem
from .reachability import Reach, reach
from .runs import RunPoint, RunsAudit, audit_runs
from .scalarization import Scalarized, scalarized, scalarized_model
from .signs import condition
from .streaming import SecondMoments
from .surfaces import Surfaces, surface_gradient, surface_points, surface_value
from .tchebycheff_points import TchebycheffPoint, tchebycheff
from .weight_search import BestWeights, best_weights
from .width_story import width_summary

__all__ = [
    "BestWeights",
    "Crease",
    "EndPoint",
    "EndPoints",
    "LinearProblem",
    "MGDAPath",
    "MinimalMixture",
    "ParetoTest",
    "PoolMixture",
    "Reach",
    "RunPoint",
    "RunsAudit",
    "Scalarized",
    "SecondMoments",
    "SharedGramians",
    "Support",
    "Surfaces",
    "TchebycheffPoint",
    "UBPath",
    "audit_problem",
    "audit_runs",
    "best_weights",
    "condition",
    "crease_points",
    "end_points",
    "judge_creases",
    "mgda",
    "mgda_ub",
    "minimal_mixture",
    "mixture",
    "pareto_test",
    "reach",
    "scalarized",
    "scalarized_model",
    "shared_gramians",
    "support",
    "surface_gradient",
    "surface_points",
    "surface_value",
    "tchebycheff",
    "ub_descent_margin",
    "width_summary",
]
