"""The shared layers of a width's remedies, as combinations of the tasks' predictions on any rows."""

from dataclasses import dataclass

import numpy as np

from ...core.numbers import Array
from ...linear.optima.weighted_sum import optimum
from ..widths.optima import Solutions, WidthSolution

__all__ = ["SEARCHED", "Layer", "layers_of", "mix_of"]

SEARCHED = ("best_weights", "tchebycheff", "mixture")
"""The remedies of a width that need a search."""


_SAME = 1e-9


@dataclass(frozen=True, eq=False)
class Layer:
    """A shared layer that can be fitted to any rows: optimum of weights (k,), or combinations (k, q) of predictions.

    `share` is the probability of this model in a mixture, 1 of a single model.
    """

    form: Array
    width: int
    share: float = 1.0


def layers_of(solutions: Solutions, width: int, searched: bool) -> dict[str, tuple[Layer, ...]]:
    """The layers of each remedy of a width, by kind of rung; empty tuples for separate models, which lose nothing.

    Nothing is searched for without `searched`.
    """
    tasks = len(solutions.shares.tasks)
    if width >= solutions.shares.rank:
        return dict.fromkeys(("equal_weights", *SEARCHED) if searched else ("equal_weights",), ())
    found: dict[str, tuple[Layer, ...]] = {"equal_weights": (Layer(np.full(tasks, 1.0 / tasks), width),)}
    if searched:
        here = solutions.at(width)
        assert here.point is not None
        assert here.best is not None
        found_best = Layer(_whole(here, here.best.directions), width)
        # combinations, since sensitive weights give another model on rows that are only similar
        written = None if here.written is None else optimum(here.shares.gramian, here.written, width)
        best = found_best if written is None else Layer(written.directions, width)
        single = Layer(_whole(here, here.point.directions), width)
        if here.excess_point < here.point.value - _SAME:  # the search over weights found the better single model
            single = found_best
        members = zip(here.point.mixture_weights, here.point.mixture_directions, strict=True)
        mixture = tuple(Layer(_whole(here, each), width, float(share)) for share, each in members)
        found |= {"best_weights": (best,), "tchebycheff": (single,), "mixture": mixture}
    return found


def mix_of(layer: Layer, gramian: Array) -> Array:
    """U U^T G (k, k), U^T G U = I: the layer's predictions are those of separate models times this."""
    if layer.form.ndim == 1:
        directions = optimum(gramian, layer.form, layer.width).directions
        return np.asarray(directions @ directions.T @ gramian)
    inner = np.linalg.pinv(layer.form.T @ gramian @ layer.form, hermitian=True)
    return np.asarray(layer.form @ inner @ layer.form.T @ gramian)


def _whole(here: WidthSolution, directions: Array) -> Array:
    """Combinations of all tasks' predictions, 0 for the tasks that nothing predicts."""
    every = np.zeros((len(here.shares.tasks), directions.shape[1]))
    every[here.shares.predictable] = directions
    return every
