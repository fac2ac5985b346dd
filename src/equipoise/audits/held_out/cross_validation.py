"""Cross-validation of every remedy from moments of blocks of rows, and the interval of what it loses.

The centre is a cross-validation over folds: shrinkage and remedies are chosen on the training part alone. The interval
is a jackknife over blocks: the same cross-validation without each block in turn, one block a fold, at one penalty.
Remedies that need a search are searched for once without each block, and their combinations of predictions kept in the
folds of it. The jackknife's variance is too large in expectation rather than too small (Efron and Stein, 1981);
intervals over rows or over folds are too short, since training parts overlap (Bengio and Grandvalet, 2004).
"""

from collections.abc import Callable, Iterable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from scipy.stats import t as student

from ...core.numbers import Array
from ...core.records.new_rows import NewRows, OnNewRows
from ...linear.held_out.block_moments import BlockMoments, training_part
from ...linear.held_out.ridge import PENALTIES, Ridge, path_errors, ridge
from ...linear.held_out.row_blocks import RowBlocks
from ...linear.problem.gramian import effective_rank
from ..widths.optima import RESAMPLED, Effort, Shares, Solutions
from .layers import Layer, layers_of, mix_of

__all__ = ["LEVEL", "MOST_TASKS", "Key", "Measured", "measure"]

MOST_TASKS = 10
"""Tasks up to which remedies that need a search are measured on new rows: thirty searches a width."""

LEVEL = 0.05
"""One minus the coverage that the intervals of all tasks of a remedy are meant to have together."""

_SHORT = Effort(weights=2, models=2, nodes=2_000)
"""Searches of the jackknife, which say how a remedy varies and not what it gives."""

Key = tuple[str, int]
"""A remedy by kind of rung and width."""


@dataclass(frozen=True, eq=False)
class Measured:
    """Losses on new rows of some remedies, and how they were found."""

    rungs: Mapping[Key, OnNewRows]
    about: NewRows


def measure(
    X: Array,
    Y: Array,
    blocks: RowBlocks,
    *,
    tasks: Sequence[str],
    widths: Iterable[int],
    searched: bool = True,
    watch: Callable[[str], None] | None = None,
    parts: MutableMapping[str, Any] | None = None,
) -> Measured:
    """Every remedy of these widths on new rows: losses, differences to separate models, margins.

    Args:
        X: (n, p) inputs.
        Y: (n, k) targets; each must vary over all rows.
        blocks: The partition of the rows.
        tasks: Names of the k tasks.
        widths: Shared widths to measure.
        searched: Whether remedies that need a search (best weights, Tchebycheff, mixture) are measured too.
        watch: Called with a few words before each piece of work that takes time.
        parts: Finished parts of the same work: what is in it is not computed again, what is computed is put in.

    Cost: O(p^3) for each pair of folds and of blocks (45 eigen-decompositions and 190 linear solves for twenty
    blocks), one search a width and fold, and one pass over the rows.
    """
    say = watch or (lambda _: None)
    say("new rows: moments and penalties")
    work = _Work(BlockMoments.of_rows(X, Y, blocks), blocks, tuple(tasks), tuple(sorted(set(widths))), searched)
    kept: MutableMapping[str, Any] = {} if parts is None else parts
    if "new rows, penalties" not in kept:
        kept["new rows, penalties"] = [list(each) if isinstance(each, list) else each for each in work.penalties()]
    by_fold, overall = kept["new rows, penalties"]
    sums: dict[Key, Array] = dict.fromkeys(work.keys, np.zeros(len(tasks)))
    for number, (fold, penalty) in enumerate(zip(blocks.folds, by_fold, strict=True), start=1):
        say(f"new rows: fold {number} of {len(blocks.folds)}")
        part = f"new rows, fold {number}"
        if part not in kept:
            kept[part] = [errors.tolist() for errors in work.fold(fold, penalty).values()]
        sums = {key: sums[key] + np.array(errors) for key, errors in zip(work.keys, kept[part], strict=True)}
    if "new rows, margins" not in kept:
        kept["new rows, margins"] = [margin.tolist() for margin in work.margins(overall, say).values()]
    scale = len(Y) * Y.var(axis=0)
    losses = {key: errors / scale for key, errors in sums.items()}
    separate = losses[_SEPARATE]
    rungs = {
        key: OnNewRows(losses=_plain(loss), differences=_plain(loss - separate), margins=_plain(np.array(margin)))
        for (key, loss), margin in zip(losses.items(), kept["new rows, margins"], strict=True)
    }
    about = NewRows(
        folds=len(blocks.folds),
        blocks=blocks.count,
        partition=blocks.words,
        penalties=(min(by_fold), max(by_fold)),
        ends=sum(penalty in {PENALTIES[0], PENALTIES[-1]} for penalty in by_fold),
        separate=_plain(separate),
        searched=searched,
    )
    return Measured(rungs, about)


