"""Check after the solve that an answer keeps what its method promises; else take another route, or fail.

A Gramian in float64 knows the square of a combination of unit gradients to eps times the square of the coefficients'
sizes. Where coefficients are large because gradients nearly cancel, a direction made of them may be rounding, whatever
the conditions of its problem say.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from ..core.numbers import Array
from .solution import Solution, Status

__all__ = ["Attempt", "first_kept", "known_at_size", "known_by_products", "length_at_most"]

_EPS = float(np.finfo(np.float64).eps)
_TOLERANCE = 1e-6
_UNKNOWN = 1e-10  # how much, of the unit gradients' square, rounding may move a square where the gradients are known
_UNKNOWABLE = 1e-7  # and where nothing but products is: a ridge would move it more


@dataclass(frozen=True, eq=False)
class Attempt:
    """A solution and by how much it misses what is promised."""

    solution: Solution  # what the route found
    # how much the direction is too long or opposes a gradient, for unit gradients and pulls of size one; inf where
    # rounding hides it
    miss: float


def known_by_products(pulls: Array, factor: Array | None = None) -> bool:
    """Whether the Gramian's rounding leaves a combination of unit gradients as it is, for a problem of size one.

    `pulls` are its coefficients, (k,) or rows of them. With a `factor` of the Gramian one can do better, so less is
    allowed.

    Example:
        >>> known_by_products(np.array([1.0, -0.5])), known_by_products(np.array([1e6, 1e6]))
        (True, False)
    """
    return known_at_size(float(np.add.reduce(np.abs(pulls), axis=-1).max()), factor)


def known_at_size(size: float, factor: Array | None = None) -> bool:
    """The same for a bound of the sum of the coefficients' sizes."""
    return _EPS * size * size <= (_UNKNOWABLE if factor is None else _UNKNOWN)


def length_at_most(gramian: Array, weights: Array, factor: Array | None = None) -> float:
    """The length of a combination of gradients, with what rounding may hide: one that is cut to it is never too long.

    Example:
        >>> length_at_most(np.diag([9.0, 16.0]), np.ones(2))
        5.0
    """
    sizes = float(np.abs(weights) @ np.sqrt(np.diagonal(gramian)))
    if not sizes > 0:
        return 0.0
    shares = weights / sizes
    if factor is not None:
        combined = factor @ shares
        return sizes * float(np.sqrt(combined @ combined))
    return sizes * float(np.sqrt(max(float(shares @ gramian @ shares), 0.0) + len(weights) * _EPS))


def first_kept(attempts: Iterable[Attempt], safe: Array) -> Solution:
    """The solution of the first route that keeps the promise to 1e-6; `safe`, ``PROMISE_BROKEN``, where none does.

    Attempts come from the fastest to the most careful; each is made when it is asked for.
    """
    least = np.inf
    for attempt in attempts:
        found = attempt.solution
        if attempt.miss <= _TOLERANCE and (found.status.ok or np.isfinite(found.value).all()):  # ok: finite already
            return found
        least = min(least, attempt.miss)
    return Solution(safe, Status.PROMISE_BROKEN, least)
