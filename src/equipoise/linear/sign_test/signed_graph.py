"""Signed graphs: can every task be flipped or kept so that all correlations become non-negative?

Nodes are tasks, edges carry the sign of a correlation. Flips exist exactly when no cycle has a negative
product of signs (Harary, 1953). All routines take the whole matrix and cost O(k^2), the shortest cycle
O(k^2) a start.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import breadth_first_order

from ...core.numbers import Array

__all__ = ["colouring", "conflict_margin", "shortest_conflict"]

Signs = NDArray[np.int64]

_ROUNDING = 1e-12


def colouring(matrix: Array, threshold: float) -> Signs:
    """Signs (+1 or -1 a node) that agree with every edge of a maximum spanning forest.

    The forest is grown by Prim's rule on |m_ij| of a symmetric matrix, without edges at or below the threshold; the
    first node of every component gets +1. If any flips make all edges non-negative, these do.

    Example:
        >>> colouring(np.array([[1, -0.5, 0], [-0.5, 1, 0.2], [0, 0.2, 1]]), 0.0).tolist()
        [1, -1, -1]
    """
    count = len(matrix)
    size = np.abs(matrix)
    signs = np.ones(count, dtype=np.int64)
    best = np.zeros(count)
    parent = np.full(count, -1)
    waiting = np.ones(count, dtype=bool)
    for _ in range(count):
        node = int(np.argmax(np.where(waiting, best, -1.0)))
        waiting[node] = False
        if parent[node] >= 0:
            signs[node] = signs[parent[node]] * (1 if matrix[node, parent[node]] > 0 else -1)
        closer = waiting & (size[node] > threshold) & (size[node] > best)
        best[closer] = size[node][closer]
        parent[closer] = node
    return signs


def conflict_margin(matrix: Array, signs: Signs, threshold: float) -> float:
    """The largest tau for which the edges |m_ij| >= tau are still in conflict; 0 if nothing is.

    It is the maximum over conflict cycles of their weakest edge. `signs` come from a maximum spanning
    forest, so every edge above tau agrees with them, and the strongest edge that does not is tau: the first
    conflict that Kruskal's algorithm with parities would meet.

    Example:
        >>> frustrated = np.array([[1, -0.3, -0.4], [-0.3, 1, -0.5], [-0.4, -0.5, 1]])
        >>> conflict_margin(frustrated, colouring(frustrated, 0.0), 0.0)
        0.3
    """
    against = -np.triu(matrix * np.outer(signs, signs), 1)
    worst = float(against.max(initial=0.0))
    return worst if worst > threshold else 0.0


def shortest_conflict(matrix: Array, signs: Signs, margin: float) -> tuple[int, ...]:
    """A conflict cycle with the fewest nodes among those whose edges are all of size `margin` or more.

    A closed walk with negative product is a path from (i, +) to (i, -) in the signed double cover (two
    copies of the graph, negative edges cross over); the shortest of all is a simple cycle. Every conflict
    cycle has an edge that disagrees with `signs`, so the searches start at those edges only.

    Returns:
        The nodes in order around the cycle, the least one first; empty if nothing is in conflict.

    Example:
        >>> frustrated = np.array([[1, -0.3, -0.4], [-0.3, 1, -0.5], [-0.4, -0.5, 1]])
        >>> shortest_conflict(frustrated, colouring(frustrated, 0.0), 0.3)
        (0, 1, 2)
    """
    if margin <= 0:
        return ()
    # switched by the signs, the graph is the same whichever way the tasks were flipped to begin with
    matrix = matrix * np.outer(signs, signs)
    strong = np.abs(matrix) >= margin * (1 - _ROUNDING)
    np.fill_diagonal(strong, val=False)
    same, other = strong & (matrix > 0), strong & (matrix < 0)
    cover, count = csr_array(np.block([[same, other], [other, same]])), len(matrix)
    best: tuple[int, ...] = ()
    for start in np.unique(np.argwhere(np.triu(other, 1))[:, 0]).tolist():
        _, previous = breadth_first_order(cover, start)
        cycle, node = [], int(previous[start + count])
        while node >= 0:
            cycle.append(node % count)
            node = int(previous[node])
        if cycle and (not best or len(cycle) < len(best)):
            best = tuple(cycle)
        if len(best) == 3:
            break
    return _turned(best)


def _turned(cycle: tuple[int, ...]) -> tuple[int, ...]:
    """The same cycle from its least node, towards the smaller neighbour: one spelling for one cycle."""
    if not cycle:
        return ()
    at = cycle.index(min(cycle))
    turned = cycle[at:] + cycle[:at]
    return turned if turned[1] < turned[-1] else (turned[0], *turned[:0:-1])