_SEPARATE: Key = ("separate", 1)


def _plain(values: Array) -> tuple[float, ...]:
    return tuple(float(value) for value in values)


@dataclass(frozen=True, eq=False)
class _Work:
    moments: BlockMoments
    blocks: RowBlocks
    tasks: tuple[str, ...]
    widths: tuple[int, ...]
    searched: bool

    @property
    def keys(self) -> list[Key]:
        """Separate models first, then each width's remedies."""
        kinds = ("equal_weights", "best_weights", "tchebycheff", "mixture") if self.searched else ("equal_weights",)
        return [_SEPARATE, *((kind, width) for width in self.widths for kind in kinds)]

    def penalties(self) -> tuple[list[float], float]:
        """The penalty of each fold's training part, and that of all rows, each by cross-validation inside these rows.

        What is made small is the mean over tasks of the separate models' losses, in shares of the variances of these
        rows. One penalty serves all tasks: one a task, or generalized cross-validation, follows single wild rows.
        """
        folds = self.blocks.folds
        tested = [self.moments.summed(fold) for fold in folds]
        inner = np.zeros((len(folds), len(PENALTIES), len(self.tasks)))
        for one, two in combinations(range(len(folds)), 2):
            part = training_part(self.moments.without({*folds[one], *folds[two]}), self.moments.inputs)
            on_one, on_two = path_errors(part, [tested[one], tested[two]])
            inner[one] += on_two
            inner[two] += on_one
        outer = np.zeros(inner.shape[1:])
        chosen = []
        for fold, rows, errors in zip(folds, tested, inner, strict=True):
            part = training_part(self.moments.without(fold), self.moments.inputs)
            outer += path_errors(part, [rows])[0]
            chosen.append(_least(errors, part.units[self.moments.inputs :]))
        every = training_part(self.moments.without(()), self.moments.inputs)
        return chosen, _least(outer, every.units[self.moments.inputs :])

    def fold(self, fold: Iterable[int], penalty: float) -> dict[Key, Array]:
        """Sums of squared errors (k,) on one fold, everything fitted on the others."""
        model = ridge(training_part(self.moments.without(fold), self.moments.inputs), penalty)
        return self._errors(model, self._layers(model), self.moments.summed(fold))

    def margins(self, penalty: float, say: Callable[[str], None]) -> dict[Key, Array]:
        """Half widths (k,) of the intervals of the differences to separate models, in shares of variance."""
        every = training_part(self.moments.without(()), self.moments.inputs)
        layers = []
        for block in range(self.blocks.count):
            say(f"new rows: jackknife, {block + 1} of {self.blocks.count}")
            part = training_part(self.moments.without({block}), self.moments.inputs)
            layers.append(self._layers(ridge(part, penalty), _SHORT))
        count, tasks = self.blocks.count, len(self.tasks)
        differences = {key: np.zeros((count, tasks)) for key in self.keys}
        for one, two in combinations(range(count), 2):
            model = ridge(training_part(self.moments.without({one, two}), self.moments.inputs), penalty)
            for tested, without in ((one, two), (two, one)):
                errors = self._errors(model, layers[without], self.moments.summed({tested}))
                for key, own in errors.items():
                    differences[key][without] += own - errors[_SEPARATE]
        rows = self.moments.products[:, 0, 0]
        variance = every.units[self.moments.inputs :] ** 2
        quantile = float(student.ppf(1 - LEVEL / (2 * tasks), count - 1))
        margins = {}
        for key, sums in differences.items():
            values = sums / (rows.sum() - rows)[:, None] / variance
            spread = np.sum((values - values.mean(axis=0)) ** 2, axis=0)
            margins[key] = quantile * np.sqrt((count - 1) / count * spread)
        return margins

    def _layers(self, model: Ridge, effort: Effort = RESAMPLED) -> dict[Key, tuple[Layer, ...]]:
        shares = Shares(model.gramian, model.unexplained, self.tasks, effective_rank(model.gramian), 0)
        solutions = Solutions(shares, None, effort)
        return {
            (kind, width): layers
            for width in self.widths
            for kind, layers in layers_of(solutions, width, self.searched).items()
        }

    @staticmethod
    def _errors(model: Ridge, layers: Mapping[Key, tuple[Layer, ...]], products: Array) -> dict[Key, Array]:
        tested = model.tested(products)
        found = {_SEPARATE: model.errors(tested)}
        for key, members in layers.items():
            parts = [each.share * model.errors(tested, mix_of(each, model.gramian)) for each in members]
            found[key] = np.sum(parts, axis=0) if parts else found[_SEPARATE]
        return found


def _least(errors: Array, units: Array) -> float:
    """The penalty with the least mean loss over tasks; the larger of two that are the same."""
    mean = (errors / units**2).mean(axis=1)
    return float(PENALTIES[len(mean) - 1 - int(mean[::-1].argmin())])
