"""Points of the simplex: lattice, Dirichlet, Sobol."""

import math
from itertools import combinations

import numpy as np
from scipy.special import gammainccinv
from scipy.stats import qmc

from ..errors import SettingError
from .numbers import Array, is_whole

__all__ = ["dirichlet_points", "lattice", "lattice_of", "sobol_points"]


def lattice(k: int, divisions: int) -> Array:
    r"""All points of the simplex whose coordinates are multiples of 1/H, :math:`\binom{H + k - 1}{k - 1}` of them.

    Args:
        k: Number of coordinates, at least 1.
        divisions: H, at least 1.

    Returns:
        (points, k) in falling order of the first coordinate.

    Source:
        Das & Dennis (1998).

    Example:
        >>> lattice(2, 2).tolist()
        [[1.0, 0.0], [0.5, 0.5], [0.0, 1.0]]
    """
    _whole(k=(k, 1), divisions=(divisions, 1))
    if k == 1:
        return np.ones((1, 1))
    bars = np.array(list(combinations(range(divisions + k - 1), k - 1)), dtype=np.int64).reshape(-1, k - 1)
    ends = np.full((len(bars), 1), -1), np.full((len(bars), 1), divisions + k - 1)
    counts = np.diff(np.concatenate([ends[0], bars, ends[1]], axis=1), axis=1) - 1
    return np.asarray(counts[::-1] / divisions)


def sobol_points(k: int, size: int, *, concentration: float = 1.0, seed: int | None = None) -> Array:
    """Points of low discrepancy from a symmetric Dirichlet distribution: scaled gamma quantiles of a Sobol sequence.

    Args:
        k: Number of coordinates, at least 1.
        size: Number of points, at least 1.
        concentration: Above 0; 1 is uniform, less prefers the corners, more the middle.
        seed: Seed of the scrambling; None for the plain sequence, without its first point.

    Returns:
        (size, k), all coordinates positive.

    Example:
        >>> sobol_points(3, 2).round(3).tolist()
        [[0.333, 0.333, 0.333], [0.094, 0.453, 0.453]]
    """
    _whole(k=(k, 1), size=(size, 1), **({} if seed is None else {"seed": (seed, 0)}))
    _refuse_concentration(concentration)
    engine = qmc.Sobol(k, scramble=seed is not None, rng=seed)
    cube = engine.random_base2(math.ceil(math.log2(size + 1)))[1 : size + 1]
    inside = np.clip(cube, 1e-12, 1 - 1e-12)
    # exponentials by their own formula: faster, and exact where the quantile is not
    lengths = -np.log(inside) if concentration == 1 else gammainccinv(concentration, inside)
    return np.asarray(lengths / lengths.sum(axis=1, keepdims=True))


def dirichlet_points(k: int, size: int, *, concentration: float = 1.0, seed: int = 0) -> Array:
    """Independent draws from a symmetric Dirichlet distribution.

    Args:
        k: Number of coordinates, at least 1.
        size: Number of points, at least 1.
        concentration: Above 0; 1 is uniform, less prefers the corners, more the middle.
        seed: Seed of the draws.

    Returns:
        (size, k).

    Example:
        >>> dirichlet_points(3, 4).shape, bool(np.allclose(dirichlet_points(3, 4).sum(axis=1), 1))
        ((4, 3), True)
    """
    _whole(k=(k, 1), size=(size, 1), seed=(seed, 0))
    _refuse_concentration(concentration)
    return np.asarray(np.random.default_rng(seed).dirichlet(np.full(k, float(concentration)), size=size))


def lattice_of(k: int, size: int) -> Array:
    """`size` points spread over the simplex: the finest lattice that fits, filled up by Sobol points.

    Args:
        k: Number of coordinates, at least 1.
        size: Number of points, at least 1.

    Example:
        >>> lattice_of(2, 3).tolist(), lattice_of(3, 4).round(2).tolist()[3]
        ([[1.0, 0.0], [0.5, 0.5], [0.0, 1.0]], [0.33, 0.33, 0.33])
    """
    _whole(k=(k, 1), size=(size, 1))
    divisions = 0
    while math.comb(divisions + k, k - 1) <= size and k > 1:
        divisions += 1
    points = lattice(k, divisions) if divisions else np.zeros((0, k))
    missing = size - len(points)
    return np.concatenate([points, sobol_points(k, missing)]) if missing else points


def _whole(**sizes: tuple[int, int]) -> None:
    wrong = [
        f"`{name}` must be a whole number of at least {least}; got {value!r}."
        for name, (value, least) in sizes.items()
        if not is_whole(value, least=least)
    ]
    if wrong:
        raise SettingError(" ".join(wrong))


def _refuse_concentration(value: object) -> None:
    if not (isinstance(value, int | float) and 0 < value < math.inf):
        raise SettingError(f"`concentration` must be positive and finite; got {value!r}.")
