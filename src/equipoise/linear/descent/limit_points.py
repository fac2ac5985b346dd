"""Where descent methods end, from many starts: Pareto-stationary, Pareto-optimal, or out of reach of all weights."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from ...errors import SettingError
from ..minmax.problem import Array
from ..problem.gramian import checked_gramian, checked_width
from ..reachability.pareto import ParetoStatus, pareto_test
from ..reachability.reach import SupportPool, reach_with
from .mgda_ub import checked_rest, run_starts

__all__ = ["EndPoint", "EndPoints", "end_points"]

SAME = 1e-4
"""Ends whose captured energies differ by less than this share of diag(G) are the same model."""


@dataclass(frozen=True, eq=False)
class EndPoint:
    """The end of one run.

    Attributes:
        seed: Seed of the run's start.
        losses: (k,) losses at the end.
        captured: (k,) captured energies at the end.
        stationary: Whether it is Pareto-stationary to the run's tolerance.
        pareto: ``optimal``, ``dominated`` by another single model, or ``undetermined``.
        dominated_by: Amount by which one model improves every task at once, in shares of diag(G).
        lead: Amount by which a mixture improves every task at once (delta of `reach`).
        reachable: Whether some weights have it among their optima; None where undetermined.
        saddle_index: Saddle index of the weighted sum with the run's final weights: 0 at its optimum. Above 0, training
            on with these weights fixed leaves the point.
        rises: Steps after which some loss was higher (0 for MGDA).
        steps: Number of steps taken.
    """

    seed: int
    losses: Array
    captured: Array
    stationary: bool
    pareto: ParetoStatus
    dominated_by: float
    lead: float
    reachable: bool | None
    saddle_index: int
    rises: int
    steps: int

    @property
    def out_of_reach(self) -> bool:
        """Pareto-optimal, and no weights reach it: the point that an argument against weighted sums needs."""
        return self.pareto == "optimal" and self.reachable is False


@dataclass(frozen=True, eq=False)
class EndPoints:
    """All runs of one method.

    Attributes:
        method: Method that was run, ``MGDA`` or ``MGDA-UB``.
        ends: End points, one a start.
    """

    method: Literal["MGDA", "MGDA-UB"]
    ends: tuple[EndPoint, ...]

    @property
    def stationary(self) -> int:
        """Runs that ended Pareto-stationary."""
        return sum(end.stationary for end in self.ends)

    @property
    def optimal(self) -> int:
        """Runs that ended Pareto-optimal."""
        return sum(end.pareto == "optimal" for end in self.ends)

    @property
    def out_of_reach(self) -> int:
        """Runs that ended Pareto-optimal where no weights lead."""
        return sum(end.out_of_reach for end in self.ends)

    @property
    def distinct(self) -> int:
        """Number of different ends."""
        kept: list[Array] = []
        for end in self.ends:
            if not any(np.max(np.abs(end.captured - other)) <= SAME * np.max(other) for other in kept):
                kept.append(end.captured)
        return len(kept)


def end_points(
    gramian: ArrayLike,
    unexplained: ArrayLike,
    width: int,
    method: Literal["MGDA", "MGDA-UB"] = "MGDA",
    *,
    seeds: Sequence[int] = tuple(range(20)),
    dimensions: int | None = None,
    tolerance: float = 1e-5,
) -> EndPoints:
    """Run MGDA or MGDA-UB with a fixed step from random starts and judge every end.

    An end is evidence against weighted sums only where it is Pareto-*optimal* and unreachable; a Pareto-stationary
    point may well be dominated by another single model, in every task.

    Args:
        gramian: (k, k) G. Runs depend on the tasks' units, judgements do not.
        unexplained: (k, k) second moments of the unexplained parts, or their diagonal (k,).
        width: Shared width q >= 1.
        method: Method to run.
        seeds: One start is drawn from each seed.
        dimensions: Dimension of the space in which the starts are drawn, as for `mgda_ub`: the rank of the inputs
            starts as training does. Default: the rank of G; a random model there is Pareto-stationary more often than
            not.
        tolerance: Smallest lead that counts, in shares of diag(G). The ends are found to about the root of the runs'
            own tolerance, so nothing finer would be true.

    Raises:
        GramianError, SettingError: As `mgda` and `mgda_ub`.

    Example:
        >>> found = end_points([[1.0, 0.6], [0.6, 1.0]], [0.0, 0.0], 1, seeds=range(4), dimensions=5)
        >>> found.stationary, found.optimal, found.out_of_reach
        (4, 2, 0)
    """
    matrix, width = checked_gramian(gramian), checked_width(width)
    rest = checked_rest(unexplained, len(matrix))
    if method not in {"MGDA", "MGDA-UB"}:
        raise SettingError(f"method must be 'MGDA' or 'MGDA-UB'; found {method!r}")
    pool = SupportPool(matrix, width)
    # residuals projected on the inputs: the features' gradients and the weights' then have the same min-norm point
    kept = np.zeros_like(matrix) if method == "MGDA" else rest
    base = np.diag(rest) + np.diag(matrix)
    ends = []
    for seed, path in zip(seeds, run_starts(matrix, kept, width, seeds=seeds, dimensions=dimensions), strict=True):
        judged = pareto_test(matrix, width, path.captured, tolerance=tolerance, random_starts=2)
        lead = reach_with(pool, path.captured, tolerance=tolerance)
        ends.append(
            EndPoint(
                seed=seed,
                losses=base - path.captured,
                captured=path.captured,
                stationary=path.status.ok,
                pareto=judged.status,
                dominated_by=max(judged.lead, 0.0),
                lead=lead.lower,
                reachable=lead.reachable,
                saddle_index=path.saddle_index,
                rises=path.rises,
                steps=path.steps,
            )
        )
    return EndPoints(method, tuple(ends))
