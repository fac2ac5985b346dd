"""Descent over models that weights can reach: the worst level minimised over pairs of weights and their optimum.

The optimum of a weighted sum jumps where two eigenvalues meet, so descent over weights alone stops short of the best
ones, which typically lie exactly there. Pairs (weights, model) have no such jump. With M = A diag(w) A^T, U the model
and V its complement, U is an optimum of w exactly when

    V^T M U = 0   and   least eigenvalue of U^T M U >= largest eigenvalue of V^T M V,

smooth conditions also at the meeting, where the model may be any member of the tied set.
"""

from dataclasses import dataclass

import numpy as np
from scipy.linalg import eigh

from ..minmax.grassmann import LARGEST_POLISH, chart, complement, slsqp
from ..minmax.problem import Array, MinMax
from .weighted_sum import TIE

__all__ = ["Pair", "descend", "settled"]

LEAST = 1e-7
"""Least share of a weight: with a weight of 0 the weighted sum has optima that are not Pareto-optimal."""


@dataclass(frozen=True, eq=False)
class Pair:
    """Weights and one of their optima."""

    weights: Array  # (k,) weights of the captured shares, sum 1
    basis: Array  # (r, q) orthonormal basis of the optimum
    level: float  # worst level of `basis`
    tied: bool  # whether `basis` is one of a set of optima


def settled(problem: MinMax, weights: Array, near: Array | None = None) -> Pair:
    """The optimum of these weights; where eigenvalues tie, the member of the tied set nearest to `near`."""
    values, vectors = np.linalg.eigh(problem.energy(weights))
    values, vectors = values[::-1], vectors[:, ::-1]
    width = problem.width
    tied = bool(values[width - 1] - values[width] <= TIE * values[0])
    basis = vectors[:, :width]
    if tied and near is not None:
        group = np.abs(values - values[width - 1]) <= TIE * values[0]
        fixed = vectors[:, : int(np.argmax(group))]
        inside = vectors[:, group]
        turned = np.linalg.svd(inside.T @ near)[0][:, : width - fixed.shape[1]]
        basis = np.hstack([fixed, inside @ turned])
    return Pair(weights, basis, problem.worst(basis), tied)


def descend(problem: MinMax, weights: Array, basis: Array) -> tuple[Pair, int]:
    """A local optimum over pairs, by sequential quadratic programming (SLSQP) with exact derivatives.

    The start `basis` (r, q) need not be an optimum of the start `weights` (k,), which are not negative.

    Returns:
        The pair, settled (so that it is an optimum of its weights to 1e-8 of the largest eigenvalue, however the
        descent ended), and the number of eigen-decompositions. Above `LARGEST_POLISH` unknowns the start is settled.
    """
    width, rest = problem.width, complement(basis)
    shape = (problem.rank - width, width)
    cells, tasks = shape[0] * shape[1], problem.tasks
    start = np.maximum(weights / weights.sum(), LEAST)
    if 1 + tasks + cells > LARGEST_POLISH:
        return settled(problem, start, basis), 1
    solves = 0
    unit = np.zeros(1 + tasks + cells)
    unit[0] = 1.0
    one = np.zeros(1 + tasks + cells)
    one[1 : 1 + tasks] = 1.0

    def frames(point: Array) -> tuple[Array, Array, Array]:
        turn = point[1 + tasks :].reshape(shape)
        return problem.energy(point[1 : 1 + tasks]), basis + rest @ turn, rest - basis @ turn.T

    def slack(point: Array) -> Array:
        captured, _ = chart(problem, basis, rest, point[1 + tasks :].reshape(shape))
        return np.asarray(point[0] - problem.levels(captured), dtype=np.float64)

    def slack_slope(point: Array) -> Array:
        _, slope = chart(problem, basis, rest, point[1 + tasks :].reshape(shape))
        return np.hstack([np.ones((tasks, 1)), np.zeros((tasks, tasks)), slope / problem.pace[:, None]])

    def mixed(point: Array) -> Array:
        energy, inner, outer = frames(point)
        return np.append((outer.T @ energy @ inner).ravel(), one @ point - 1.0)

    def mixed_slope(point: Array) -> Array:
        energy, inner, outer = frames(point)
        by_turn = np.kron(outer.T @ energy @ rest, np.eye(width))
        by_turn -= np.kron(np.eye(shape[0]), (basis.T @ energy @ inner).T)
        by_weight = np.einsum("ai,bi->abi", outer.T @ problem.factor, inner.T @ problem.factor)
        slope = np.hstack([np.zeros((cells, 1)), by_weight.reshape(cells, tasks), by_turn])
        return np.vstack([slope, one])

    def edges(point: Array) -> tuple[float, Array, float, Array, Array, Array, Array]:
        """The two eigenvalues that must not cross, with their vectors inside and outside the frames."""
        nonlocal solves
        solves += 1
        energy, inner, outer = frames(point)
        least, within = eigh(inner.T @ energy @ inner, inner.T @ inner)
        most, without = eigh(outer.T @ energy @ outer, outer.T @ outer)
        low, high = within[:, 0], without[:, -1]
        return float(least[0]), low, float(most[-1]), high, inner @ low, outer @ high, energy

    def order(point: Array) -> float:
        least, _, most, *_ = edges(point)
        return least - most

    def order_slope(point: Array) -> Array:
        least, low, most, high, inside, outside, energy = edges(point)
        by_weight = (inside @ problem.factor) ** 2 - (outside @ problem.factor) ** 2
        by_turn = np.outer(rest.T @ (energy @ inside - least * inside), low)
        by_turn += np.outer(high, basis.T @ (energy @ outside - most * outside))
        return np.concatenate([[0.0], by_weight, 2.0 * by_turn.ravel()])

    first = np.concatenate([[problem.worst(basis)], start, np.zeros(cells)])
    bounds: list[tuple[float | None, float | None]] = [(None, None)]
    found = slsqp(
        lambda point: float(point[0]),
        lambda point: unit,
        first,
        bounds + [(LEAST, 1.0)] * tasks + [(-4.0, 4.0)] * cells,
        [
            {"type": "ineq", "fun": slack, "jac": slack_slope},
            {"type": "eq", "fun": mixed, "jac": mixed_slope},
            {"type": "ineq", "fun": order, "jac": order_slope},
        ],
        iterations=150,
        tolerance=1e-13,
    )
    if found is None:
        return settled(problem, start, basis), solves + 1
    near = np.linalg.qr(basis + rest @ found[1 + tasks :].reshape(shape))[0]
    reached = np.maximum(found[1 : 1 + tasks], LEAST)
    return settled(problem, reached / reached.sum(), near), solves + 1
