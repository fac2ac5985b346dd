"""Warnings about the data of a linear problem, one sentence each."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...errors import listed

__all__ = ["fit_doubts", "notes"]

NOTHING = 1e-9
"""A share of variance that is the rounding of a fit: so near to 1 or 0 a target is explained wholly or not at all."""


def fit_doubts(inputs: int, rows: ArrayLike, names: tuple[str, ...], shares: NDArray[np.float64]) -> list[str]:
    """What only the fit shows: a target among the inputs, or one that they say nothing of.

    `shares` (k,) of each target are explained by least squares on so many `rows`: one number, or (k,) of them. With as
    many inputs as rows every target is fitted, which says nothing of it.

    Example:
        >>> fit_doubts(1, 9, ("a", "b"), np.array([0.5, 0.0]))
        ["the inputs explain nothing of 'b'"]
    """
    found = []
    crowded = np.broadcast_to(inputs >= np.asarray(rows) - 1, len(names))
    whole = shares > 1 - NOTHING
    told = whole if crowded.all() and not whole.all() else whole & ~crowded
    if perfect := [name for name, known in zip(names, told, strict=True) if known]:
        found.append(f"the inputs determine {listed(perfect)} exactly: is a target among the inputs?")
    nothing = [name for name, share in zip(names, shares, strict=True) if share < NOTHING]
    if nothing:
        found.append(f"the inputs explain nothing of {listed(nothing)}")
    return found


def notes(
    inputs: int, rows: ArrayLike, related: NDArray[np.float64], names: tuple[str, ...], shares: NDArray[np.float64]
) -> list[str]:
    """Warnings for a problem with these input columns and rows, one number or (k,) of each task.

    `related` (k, k) are the correlations of the targets, `shares` (k,) the part of each that least squares explains.

    Example:
        >>> notes(1, 9, np.eye(2), ("a", "b"), np.array([0.5, 0.0]))
        ["the inputs explain nothing of 'b'"]
    """
    found = []
    fewest = int(np.min(rows))
    if inputs >= fewest:
        # with inputs that depend on each other even more inputs than rows leave something unexplained
        what = (
            "a linear model fits every row, so in-sample losses say nothing"
            if (shares > 1 - NOTHING).all()
            else "in-sample losses say next to nothing about new rows"
        )
        found.append(f"{inputs} inputs for {fewest} rows: {what}")
    found += fit_doubts(inputs, rows, names, shares)
    same = np.abs(related) > 1 - 1e-12
    doubles = [f"'{names[i]}' and '{names[j]}'" for i, j in np.argwhere(np.triu(same, 1)).tolist()]
    if doubles:
        found.append(f"targets that are the same up to scale and offset: {listed(doubles, '')}")
    return found
