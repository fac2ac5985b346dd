"""From the optima of one width to a verdict."""

from ...core.records.audit import About, Bootstrap, CompleteRows, Condition, Effect, Verdict, VerdictStatus
from ...linear.optima.best_weights import SAMPLES
from ...linear.optima.width_bound import width_as_any_mixture
from ...linear.sign_test.condition import condition
from .front_sample import budget_for, front_points
from .optima import Shares, Solutions, WidthSolution
from .remedies import build_ladder
from .verdict_text import caveat, sentences

__all__ = ["judge", "on_complete_rows", "verdict_at"]


def judge(here: WidthSolution, theorem: Condition, threshold: float) -> VerdictStatus:
    """The status of one width: whether a weighted sum reaches the balanced trade-off.

    The balanced trade-off is the single model whose largest excess over a task's own best loss is least. Raw losses
    would be decided by the task that is hardest to predict, whatever is traded between the others.

    * ``nothing_to_trade``: the width is at least the rank.
    * ``enough``: the best weights found come within the threshold of the proven lower end for single models,
      or the theorem's condition holds (then some weights reach every trade-off).
    * ``not_enough``: the best weights found stay more than the threshold above a single model that was
      found. This is a statement on a search, made in N solves, and says so.
    * ``undetermined``: neither, because the best single model is known as a bracket only.
    """
    if here.best is None:
        return "nothing_to_trade"
    reached, single = here.excess_best, here.excess_point
    if reached <= here.single_lower + threshold or theorem.status == "holds":
        return "enough"
    return "not_enough" if reached > single + threshold else "undetermined"


def on_complete_rows(solutions: Solutions, width: int, threshold: float) -> CompleteRows:
    """A width in short, of the problem of complete rows alone."""
    here = solutions.at(width)
    theorem = condition(solutions.shares.gramian, width, tasks=solutions.shares.tasks)
    return CompleteRows(
        rows=solutions.shares.rows,
        status=judge(here, theorem, threshold),
        equal=here.excess_equal,
        best=here.excess_best,
        single=here.excess_point,
        mixture=here.excess_mixture,
    )


def verdict_at(
    solutions: Solutions, width: int, *, threshold: float = 0.01, seed: int = 0, bootstrap: Bootstrap | None = None
) -> Verdict:
    """The whole verdict of one width; `solutions` are those of this and wider layers, solved when asked for."""
    shares = solutions.shares
    here = solutions.at(width)
    theorem = condition(shares.gramian, width, tasks=shares.tasks)
    status = judge(here, theorem, threshold)
    ladder, remedy = build_ladder(shares, width, solutions.at, threshold)
    if solutions.watch:
        solutions.watch(f"width {width}: points of the front")
    points, largest, tried = front_points(shares, here, seed=seed)
    effect = _effect(here, largest, tried, threshold)
    said = sentences(shares, here, status, theorem, effect, ladder, remedy)
    return Verdict(
        measure="excess",
        status=status,
        headline=said[0],
        words=" ".join(said),
        caveat=caveat(shares, width),
        about=_about(shares, width),
        condition=theorem,
        effect=effect,
        ladder=ladder,
        remedy=remedy,
        front=points,
        bootstrap=bootstrap,
        effort=_effort(solutions, here),
        width_as_mixture=None
        if here.best is None
        else min(width_as_any_mixture(len(shares.tasks), width), shares.rank),
    )


def _effort(solutions: Solutions, here: WidthSolution) -> str:
    """The limits of the searches, which depend on the number of tasks only."""
    if here.best is None:
        return ""
    limits, picture = solutions.budget, budget_for(len(solutions.shares.tasks))
    return (
        f"Limits of the searches: {SAMPLES} samples and up to {limits.weights} descents for the best weights, "
        f"{limits.models} random starts for the best single model besides those that the best mixture gives, "
        f"{limits.nodes:,} sign patterns at width 1; in the picture {picture.models} random models, {picture.sweep} "
        f"weighted sums and {1 + picture.directions} balanced models, with {picture.climb} more where a gap shows."
    )


def _about(shares: Shares, width: int) -> About:
    return About(
        model=f"linear model with a shared layer of width {width}",
        width=width,
        rank=shares.rank,
        rows=shares.rows,
        split="in-sample, incomplete rows" if shares.task_rows else "in-sample",
    )


def _effect(here: WidthSolution, largest: float, tried: int, threshold: float) -> Effect:
    single = here.excess_point
    return Effect(
        balanced_gap=max(here.excess_best - single, 0.0),
        mixture_gap=max(single - here.excess_mixture, 0.0),
        largest_gap=max(largest, 0.0),
        directions=tried,
        exactness="exact" if here.best_is_proven else "found by search",
        threshold=threshold,
    )
