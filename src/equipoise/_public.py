"""The public names on one screen. `equipoise` loads this file when the first of them is asked for."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from . import errors, methods, solve
from ._version import __version__
from .balancer import Balancer
from .balancing.masking import masked_mean
from .balancing.profiling import profile
from .balancing.task_sampling import size_weights, task_batches
from .core.tasks import Bounds, Ray, ReferencePoint
from .diagnostics import diagnose_gradients, diagnose_step
from .engine.modes import Every, Exact, Features, LastLayer, Sketch
from .methods import *  # noqa: F403
from .methods import direction, weights
from .methods.loss import KeptIterates

if TYPE_CHECKING:
    from . import data, integrations, laws, linear, rewards
    from . import fronts as front
    from .audits.network import audit_features
    from .audits.table_audit import audit
    from .fronts import MixtureModel
    from .integrations.torchjd import from_torchjd
    from .training.estimators import MultiTaskClassifier, MultiTaskRegressor
    from .training.executors.runs import Outcome, Run, run_all
    from .training.loop.selection import MeanImprovement, MeanLoss, PerTaskBest, WorstImprovement
    from .training.loop.trackers import MLflow, TensorBoard
    from .training.loop.training import fit
    from .training.problem.metric import Metric
    from .training.problem.problem import Problem
    from .training.problem.scaling import target_scale
    from .training.problem.sources import OwnRows
    from .training.problem.splits import split
    from .training.recording.recorder import record

__all__ = [
    "Balancer",
    "Bounds",
    "Every",
    "Exact",
    "Features",
    "KeptIterates",
    "LastLayer",
    "MLflow",
    "MeanImprovement",
    "MeanLoss",
    "Metric",
    "MixtureModel",
    "MultiTaskClassifier",
    "MultiTaskRegressor",
    "Outcome",
    "OwnRows",
    "PerTaskBest",
    "Problem",
    "Ray",
    "ReferencePoint",
    "Run",
    "Sketch",
    "TensorBoard",
    "WorstImprovement",
    "__version__",
    "audit",
    "audit_features",
    "data",
    "diagnose_gradients",
    "diagnose_step",
    "direction",
    "errors",
    "fit",
    "from_torchjd",
    "front",
    "integrations",
    "laws",
    "linear",
    "masked_mean",
    "methods",
    "profile",
    "record",
    "rewards",
    "run_all",
    "size_weights",
    "solve",
    "split",
    "target_scale",
    "task_batches",
    "weights",
]
__all__ += [name for name in methods.__all__ if name[0].isupper()]

_ON_USE = {
    "MLflow": ("equipoise.training.loop.trackers", "MLflow"),
    "MeanImprovement": ("equipoise.training.loop.selection", "MeanImprovement"),
    "MeanLoss": ("equipoise.training.loop.selection", "MeanLoss"),
    "Metric": ("equipoise.training.problem.metric", "Metric"),
    "MixtureModel": ("equipoise.fronts", "MixtureModel"),
    "Outcome": ("equipoise.training.executors.runs", "Outcome"),
    "OwnRows": ("equipoise.training.problem.sources", "OwnRows"),
    "PerTaskBest": ("equipoise.training.loop.selection", "PerTaskBest"),
    "Problem": ("equipoise.training.problem.problem", "Problem"),
    "Run": ("equipoise.training.executors.runs", "Run"),
    "TensorBoard": ("equipoise.training.loop.trackers", "TensorBoard"),
    "WorstImprovement": ("equipoise.training.loop.selection", "WorstImprovement"),
    "audit": ("equipoise.audits.table_audit", "audit"),
    "audit_features": ("equipoise.audits.network", "audit_features"),
    "data": ("equipoise.data", None),
    "fit": ("equipoise.training.loop.training", "fit"),
    "from_torchjd": ("equipoise.integrations.torchjd", "from_torchjd"),
    "front": ("equipoise.fronts", None),
    "integrations": ("equipoise.integrations", None),
    "laws": ("equipoise.laws", None),
    "linear": ("equipoise.linear", None),
    "MultiTaskClassifier": ("equipoise.training.estimators", "MultiTaskClassifier"),
    "MultiTaskRegressor": ("equipoise.training.estimators", "MultiTaskRegressor"),
    "record": ("equipoise.training.recording.recorder", "record"),
    "rewards": ("equipoise.rewards", None),
    "run_all": ("equipoise.training.executors.runs", "run_all"),
    "split": ("equipoise.training.problem.splits", "split"),
    "target_scale": ("equipoise.training.problem.scaling", "target_scale"),
}
"""Name -> module and attribute of what is imported when it is asked for: a training loop needs none of it."""


def __getattr__(name: str) -> Any:
    if name not in _ON_USE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, attribute = _ON_USE[name]
    found = import_module(module)
    return found if attribute is None else getattr(found, attribute)
