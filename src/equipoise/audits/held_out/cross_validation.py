"""Cross-validation of every remedy from moments of blocks of rows, and the interval of what it loses.

The centre is a cross-validation over folds: shrinkage and remedies are chosen on the training part alone. The interval
is a jackknife over blocks: the same cross-validation without each block in turn, one block a fold, at one penalty.
Remedies that need a search are searched for once without each block, and their combinations of predictions kept in the
folds of it. The jackknife's variance is too large in expectation rather than too small (Efron and Stein, 1981);
intervals over rows or over folds are too short, since training parts overlap (Bengio and Grandvalet, 2004). A task's
standard error is at least the median over tasks: see `_floored`.
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
from ...linear.held_out.equal_weights import EqualWeights, shared_widths
from ...linear.held_out.first_order import expected_changes
from ...linear.held_out.ridge import PENALTIES, Ridge, path_errors, ridge
from ...linear.held_out.row_blocks import RowBlocks
from ...linear.problem.gramian import effective_rank
from ..widths.optima import RESAMPLED, Effort, Shares, Solutions
from .helping import sharing_of
from .layers import SEARCHED, Layer, layers_of, mix_of

__all__ = ["LEVEL", "MOST_TASKS", "Key", "Measured", "measure"]

MOST_TASKS = 10
"""Tasks up to which remedies that need a search are measured on new rows: thirty searches a width."""

LEVEL = 0.05
"""One minus the coverage that the intervals of all tasks of a remedy are meant to have together."""

_SHORT = Effort(weights=2, models=2, nodes=2_000)
"""Searches of the jackknife, which say how a remedy varies and not what it gives."""

Key = tuple[str, int]
"""A remedy by kind of rung and width; ``partner``, i: every other task with task i alone, at width 1."""


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
        kept["new rows, penalties"] = list(work.penalties())
    by_fold, widest, overall = kept["new rows, penalties"]
    sums: dict[Key, Array] = dict.fromkeys(work.keys, np.zeros(len(tasks)))
    for number, fold in enumerate(blocks.folds, start=1):
        say(f"new rows: fold {number} of {len(blocks.folds)}")
        part = f"new rows, fold {number}"
        if part not in kept:
            found = work.fold(fold, by_fold[number - 1], widest[number - 1])
            kept[part] = [errors.tolist() for errors in found.values()]
        sums = {key: sums[key] + np.array(errors) for key, errors in zip(work.keys, kept[part], strict=True)}
    if "new rows, errors" not in kept:
        kept["new rows, errors"] = [each.tolist() for each in work.standard_errors(overall, say).values()]
    scale = len(Y) * Y.var(axis=0)
    losses = {key: errors / scale for key, errors in sums.items()}
    separate = losses[_SEPARATE]
    changes = {key: loss - separate for key, loss in losses.items()}
    errors = {key: np.array(each) for key, each in zip(work.keys, kept["new rows, errors"], strict=True)}
    degrees = blocks.count - 1
    quantile = float(student.ppf(1 - LEVEL / (2 * len(tasks)), degrees))
    rungs = {
        key: OnNewRows(
            losses=_plain(losses[key]), differences=_plain(changes[key]), margins=_plain(quantile * errors[key])
        )
        for key in work.rungs
    }
    about = NewRows(
        folds=len(blocks.folds),
        blocks=blocks.count,
        partition=blocks.words,
        penalties=(min(by_fold), max(by_fold)),
        ends=sum(penalty in {PENALTIES[0], PENALTIES[-1]} for penalty in by_fold),
        separate=_plain(separate),
        searched=searched,
        sharing=sharing_of(
            (_partners(changes), _partners(errors)),
            (changes[_CHOSEN], errors[_CHOSEN]),
            widest,
            degrees,
            work.expected(),
        ),
    )
    return Measured(rungs, about)


_SEPARATE: Key = ("separate", 1)
_CHOSEN: Key = ("chosen width", 0)
"""All tasks in one layer with equal weights, at the width that the training part chose."""


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
    def rungs(self) -> list[Key]:
        """Separate models first, then each width's remedies."""
        kinds = ("equal_weights", *SEARCHED) if self.searched else ("equal_weights",)
        return [_SEPARATE, *((kind, width) for kind in kinds for width in self.widths)]

    @property
    def keys(self) -> list[Key]:
        """The remedies, the width chosen on each training part, and each task as the only partner of the others."""
        return [*self.rungs, _CHOSEN, *(("partner", i) for i in range(len(self.tasks)))]

    def expected(self) -> Array | None:
        """What theory expects of sharing between two tasks, from all rows; see `expected_changes`."""
        part = training_part(self.moments.without(()), self.moments.inputs)
        least = ridge(part, PENALTIES[0])  # as good as least squares, and never singular
        rows = round(float(self.moments.products[:, 0, 0].sum()))
        return expected_changes(least.gramian, part.targets, rows, self.moments.inputs)

    def penalties(self) -> tuple[list[float], list[int], float]:
        """The penalty and the shared width of each fold's training part, and the penalty of all rows.

        Each is chosen by cross-validation inside these rows: what is made small is the mean over tasks of the separate
        models' losses, in shares of the variances of these rows, and then, at that penalty, of the losses of layers
        narrower than the tasks' rank with equal weights. One penalty serves all tasks: one a task, or generalized
        cross-validation, follows single wild rows.
        """
        folds, tasks = self.blocks.folds, len(self.tasks)
        tested = [self.moments.summed(fold) for fold in folds]
        inner = np.zeros((len(folds), len(PENALTIES), tasks, tasks))
        for one, two in combinations(range(len(folds)), 2):
            part = training_part(self.moments.without({*folds[one], *folds[two]}), self.moments.inputs)
            on_one, on_two = path_errors(part, [tested[one], tested[two]])
            inner[one] += on_two
            inner[two] += on_one
        outer = np.zeros(inner.shape[1:])
        chosen, widths = [], []
        for fold, rows, errors in zip(folds, tested, inner, strict=True):
            part = training_part(self.moments.without(fold), self.moments.inputs)
            outer += path_errors(part, [rows])[0]
            means = (errors / part.units[self.moments.inputs :] ** 2).mean(axis=-1)
            place = _least(means[:, -1])
            chosen.append(float(PENALTIES[place]))
            shared = shared_widths(ridge(part, chosen[-1]).gramian)
            widths.append(shared[int(means[place, : len(shared)].argmin())])
        every = training_part(self.moments.without(()), self.moments.inputs)
        means = (outer / every.units[self.moments.inputs :] ** 2).mean(axis=-1)
        return chosen, widths, float(PENALTIES[_least(means[:, -1])])

    def fold(self, fold: Iterable[int], penalty: float, width: int) -> dict[Key, Array]:
        """Sums of squared errors (k,) on one fold, everything fitted on the others."""
        model = ridge(training_part(self.moments.without(fold), self.moments.inputs), penalty)
        found, by_width = self._errors(model, self._layers(model), self.moments.summed(fold))
        return found | {_CHOSEN: by_width[width - 1]}

    def standard_errors(self, penalty: float, say: Callable[[str], None]) -> dict[Key, Array]:
        """Jackknife standard errors (k,) of the differences to separate models, in shares of variance; `_floored`."""
        every = training_part(self.moments.without(()), self.moments.inputs)
        whole = ridge(every, penalty)
        similar = self._solutions(whole, RESAMPLED) if self.searched else None
        layers = []
        for block in range(self.blocks.count):
            say(f"new rows: jackknife, {block + 1} of {self.blocks.count}")
            part = training_part(self.moments.without({block}), self.moments.inputs)
            layers.append(self._layers(ridge(part, penalty), _SHORT, similar))
        count, tasks = self.blocks.count, len(self.tasks)
        differences = {key: np.zeros((count, tasks)) for key in self.keys}
        by_width = np.zeros((count, tasks, tasks))
        for one, two in combinations(range(count), 2):
            model = ridge(training_part(self.moments.without({one, two}), self.moments.inputs), penalty)
            for tested, without in ((one, two), (two, one)):
                errors, at_widths = self._errors(model, layers[without], self.moments.summed({tested}))
                for key, own in errors.items():
                    differences[key][without] += own - errors[_SEPARATE]
                by_width[without] += at_widths - errors[_SEPARATE]
        rows = self.moments.products[:, 0, 0]
        variance = every.units[self.moments.inputs :] ** 2
        # each block's cross-validation chooses its own width, so that the choice varies as it does between tables
        shared = shared_widths(whole.gramian)
        places = (by_width / variance).mean(axis=-1)[:, : len(shared)].argmin(axis=1)
        differences[_CHOSEN] = by_width[np.arange(count), places]
        found = {}
        for key, sums in differences.items():
            values = sums / (rows.sum() - rows)[:, None] / variance
            spread = np.sum((values - values.mean(axis=0)) ** 2, axis=0)
            found[key] = np.sqrt((count - 1) / count * spread)
        return _floored(found)

    def _solutions(self, model: Ridge, effort: Effort, similar: Solutions | None = None) -> Solutions:
        shares = Shares(model.gramian, model.unexplained, self.tasks, effective_rank(model.gramian), 0)
        return Solutions(shares, None, effort, similar)

    def _layers(
        self, model: Ridge, effort: Effort = RESAMPLED, similar: Solutions | None = None
    ) -> dict[Key, tuple[Layer, ...]]:
        if not self.searched:
            return {}
        solutions = self._solutions(model, effort, similar)
        found = {width: layers_of(solutions, width) for width in self.widths}
        return {(kind, width): found[width][kind] for kind in SEARCHED for width in self.widths}

    def _errors(
        self, model: Ridge, layers: Mapping[Key, tuple[Layer, ...]], products: Array
    ) -> tuple[dict[Key, Array], Array]:
        """Sums of squared errors (k,) by `keys`, without the chosen width; and (k, k) under equal weights by width."""
        tested = model.tested(products)
        separate = model.errors(tested)
        equal = EqualWeights.of(model.gramian)
        by_width = model.in_own_units(equal.errors(tested))
        by_width[max(effective_rank(model.gramian), 1) - 1 :] = separate
        found = {_SEPARATE: separate}
        found |= {("equal_weights", width): by_width[min(width, len(by_width)) - 1] for width in self.widths}
        for key, members in layers.items():
            parts = [each.share * model.errors(tested, mix_of(each, model.gramian)) for each in members]
            found[key] = np.sum(parts, axis=0) if parts else separate
        found[_CHOSEN] = separate
        pairs = model.in_own_units(equal.pairs(tested).T)
        return found | {("partner", i): errors for i, errors in enumerate(pairs)}, by_width


def _floored(errors: dict[Key, Array]) -> dict[Key, Array]:
    """Standard errors that are at least the median over the tasks of a remedy; of a pair, the mean of its two.

    What a layer leaves out is one direction for all tasks, and it turns with the rows that are drawn. A task that it
    hardly touches here has a small excess and an error that vanishes with it, though on other rows it may be touched as
    the others are: without this floor the intervals of all tasks at once held the truth in as few as 80 % of tables.
    """
    pairs = _partners(errors)
    pairs = np.maximum(pairs, (pairs + pairs.T) / 2)
    return {
        key: pairs[:, key[1]] if key[0] == "partner" else np.maximum(each, np.median(each))
        for key, each in errors.items()
    }


def _partners(values: Mapping[Key, Array]) -> Array:
    """(k, k) values, in [i, j] that of task i with j as its only partner."""
    return np.column_stack([each for (kind, _), each in values.items() if kind == "partner"])


def _least(means: Array) -> int:
    """The place of the least mean loss; the last, a larger penalty, of two that are the same."""
    return len(means) - 1 - int(means[::-1].argmin())
