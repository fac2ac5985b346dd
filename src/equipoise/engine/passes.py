"""Per-task gradients by reverse mode: the fewest passes that are exact."""

from collections.abc import Sequence

import torch
from torch import Tensor

from ..errors import InputError
from .backward import Sources, run_passes
from .gradients import Gradients, Own, Part
from .graph import Graph, leaves_behind, read_graph, tensor_hooks_off
from .jacobian import Jacobian
from .ownership import Ownership
from .planning import LayerPlan, Plan, choose_sites, memory_limit, predict
from .rank import MixedRows, find_dependence
from .rowwise import read_rowwise
from .separable import collect, owners_of_rows
from .sorting import sort_parts
from .streamed import stream

__all__ = ["Gradients", "Own", "Plan", "differentiate", "feature_gradients"]
