"""The linear program behind every question about mixtures of a pool of models.

With L (m, k) the losses of m models and a in the simplex the probabilities of a mixture, its expected losses are a^T L.
Every preference here is of the form

    minimise  cost . (a^T L) + t      subject to   (a^T L)_i - pace_i t <= ceiling_i  for all i,   a in the simplex.

The dual prices p >= 0 of the rows prove the optimum: with w = cost + p, no model of the pool has a smaller w . L than
the members of the optimal mixture, so w is the weighted sum that a further model would have to lower.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import combinations
from math import comb

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linprog

from ...core.numbers import Array
from ...errors import EquipoiseError

__all__ = ["Program", "Vertex"]


FEASIBLE = 1e-9
"""Tolerances of the linear programs, in units of the losses' spread."""

TIGHT = 1e-7
"""A model whose reduced cost is below this (in units of the losses' spread) may be part of an optimal mixture."""

MOST_PROGRAMS = 400
"""Subsets tried in the search for a smaller support."""


@dataclass(frozen=True, eq=False)
class Vertex:
    """A basic optimum of the program."""

    shares: Array  # (m,) probabilities of the models
    value: float  # optimum: cost . expected + t
    level: float  # t, 0 where the program has none
    normal: Array  # (k,) w = cost + prices, non-negative: the weighted sum that proves the optimum
    least_support: bool  # whether no optimal mixture of fewer models exists (proved by trying all)


@dataclass(frozen=True, eq=False)
class Program:
    """One linear program over the mixtures of a pool."""

    losses: Array  # (m, k), finite, in units in which their spread is about 1
    cost: Array  # (k,) non-negative weights of the expected losses in the objective
    pace: Array | None  # (k,) non-negative, or None for a program without t
    ceiling: Array  # (k,), inf where a loss is not limited
    # A proven lower end of t. With losses over many powers of ten the solver may call the program unbounded without
    # it
    floor: float | None = None
    tolerance: float = FEASIBLE  # tolerance of the solver, in units of the losses; at least 1e-10

    @classmethod
    def least_level(cls, levels: Array, tolerance: float = FEASIBLE) -> Program:
        """The program that minimises the largest coordinate of a mixture of `levels`, (m, k); it is always feasible."""
        k = levels.shape[1]
        return cls(levels, np.zeros(k), np.ones(k), np.zeros(k), tolerance=tolerance)

    def solve(self) -> Vertex | None:
        """A basic optimum whose support is as small as could be found; None where the program is infeasible."""
        found = self._over(np.arange(len(self.losses)))
        if found is None:
            return None
        shares, least = self._thinned(found.shares, found.value, found.normal)
        return replace(found, shares=shares, least_support=least)

    def vertex(self) -> Vertex:
        """A basic optimum of a program that is feasible, without the search for a smaller support."""
        found = self._over(np.arange(len(self.losses)))
        if found is None:
            raise EquipoiseError("a linear program without limits has no solution: this is our error")
        return found

    def _over(self, members: NDArray[np.intp]) -> Vertex | None:
        """The optimum over these members; None where infeasible."""
        pool = self.losses[members]
        rows = np.isfinite(self.ceiling)
        system, costs = pool.T[rows], pool @ self.cost
        bounds: list[tuple[float | None, float | None]] = [(0.0, None)] * len(pool)
        total = np.ones((1, len(pool)))
        if self.pace is not None:
            system = np.hstack([system, -self.pace[rows, None]])
            costs, total = np.append(costs, 1.0), np.append(total, [[0.0]], axis=1)
            bounds = [*bounds, (self.floor, None)]
        for method in ("highs-ds", "highs-ipm"):  # the first calls some programs unbounded that have a floor
            solved = linprog(
                costs,
                A_ub=system if rows.any() else None,
                b_ub=self.ceiling[rows] if rows.any() else None,
                A_eq=total,
                b_eq=[1.0],
                bounds=bounds,
                method=method,
                options={"primal_feasibility_tolerance": self.tolerance, "dual_feasibility_tolerance": self.tolerance},
            )
            if solved.status in (0, 2):
                break
        if solved.status == 2:
            return None
        if solved.status != 0 or solved.x is None:
            raise EquipoiseError(f"the linear program of a mixture ended with '{solved.message}': this is our error")
        part = np.clip(solved.x[: len(pool)], 0.0, None)
        part[part < 1e-12] = 0.0
        shares = np.zeros(len(self.losses))
        shares[members] = part / part.sum()
        prices = np.zeros(len(self.ceiling))
        if rows.any():
            prices[rows] = np.clip(-np.asarray(solved.ineqlin.marginals), 0.0, None)
        level = float(solved.x[-1]) if self.pace is not None else 0.0
        return Vertex(shares, float(np.asarray(solved.fun)), level, self.cost + prices, least_support=False)

    def _thinned(self, shares: Array, value: float, normal: Array) -> tuple[Array, bool]:
        """The same value with fewer members, where all subsets of those that may take part can be tried.

        By complementary slackness an optimal mixture holds only models with the least normal . L.
        """
        count = int(np.count_nonzero(shares))
        if count <= 1:
            return shares, True
        priced = self.losses @ normal
        scale = max(float(normal.sum()), 1e-300)
        able = np.flatnonzero(priced <= priced.min() + TIGHT * scale)
        budget = MOST_PROGRAMS
        for size in range(1, count):
            if comb(len(able), size) > budget:
                return shares, False
            for subset in combinations(able.tolist(), size):
                budget -= 1
                smaller = self._over(np.array(subset))
                if smaller is not None and smaller.value <= value + 10 * self.tolerance * scale:
                    return smaller.shares, True
        return shares, True
