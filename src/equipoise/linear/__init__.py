"""Linear multi-task models, solved exactly: which trade-offs exist and which a weighted sum can reach.

Functions take the Gramian G = Ŷ^T Ŷ / n of the tasks' least-squares predictions, so they can be used from any
program that can write down a (k, k) matrix. Losses are L_i = c_i + G_ii - e_i: the unexplained part, plus the
predictable part, less the energy that the shared layer captures.
"""

from importlib import import_module
from typing import Any

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
from .problem.second_moments import SecondMoments
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

_BUILT_ON_THIS = {"audit_problem": "equipoise.audits.assemble", "width_summary": "equipoise.audits.widths.width_story"}
"""Names that lie above this package and are offered here too; loaded on first use, so that imports point one way."""


def __getattr__(name: str) -> Any:
    if name not in _BUILT_ON_THIS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_BUILT_ON_THIS[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
