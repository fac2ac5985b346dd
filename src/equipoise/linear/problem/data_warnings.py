"""Warnings about the data of a linear problem, one sentence each."""

import numpy as np
from numpy.typing import NDArray

from ...errors import listed

__all__ = ["fit_doubts", "notes"]

NOTHING = 1e-9
"""A share of variance that is the rounding of a fit: so near to 1 or 0 a target is explained wholly or not at all."""


def fit_doubts(inputs: int, rows: int, names: tuple[str, ...], shares: NDArray[np.float64]) -> list[str]:
    """What only the fit shows: a target among the inputs, or one that they say nothing of.

    `shares` (k,) of each target are explained by least squares. With as many inputs as rows every target is fitted,
    which says nothing of it.

    Example:
        >>> fit_doubts(1, 9, ("a", "b"), np.array([0.5, 0.0]))
        ["the inputs explain nothing of 'b'"]
    """
    found = []
    perfect = [name for name, share in zip(names, shares, strict=True) if share > 1 - NOTHING]
    if perfect and not (inputs >= rows - 1 and len(perfect) == len(names)):
        found.append(f"the inputs determine {listed(perfect)} exactly: is a target among the inputs?")
    nothing = [name for name, share in zip(names, shares, strict=True) if share < NOTHING]
    if nothing:
        found.append(f"the inputs explain nothing of {listed(nothing)}")
    return found


def notes(
    inputs: int, rows: int, related: NDArray[np.float64], names: tuple[str, ...], shares: NDArray[np.float64]
) -> list[str]:
    """Warnings for a problem with these input columns and rows.

    `related` (k, k) are the correlations of the targets, `shares` (k,) the part of each that least squares explains.

    Example:
        >>> notes(1, 9, np.eye(2), ("a", "b"), np.array([0.5, 0.0]))
        ["the inputs explain nothing of 'b'"]
    """
    found = []
    if inputs >= rows:
        # with inputs that depend on each other even more inputs than rows leave something unexplained
        what = (
            "a linear model fits every row, so in-sample losses say nothing"
            if (shares > 1 - NOTHING).all()
            else "in-sample losses say next to nothing about new rows"
        )
        found.append(f"{inputs} inputs for {rows} rows: {what}")
    found += fit_doubts(inputs, rows, names, shares)
    same = np.abs(related) > 1 - 1e-12
    doubles = [f"'{names[i]}' and '{names[j]}'" for i, j in np.argwhere(np.triu(same, 1)).tolist()]
    if doubles:
        found.append(f"targets that are the same up to scale and offset: {listed(doubles, '')}")
    return found
