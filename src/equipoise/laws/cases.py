"""Inputs on which laws are checked: every kind of gradient that training produces, and some that it should not."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

__all__ = ["Case", "cancelling", "families", "family_names"]

Matrix = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Case:
    """One input.

    Attributes:
        name: Family, k and scale; enough to find it again together with the seed.
        jacobian: Gradients of the tasks, (k, n), float64.
        losses: Losses of the tasks, (k,), positive.
        earlier: Jacobians of two steps before this one, for methods with memory; none for a stored counter-example.
    """

    name: str
    jacobian: Matrix
    losses: Matrix
    earlier: tuple[Matrix, ...] = ()


def _columns(k: int) -> int:
    return max(60, 2 * k)


def _well(k: int, draw: np.random.Generator) -> Matrix:
    return draw.normal(size=(k, _columns(k)))


def _ill(k: int, draw: np.random.Generator) -> Matrix:
    left, _, right = np.linalg.svd(_well(k, draw), full_matrices=False)
    rows: Matrix = left * np.logspace(0, -3, k) @ right
    return rows


def _rank_deficient(k: int, draw: np.random.Generator) -> Matrix:
    rank = max(1, k // 2)
    return draw.normal(size=(k, rank)) @ draw.normal(size=(rank, _columns(k))) + draw.normal(size=_columns(k))


def _conflicting(k: int, draw: np.random.Generator) -> Matrix:
    rows = _well(k, draw)
    rows = rows - rows.mean(axis=0) if k > 1 else rows
    rows = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    pushed: Matrix = rows + 0.05 * draw.normal(size=_columns(k)) / np.sqrt(_columns(k))
    return pushed


def _nearly_opposite(k: int, draw: np.random.Generator) -> Matrix:
    signs = np.where(np.arange(k) % 2, -1.0, 1.0)
    return signs[:, None] * draw.normal(size=_columns(k)) + 1e-3 * draw.normal(size=(k, _columns(k)))


def _imbalanced(k: int, draw: np.random.Generator) -> Matrix:
    return _well(k, draw) * np.logspace(-3, 3, k)[:, None] if k > 1 else _well(k, draw)


def _zero_row(k: int, draw: np.random.Generator) -> Matrix:
    rows = _well(k, draw)
    rows[k // 2] *= 0.0 if k > 1 else 1.0
    return rows


def _stationary(k: int, draw: np.random.Generator) -> Matrix:
    rows = _well(k, draw)
    return rows - rows.mean(axis=0) if k > 1 else rows


def _cancelling(k: int, draw: np.random.Generator) -> Matrix:
    size = 10.0 ** -draw.integers(1, 17)
    return cancelling(k, size, draw)


def _one_line(k: int, draw: np.random.Generator) -> Matrix:
    lengths = draw.uniform(0.3, 3.0, size=k) * np.where(np.arange(k) % 2, -1.0, 1.0)
    return draw.permutation(lengths)[:, None] * draw.normal(size=_columns(k))


def cancelling(k: int, size: float, draw: np.random.Generator) -> Matrix:
    """Gradients of which some cancel but for a part `size` of their length.

    Args:
        k: Number of tasks.
        size: Length that is left of a gradient, 1e-16 to 1e-1.
        draw: Generator of the draws, which also decides whether two are opposite, or three and more cancel.

    Returns:
        (k, n). Not even numbers of order one tell the families of smaller sizes from stationary ones.
    """
    rows = _well(k, draw) / np.sqrt(_columns(k))
    if k > 1:
        some = int(draw.integers(1, k))
        shares = draw.uniform(0.3, 1.0, size=some)
        rows[some] = -(shares @ rows[:some]) + size * rows[some]
    return draw.permutation(rows)


def _identical(k: int, draw: np.random.Generator) -> Matrix:
    return np.tile(draw.normal(size=_columns(k)), (k, 1))


_FAMILIES: MappingProxyType[str, Callable[[int, np.random.Generator], Matrix]] = MappingProxyType(
    {
        "well": _well,
        "ill": _ill,
        "rank-deficient": _rank_deficient,
        "conflicting": _conflicting,
        "nearly opposite": _nearly_opposite,
        "imbalanced": _imbalanced,
        "zero row": _zero_row,
        "stationary": _stationary,
        "identical": _identical,
        "cancelling": _cancelling,
        "one line": _one_line,
    }
)

family_names = tuple(_FAMILIES)
"""``well`` (random rows), ``ill`` (singular values 1 to 1e-3), ``rank-deficient`` (about k/2), ``conflicting`` (sum
nearly 0), ``nearly opposite`` (cosines near -1), ``imbalanced`` (norms over 6 decades), ``zero row``, ``stationary``
(0 in the convex hull), ``identical``, ``cancelling`` (some cancel but for a part of 1e-1 to 1e-16, another for each
k and seed), ``one line`` (about as many one way as the other)."""


def families(k: int, *, seed: int = 0, scales: tuple[float, ...] = (1e-8, 1.0, 1e8)) -> Iterator[Case]:
    """Every family at every scale, for k tasks.

    The earlier Jacobians are another draw of the same family, three times as large, and one of the next family, a fifth
    as large.

    Args:
        k: Number of tasks, at least 1.
        seed: Seed of the draws; the same seed gives the same numbers.
        scales: Factors of the Jacobian; the losses keep their size between 0.5 and 2.

    Yields:
        The cases, family by family.

    Example:
        >>> len(list(families(3)))
        33
    """
    makers = list(_FAMILIES.values())
    for number, name in enumerate(_FAMILIES):
        make, follower = makers[number], makers[(number + 1) % len(makers)]
        draw = np.random.default_rng([seed, k, number])
        jacobian, losses = make(k, draw), draw.uniform(0.5, 2.0, size=k)
        earlier = 3.0 * make(k, draw), 0.2 * follower(k, draw)
        for scale in scales:
            past = tuple(scale * rows for rows in earlier)
            yield Case(f"{name}, k={k}, scale {scale:g}, seed {seed}", scale * jacobian, losses, past)
