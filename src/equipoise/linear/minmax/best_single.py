"""The single projection with the least worst level, by whichever search is exact for its width and signs."""

from dataclasses import dataclass

from ..sign_test.condition import condition
from .fantope import Mixture
from .multistart import MEETING, search
from .problem import Array, MinMax
from .sign_enumeration import LARGEST_COMPLEMENT, complement_one, width_one

__all__ = ["Single", "best_single"]

QUICK = 7
"""Tasks up to which the exact search at width 1 goes first, without descents."""


@dataclass(frozen=True, eq=False)
class Single:
    """The best single projection found."""

    basis: Array  # (r, q) orthonormal basis of the projection
    lower: float  # proven lower end of the worst level; the level of `basis` where exact
    exact: bool  # whether no single projection does better, to 1e-9
    method: str  # algorithm that found it, in words
    steps: int  # sign patterns, levels and descents tried


def best_single(
    problem: MinMax,
    mixture: Mixture,
    *,
    random_starts: int,
    seed: int,
    limit: int,
    descend: bool = True,
    near: Array | None = None,
) -> Single:
    """Minimise the worst level over single projections of rank `problem.width`, below the rank.

    Exact at width 1 (branch and bound over signs, up to `limit` nodes), at width rank - 1 of independent predictions
    (bisection, up to 20 tasks), for any number of tasks where the theorem's test gives the signs, and wherever the
    proven lower end of the best mixture is met. Otherwise descents, `random_starts` of them from random projections,
    give the upper end of a bracket. `descend` lets a few go before an exact search, where they save nodes. `near` is
    the basis of a similar problem's best single projection, from which descents then start.
    """
    # at width 1 the sign patterns of few tasks are compared faster than one descent is made
    quick = not descend or (problem.width == 1 and problem.tasks <= QUICK)
    basis, lower, steps = search(problem, mixture, random_starts=1, seed=seed, descend=not quick, near=near)
    level = problem.worst(basis)
    if level - lower <= MEETING:
        return Single(basis, level, True, "the best mixture is a single model", steps)
    held = condition(problem.factor.T @ problem.factor, problem.width)
    signs = held.signs if held.status == "holds" else None
    independent = problem.rank == problem.tasks and held.status != "undetermined"
    if problem.width == 1:
        basis, nodes, complete = width_one(problem, basis, signs=signs, limit=limit)
        steps += nodes
        if complete:
            words = "the sign pattern of the theorem" if signs else f"all sign patterns, in {nodes} nodes"
            return Single(basis, problem.worst(basis), True, f"least-distance problems over {words}", steps)
    elif independent and problem.width == problem.rank - 1 and (signs or problem.tasks <= LARGEST_COMPLEMENT):
        basis, levels = complement_one(problem, basis, signs=signs)
        words = "the sign pattern of the theorem" if signs else f"2^{problem.tasks - 1} sign patterns"
        return Single(basis, problem.worst(basis), True, f"bisection on the level over {words}", steps + levels)
    tried = None if quick else (basis, 1)
    found, lower, more = search(problem, mixture, random_starts=random_starts, seed=seed, after=tried, near=near)
    basis, steps = min(basis, found, key=problem.worst), steps + more
    level = problem.worst(basis)
    if level - lower <= MEETING:
        return Single(basis, level, True, "the ends of a bracket meet", steps)
    return Single(basis, lower, False, f"between the best mixture and the best of {steps} descents", steps)
