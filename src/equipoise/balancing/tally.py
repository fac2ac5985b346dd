"""How often each outcome occurred."""

import warnings
from collections import Counter

from ..engine.step.context import Balanced
from ..errors import EquipoiseWarning

__all__ = ["tally"]

_EMPTY = (
    "every task of this step was skipped, so no parameter has a gradient from it; balancer.counts['empty'] counts such "
    "steps. With a GradScaler use nonfinite='propagate': its step() ends in an assertion where no gradient arrived, "
    "and only NaN makes it skip the step and lower its scale."
)


def tally(counts: Counter[str], balanced: Balanced) -> None:
    """Counts one step under its status, each task that was skipped, and products that were made twice."""
    for name in balanced.skipped:
        counts[f"skipped {name}"] += 1
    if balanced.weighed is not None:
        counts["reused" if balanced.reused else balanced.weighed.status.name] += 1
    elif balanced.empty:
        counts["empty"] += 1
        warnings.warn(_EMPTY, EquipoiseWarning, stacklevel=2)
    else:
        counts["propagated"] += 1
    if balanced.again:
        counts["products again in float64"] += 1
