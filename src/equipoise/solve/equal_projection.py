"""The direction with the same projection on every unit gradient."""

from dataclasses import dataclass, field

import numpy as np

from ..core.numbers import Array
from .min_norm import hull_holds_zero
from .nnls import solve_positive
from .solution import Solution, Status
from .unsquared import UnitColumns

__all__ = ["EqualProjection", "equal_projection"]

_EPS = float(np.finfo(np.float64).eps)
_KNOWN = 1e-7  # how much of a direction, or of what it is divided by, rounding may be
_REGULAR = 1e-5  # pivots depend on the order of the tasks: above this, the cosines' digits suffice in any order
_SHORTEST = 2.0**-24  # of the singular values of unit columns: below, weights are too large to be mixed in float64


@dataclass(frozen=True, eq=False)
class EqualProjection(Solution):
    r"""The solution, and how well it is known.

    Attributes:
        length: Length of the direction :math:`\sum_i b_i u_i`.
        projections: C b, (k,).
        total: :math:`\sum_i s_i b_i` for the scales that were given; 0 where rounding may be more than 1e-7 of it, so
            that one must not divide by it.
    """

    length: float = 0.0
    projections: Array = field(default_factory=lambda: np.zeros(0))
    total: float = 0.0


def _known_sum(terms: Array, doubt: float) -> float:
    """The sum of terms that rounding may move by `doubt`, and each by eps; 0 where that may be more than 1e-7 of it."""
    total = float(np.add.reduce(terms))
    doubt += _EPS * float(np.add.reduce(np.abs(terms)))
    return total if doubt < _KNOWN * abs(total) else 0.0


def equal_projection(cosines: Array, factor: Array | None = None, *, scales: Array | None = None) -> EqualProjection:
    r"""Coefficients b on the unit gradients whose sum has projection one on each of them.

    .. math:: C b = 1, \qquad b = C^+ 1

    ``total`` is computed for the `scales` s, (k,), ones by default: where the cosines do not tell it, `factor` is
    asked.

    Returns:
        b, (k,). ``certificate`` is :math:`\max_i |(C b)_i - 1|`. Dependent gradients (singular values of the unit
        gradients below sqrt(8 k eps) of the largest, with `factor` below 2^-24) take the pseudo-inverse, and the
        certificate tells how unequal the projections are, since then no b may satisfy all of them. Where as many unit
        gradients point one way as the other, no direction is favoured: b is exactly zero, and nothing made by rounding.

    Cost:
        O(k^3); 0.02 ms for k = 10, 0.2 ms for k = 100.

    Source:
        Liu et al. (2021), IMTL-G; Liu et al. (2024), arXiv:2408.11104, eq. 2: both solve this system. They form it in
        single precision from raw norms; we form it from cosines.

    Example:
        >>> equal_projection(np.array([[1.0, 0.5], [0.5, 1.0]])).value
        array([0.66666667, 0.66666667])
    """
    k = len(cosines)
    ones = np.ones(k)
    system = solve_positive(cosines, ones)
    if system is not None and system[1] > _REGULAR:
        value: Array = system[0]
        projections = cosines @ value
        residual = float(np.abs(projections - 1).max())
        terms = value if scales is None else scales * value
        total = _known_sum(terms, k * _EPS / system[1] * float(np.add.reduce(np.abs(terms))))
        if total or scales is None or factor is None:
            length = float(value @ projections) ** 0.5
            return EqualProjection(value, Status.SOLVED, residual, 0, length, projections, total)
    stationary = hull_holds_zero(cosines)
    if factor is None:
        squares, vectors = np.linalg.eigh(cosines)
        singular, rows = np.sqrt(np.maximum(squares[::-1], 0.0)), vectors.T[::-1]
        least = float(np.sqrt(8 * k * _EPS))
    else:
        _, singular, rows = np.linalg.svd(UnitColumns.of(cosines, factor).columns, full_matrices=False)
        least = _SHORTEST
    kept = singular > least * singular[0]
    singular, basis = singular[kept], rows[kept].T
    shares, rounding = basis.T @ ones, 8 * k * _EPS
    lengths = shares / singular
    length = float(np.sqrt(lengths @ lengths))
    if rounding * float(np.sqrt((1 / singular**2).sum())) > _KNOWN * length:
        shares = np.zeros_like(shares)  # as many point one way as the other: what is left is rounding
        length = 0.0
    value = basis @ (shares / singular**2)
    if factor is None:  # never shorter than the truth, which the cosines hide
        length = float(np.hypot(length, np.sqrt(k * _EPS * float(value @ value))))
    projections = basis @ shares
    scales = ones if scales is None else scales
    total = _known_sum(scales * value, rounding * float(np.abs((scales @ basis) / singular**2).sum()))
    status = Status.SOLVED if kept.sum() == k else Status.RANK_DEFICIENT
    return EqualProjection(
        value,
        Status.STATIONARY if stationary else status,
        float(np.abs(projections - 1).max()),
        0,
        length,
        projections,
        total,
    )
