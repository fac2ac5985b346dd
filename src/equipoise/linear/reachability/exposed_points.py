r"""Is a supported point exposed: do some weights have it as their only optimum? Decided, not judged at one weight.

Let e be supported, W the convex cone of all weights that have e among their optima, and P a mixture with e(P) >= e, as
`reach` finds it. For every w in W the members of P are optimal too (w . e = h_q(w) >= w . e(P) >= w . e). So:

* a member whose energies differ from e is an optimum of **every** w in W: then e is not exposed;
* otherwise e is the point of one model, an orthonormal basis U with complement V, and with M(w) = R diag(w) R^T

  .. math:: W = \{ w \ge 0 : V^\top M(w) U = 0, \; \lambda_{min}(U^\top M(w) U) \ge \lambda_{max}(V^\top M(w) V) \}.

  U is the only optimum of w exactly where the difference of the two eigenvalues is positive. The equations are linear
  in w and the difference is concave, so its maximum over W is found by cutting planes, each a linear program, with a
  bound from above: positive means exposed, 0 means that all supporting weights leave a choice.

Exposed speaks of models: the weights have one optimal P. Both answers hold to the tolerances of `reach` and of ties.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import null_space
from scipy.optimize import linprog

from ..minmax.grassmann import complement
from ..minmax.problem import Array
from ..optima.weighted_sum import TIE, optimum
from ..problem.gramian import factor
from .reach import Reach

__all__ = ["exposing_weights"]

_LINEAR = 1e-8
"""Singular values of the equations below this are rounding; their entries are of the order 1."""
_CUTS = 200
_MATTERS = 0.01
"""A member of the mixture with a smaller probability may be rounding."""


def exposing_weights(gramian: Array, width: int, captured: Array, found: Reach) -> tuple[bool | None, Array]:
    """Whether some weights have this point as their only optimum, and such weights.

    `gramian` is checked already, and `found` is the answer of `reach` for energies `captured` (k,) that it calls
    reachable.

    Returns:
        True and exposing weights; False and supporting weights; None where neither is proved: the cutting planes did
        not finish, or beyond 10 tasks the one model of the point is not known.

    Example:
        >>> from .reach import reach
        >>> corner = np.array([1.0, 0.0])
        >>> exposing_weights(np.eye(2), 1, corner, reach(np.eye(2), 1, corner))[0]
        True
    """
    energy = np.diag(gramian)
    active = energy > 0
    scale = np.where(active, energy, 1.0)
    # the distance of a unique optimum goes as the root of the tolerance on its value
    radius = 10 * float(np.sqrt(found.tolerance))

    def apart(energies: Array) -> float:
        return float(np.max(np.abs(energies - captured) / scale))

    forward, _ = factor(gramian)
    if width >= len(forward):
        return apart(energy) <= radius, np.where(active, 1.0, 0.0) / float(energy.sum())
    unit = forward / np.sqrt(scale)  # unit columns; weights below are of the tasks in units of their energy
    here = optimum(gramian, found.weights, width)
    if apart(here.captured) <= radius and _gap(unit, found.weights * scale, width) > TIE:
        return True, found.weights
    for probability, energies in zip(found.mixture, found.members, strict=True):
        if probability >= _MATTERS and apart(energies) > radius:
            return False, found.weights
    member = optimum(gramian, found.member_weights[int(np.argmax(found.mixture))], width)
    basis = forward @ member.directions
    if apart(member.captured) > radius or basis.shape[1] < width:
        return None, found.weights
    largest, weights = _widest_gap(unit[:, active], basis)
    if largest is None or weights is None:
        return largest, found.weights
    full = np.zeros(len(energy))
    full[active] = weights / energy[active]
    return largest, full


def _gap(unit: Array, weights: Array, width: int) -> float:
    """Relative eigengap of the weighted energy after `width` eigenvalues."""
    values = np.linalg.eigvalsh((unit * weights) @ unit.T)[::-1]
    return float((values[width - 1] - values[width]) / values[0]) if values[0] > 0 else 0.0


def _widest_gap(unit: Array, basis: Array) -> tuple[bool | None, Array | None]:
    """Whether weights on the simplex have `basis` as their only optimum, and weights that have."""
    tasks = unit.shape[1]
    rest = complement(basis)
    inner, outer = basis.T @ unit, rest.T @ unit
    equations = np.einsum("ai,bi->abi", outer, inner).reshape(-1, tasks)
    free: NDArray[np.float64] = null_space(equations, rcond=_LINEAR / max(1.0, float(np.linalg.norm(equations, 2))))
    if not free.shape[1]:
        return None, None
    cuts: list[Array] = []
    upper = 1.0
    for _ in range(_CUTS):
        solved = linprog(
            np.append(np.zeros(free.shape[1]), -1.0),
            A_ub=np.vstack([np.hstack([-free, np.zeros((tasks, 1))]), *(np.append(-cut @ free, 1.0) for cut in cuts)]),
            b_ub=np.zeros(tasks + len(cuts)),
            A_eq=np.append(free.sum(axis=0), 0.0)[None],
            b_eq=[1.0],
            bounds=[(None, None)] * free.shape[1] + [(None, 1.0)],
            method="highs",
        )
        if solved.status != 0 or solved.x is None:
            return None, None
        upper = float(solved.x[-1])
        weights = np.clip(free @ solved.x[:-1], 0.0, None)
        least, within = np.linalg.eigh((inner * weights) @ inner.T)
        most, without = np.linalg.eigh((outer * weights) @ outer.T)
        if least[0] - most[-1] > TIE * max(float(least[-1]), float(most[-1])):
            return True, weights
        if upper <= TIE / tasks:
            return False, weights
        cuts.append((within[:, 0] @ inner) ** 2 - (without[:, -1] @ outer) ** 2)
    return None, None
