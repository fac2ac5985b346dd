"""The shared layers of a width's remedies, as combinations of the tasks' predictions on any rows."""

from dataclasses import dataclass

import numpy as np

from ...core.numbers import Array
from ...linear.optima.weighted_sum import optimum
from ...linear.optima.written_weights import SAME
from ..widths.optima import Solutions, WidthSolution

__all__ = ["SEARCHED", "Layer", "layers_of", "mix_of"]

SEARCHED = ("best_weights", "tchebycheff", "mixture")
"""The remedies of a width that need a search."""


_ROUNDING = 1e-9


@dataclass(frozen=True, eq=False)
class Layer:
    """A shared layer that can be fitted to any rows: combinations (k, q) of the separate models' predictions.

    Combinations and not weights, since sensitive weights give another model on rows that are only similar. `share` is
    the probability of this model in a mixture, 1 of a single model.
    """

    form: Array
    share: float = 1.0


def layers_of(solutions: Solutions, width: int) -> dict[str, tuple[Layer, ...]]:
    """The layers of the remedies of a width that need a search, by kind of rung; empty tuples for separate models."""
    if width >= solutions.shares.rank:
        return dict.fromkeys(SEARCHED, ())
    here = solutions.at(width)
    assert here.point is not None
    assert here.best is not None
    # the weights found, not the few decimals they are written with: these are chosen within 0.0005 of the best, which
    # may be more than all remedies of a wide layer differ by, and jump from one training part to the next
    best = found = _whole(here, here.best.directions)
    if here.written is not None and here.excess_best > here.best.worst + SAME:
        best = optimum(here.shares.gramian, here.written, width).directions  # what a training can hit is far from them
    single = _whole(here, here.point.directions)
    if here.excess_point < here.point.value - _ROUNDING:  # the search over weights found the better single model
        single = found
    members = zip(here.point.mixture_weights, here.point.mixture_directions, strict=True)
    mixture = tuple(Layer(_whole(here, each), float(share)) for share, each in members)
    return {"best_weights": (Layer(best),), "tchebycheff": (Layer(single),), "mixture": mixture}


def mix_of(layer: Layer, gramian: Array) -> Array:
    """U U^T G (k, k), U^T G U = I: the layer's predictions are those of separate models times this."""
    inner = np.linalg.pinv(layer.form.T @ gramian @ layer.form, hermitian=True)
    return np.asarray(layer.form @ inner @ layer.form.T @ gramian)


def _whole(here: WidthSolution, directions: Array) -> Array:
    """Combinations of all tasks' predictions, 0 for the tasks that nothing predicts."""
    every = np.zeros((len(here.shares.tasks), directions.shape[1]))
    every[here.shares.predictable] = directions
    return every
