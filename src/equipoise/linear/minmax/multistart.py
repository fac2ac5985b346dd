"""The Tchebycheff point between its ends, where no exact method is known: 1 < width < rank - 1, or too many signs.

The lower end is the best mixture (a semidefinite programme, certified by duality), the upper end the best of many
descents over projections. Where the ends meet, the answer is exact after all.
"""

import numpy as np

from .fantope import Mixture
from .grassmann import anneal, multipliers
from .problem import Array, MinMax

__all__ = ["MEETING", "search"]

MEETING = 1e-9
"""Ends closer than this, in units of the worst level of the empty model, have met."""


def search(
    problem: MinMax,
    mixture: Mixture,
    *,
    random_starts: int = 8,
    seed: int = 0,
    enough: float | None = None,
    after: tuple[Array, int] | None = None,
    descend: bool = True,
    near: Array | None = None,
) -> tuple[Array, float, int]:
    """The best single projection found, from the mixture's, scalarised and random starts.

    Starts: the top eigenvectors of the mixture, its members, the optimum of its dual weights, of equal weights and of
    weights that equalise the demands, then `random_starts` seeded random projections. Each is annealed (smooth worst
    level, L-BFGS) and polished (sequential quadratic programming), or, without `descend`, taken as it is. The search
    stops at the level `enough`, by default the mixture's proven lower end plus `MEETING`. `after` is the basis that an
    earlier call with the same seed found, and its `random_starts`: its starts are not tried again. With `near`, the
    basis of a similar problem's best, the starts are that one and the optimum of the mixture's dual weights.

    Returns:
        Basis (r, q), a proven lower end (the mixture's, or a sharper one from the point's own multipliers), and the
        number of descents.
    """
    goal = mixture.lower + MEETING if enough is None else enough
    generator = np.random.default_rng(seed)
    starts = mixture.models()
    if near is not None:
        starts, random_starts = [near, problem.top(mixture.dual)[0]], 0
    else:
        starts += [problem.top(weights)[0] for weights in (mixture.dual, np.ones(problem.tasks), 1.0 / problem.pace)]
        shape = (problem.rank, problem.width)
        starts += [np.linalg.qr(generator.standard_normal(shape))[0] for _ in range(random_starts)]
    best, level, descents = starts[0], problem.worst(starts[0]), 0
    if after is not None:
        best, level = after[0], problem.worst(after[0])
        starts = starts[len(starts) - random_starts + after[1] :] if near is None else []
    for start in starts:
        if level <= goal:
            break
        found, made = anneal(problem, start) if descend else (start, 0)
        descents += made
        reached = problem.worst(found)
        if reached < level:
            best, level = found, reached
    own = problem.bound(multipliers(problem, np.ones(1), best[None]))
    return best, min(max(mixture.lower, own), level), descents
