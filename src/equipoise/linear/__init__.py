"""Linear multi-task models, solved exactly: which trade-offs exist and which a weighted sum can reach.

Functions take the Gramian G = Ŷ^T Ŷ / n of the tasks' least-squares predictions, so they can be used from any
program that can write down a (k, k) matrix. Losses are L_i = c_i + G_ii - e_i: the unexplained part, plus the
predictable part, less the energy that the shared layer captures.
"""

from ..audits.assemble import audit_problem
from ..audits.widths.verdict_text import width_summary
from .descent.limit_points import EndPoint, EndPoints, end_points
from .descent.mgda import MGDAPath, mgda
from .descent.mgda_ub import SharedGramians, UBPath, mgda_ub, shared_gramians, ub_descent_margin
from .geometry.creases import Crease, crease_points, judge_creases
from .geometry.surfaces import Surfaces, surface_gradient, surface_points, surface_value
from .optima.best_weights import BestWeights, best_weights
from .optima.minimal_mixture import MinimalMixture, minimal_mixture
from .optima.tchebycheff import TchebycheffPoint, tchebycheff
from .optima.weighted_sum import Scalarized, scalarized, scalarized_model
from .pools.measured_runs import RunPoint, RunsAudit, audit_runs
from .pools.pool_mixture import PoolMixture, mixture
from .problem.linear_problem import LinearProblem
from .problem.streaming import SecondMoments
from .reachability.pareto import ParetoTest, Support, pareto_test, support
from .reachability.reach import Reach, reach
from .sign_test.condition import condition

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
