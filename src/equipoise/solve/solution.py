"""What every solver returns: a value, a status and a certificate."""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from ..errors import EquipoiseError

__all__ = ["Solution", "Status"]


class Status(StrEnum):
    """The outcome of a solve. The members are the sentences that a user reads; they are counted by name."""

    SOLVED = "solved"
    STATIONARY = "the point is Pareto stationary: no direction lowers every loss to first order"
    NOTHING_SHARED = "no parameter is shared by two tasks here: nothing to balance, each task follows its own gradient"
    RANK_DEFICIENT = "the gradients are linearly dependent: these are the weights of least norm"
    NO_SOLUTION = "the method's equation has no solution here: the direction is zero"
    NEGATIVE_PROJECTION = "the common projection is negative: along this direction every loss rises"
    ITERATION_LIMIT = "stopped at the iteration limit: see the certificate"
    PROMISE_BROKEN = "rounding hides the solution: no direction that keeps the method's promise was found"

    @property
    def ok(self) -> bool:
        """Whether the value solves the problem that was asked (a stationary point does)."""
        return self in _OK


_OK = frozenset({Status.SOLVED, Status.STATIONARY, Status.NOTHING_SHARED, Status.RANK_DEFICIENT})


@dataclass(frozen=True, eq=False)
class Solution:
    """The answer of a solver.

    Attributes:
        value: The unknowns, float64, never NaN when ``status.ok``.
        status: What became of the solve, as a sentence.
        certificate: Relative residual of the optimality conditions (KKT residual or duality gap, without unit;
            which one, the solver's docstring says). Zero is exact.
        iterations: Steps taken, 0 for a closed form.

    Example:
        >>> Solution(np.array([0.5, 0.5]), Status.SOLVED, certificate=1e-16, iterations=1).status.ok
        True
    """

    value: NDArray[np.float64]
    status: Status
    certificate: float
    iterations: int = 0

    def __post_init__(self) -> None:
        if self.status in _OK and not np.isfinite(self.value).all():
            raise EquipoiseError(f"a solver returned {self.value} with status '{self.status}': this is our error")
