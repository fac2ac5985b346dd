"""The ladder: every remedy with what it gives and what it costs, from equal weights down to separate models."""

from collections.abc import Callable
from typing import Any

import numpy as np

from ...core.numbers import Array
from ...core.records.audit import Rung
from ...linear.optima.weighted_sum import optimum
from .optima import PROVEN, Shares, WidthSolution

__all__ = ["build_ladder"]


_EXACT = 1e-9


def build_ladder(
    shares: Shares, width: int, solve: Callable[[int], WidthSolution], threshold: float
) -> tuple[tuple[Rung, ...], int | None]:
    """The rungs at one width, and the index of the cheapest that closes the gap; None where equal weights do.

    Rungs, in this order: equal weights; best weights found; one Tchebycheff model; a mixture of models; wider shared
    layers with a weighted sum, up to the first that closes (`solve` is then asked for these widths too); separate
    models. At q >= rank only the first and the last differ in cost, and in nothing else.

    A wider layer is shown with equal weights where these come within the threshold of the best weights found
    at that width, otherwise with the latter (the words then name both).

    A rung closes where its largest excess over a task's own best loss is within the threshold of the least that
    this width allows to mixtures; where a weighted sum comes within the threshold of the best single model, within the
    threshold of that. Of the rungs that close, those that train and serve one model are cheaper than those that need
    several, and among them the earlier is cheaper: so a wider layer comes before a mixture, and is shown
    after it. A rung whose weights are `sensitive` is never the cheapest, and where the first wider layer that closes
    needs such weights and no single model at this width closes, the narrowest one that closes with equal weights is
    shown as well. The cheapest rung lowers what equal weights give by more than the threshold: a smaller gain would not
    be worth what it costs other tasks.
    """
    here = solve(width)
    separate = _rung(
        shares,
        shares.unexplained,
        kind="separate",
        words=f"separate models (the losses of width {max(shares.rank, 1)})",
        width=1,
        models=len(shares.tasks),
        goal=np.inf,
    )
    if here.best is None or here.point is None:
        equal = _rung(shares, here.losses_equal, kind="equal_weights", words="equal weights", width=width, goal=np.inf)
        return (equal, separate), None
    single, mixed = here.excess_point, here.excess_mixture
    enough = here.excess_best <= single + threshold
    goal = (single if enough else mixed) + threshold
    rungs = [_equal(shares, here, goal), _best(shares, here, goal), *_one_and_many(shares, here, goal)]
    for wider in range(width + 1, shares.rank + 1):
        rungs.append(_wider(shares, solve(wider), goal, threshold))
        if rungs[-1].closes:
            if rungs[-1].sensitive and single > goal:
                rungs.append(_equal_beyond(shares, wider, goal))
            break
    rungs.append(separate)
    if rungs[0].closes:
        return tuple(rungs), None
    least = np.inf if here.equal.tied else rungs[0].worst_excess - threshold
    usable = (i for i, rung in enumerate(rungs) if rung.closes and not rung.sensitive and rung.worst_excess < least)
    return tuple(rungs), min(usable, key=lambda i: (rungs[i].models > 1, i), default=None)


def _rung(shares: Shares, losses: Array, *, goal: float, width: int, lower: float | None = None, **values: Any) -> Rung:
    excess = shares.excess(losses)
    floor = excess if lower is None or excess - lower <= _EXACT else float(lower)
    return Rung(
        **{"models": 1, "exactness": "exact", **values},
        width=width,
        worst=float(losses.max()),
        worst_task=shares.tasks[int(losses.argmax())],
        worst_excess=excess,
        losses=tuple(float(loss) for loss in losses),
        lower=floor,
        closes=excess <= goal,
    )


def _equal(shares: Shares, here: WidthSolution, goal: float) -> Rung:
    tasks, tied = len(shares.tasks), here.equal.tied
    return _rung(
        shares,
        here.losses_equal,
        goal=-np.inf if tied else goal,  # nobody knows which optimum a training run ends at
        width=here.width,
        kind="equal_weights",
        words="equal weights" + (" (a tie: one optimum of several)" if tied else ""),
        weights=None if tied else (1 / tasks,) * tasks,
    )


def _searched(shares: Shares, here: WidthSolution, goal: float, kind: str, words: str) -> Rung:
    """The best weights that a search found at a width."""
    assert here.best is not None
    written = None if here.written is None else tuple(float(weight) for weight in here.written)
    return _rung(
        shares,
        here.losses_best,
        goal=goal,
        width=here.width,
        lower=here.single_lower,
        kind=kind,
        words=words,
        exactness="exact" if here.best_is_proven else "found by search",
        solves=here.best.solves,
        weights=written,
        weight_digits=here.best.digits,
        written_weights=written,
    )


def _best(shares: Shares, here: WidthSolution, goal: float) -> Rung:
    assert here.best is not None
    none = " (none that can be written: one optimum of several)" if here.written is None else ""
    return _searched(shares, here, goal, "best_weights", f"best weights found in {here.best.solves:,} solves{none}")


def _one_and_many(shares: Shares, here: WidthSolution, goal: float) -> tuple[Rung, Rung]:
    models = here.mixture_models
    single = _rung(
        shares,
        here.losses_point,
        goal=goal,
        width=here.width,
        lower=here.single_lower,
        kind="tchebycheff",
        words="one model, trained on its largest excess (Tchebycheff)",
        exactness="exact" if here.excess_point - here.single_lower <= PROVEN else "bracket",
    )
    words = f"a mixture of {models} models" if models > 1 else "a mixture of models: one model is as good"
    mixture = _rung(
        shares, here.losses_mixture, goal=goal, width=here.width, kind="mixture", words=words, models=models
    )
    return single, mixture


def _equal_beyond(shares: Shares, width: int, goal: float) -> Rung:
    """The narrowest layer beyond `width` that closes with equal weights: an eigen-decomposition a width, no search."""
    even = np.full(len(shares.tasks), 1.0 / len(shares.tasks))
    for wider in range(width + 1, shares.rank + 1):
        found = optimum(shares.gramian, even, wider)
        losses = shares.losses(found.captured)
        if shares.excess(losses) <= goal and not found.tied:
            break
    return _with_equal(shares, losses, wider, goal)


def _with_equal(shares: Shares, losses: Array, width: int, goal: float) -> Rung:
    even = (1 / len(shares.tasks),) * len(shares.tasks)
    words = f"width {width} with equal weights"
    return _rung(shares, losses, goal=goal, width=width, kind="wider", words=words, weights=even)


def _wider(shares: Shares, there: WidthSolution, goal: float, threshold: float) -> Rung:
    equal = there.excess_equal
    if there.best is None or (equal <= there.excess_best + threshold and not there.equal.tied):
        return _with_equal(shares, there.losses_equal, there.width, goal)
    found = f"the best weights found in {there.best.solves:,} solves (equal weights: {equal:.3f})"
    return _searched(shares, there, goal, "wider", f"width {there.width} with {found}")
