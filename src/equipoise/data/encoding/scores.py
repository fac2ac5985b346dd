r"""Classes as one number each: in their order 0, 1, 2, ..., or as the inputs predict them best."""

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["FEW_ROWS", "best_scores", "order_of", "scores_of_sums"]

FEW_ROWS = 10
"""A class of fewer rows has no say in the scores."""

_SCALES = (
    ("very low", "low", "mid", "high", "very high"), ("very low", "low", "medium", "high", "very high"),
    ("very low", "low", "moderate", "high", "very high"), ("very low", "low", "average", "high", "very high"),
    ("none", "low", "medium", "high"), ("none", "mild", "moderate", "severe"),
    ("poor", "fair", "good", "very good", "excellent"),
    ("very poor", "poor", "average", "good", "very good"), ("very bad", "bad", "neutral", "good", "very good"),
    ("po", "fa", "ta", "gd", "ex"), ("xs", "s", "m", "l", "xl", "xxl"), ("small", "medium", "large"),
    ("never", "rarely", "sometimes", "often", "always"), ("fair", "good", "very good", "premium", "ideal"),
    ("strongly disagree", "disagree", "neutral", "agree", "strongly agree"),
    ("very dissatisfied", "dissatisfied", "neutral", "satisfied", "very satisfied"),
)  # fmt: skip
_RANGE = re.compile(r"[<>]?=?\s*(\d+(?:\.\d+)?)\s*(?:[-–]\s*\d+(?:\.\d+)?|\+|)(?: ?[a-z]+)?", re.IGNORECASE)


def order_of(levels: Sequence[str]) -> list[str] | None:
    """The levels in their order where they are a known scale of words or ranges of numbers; None where they are not.

    Example:
        >>> order_of(["high", "low", "very low", "mid"])
        ['very low', 'low', 'mid', 'high']
        >>> order_of(["65+", "18-24", "25-64"]), order_of(["red", "green"])
        (['18-24', '25-64', '65+'], None)
    """
    plain = {level: re.sub(r"[_\-\s]+", " ", level.strip().lower()) for level in levels}
    for scale in _SCALES:
        if len(set(plain.values())) == len(levels) and set(plain.values()) <= set(scale):
            return sorted(levels, key=lambda level: scale.index(plain[level]))
    starts = {level: match for level in levels if (match := _RANGE.fullmatch(level.strip()))}
    if len(starts) < len(levels):
        return None
    first = {level: (float(match[1]), not level.strip().startswith("<")) for level, match in starts.items()}
    return sorted(levels, key=lambda level: first[level]) if len(set(first.values())) == len(levels) else None


def best_scores(codes: NDArray[np.intp], count: int, inputs: NDArray[np.float64]) -> NDArray[np.float64]:
    r"""One score a class, so that a linear model of the inputs predicts the scores best.

    With D (n, m) the 0/1 columns of the classes and P the projection on the centred inputs,

    .. math:: \max_s \frac{\|P D s\|^2}{\|D s\|^2} \quad \text{with } D s \text{ centred},

    the first canonical variate of classes and inputs (Fisher's discriminant; Hastie, Tibshirani and Buja, "Flexible
    discriminant analysis by optimal scoring", JASA 1994). Scores have mean 0 and variance 1 over the rows; the last
    class scores more than the first. Where the inputs tell nothing of the classes, the scores are 0, 1, 2, ...

    Args:
        codes: (n,) the class of each row; -1 for rows that have no say, which score the mean, 0.
        count: Classes m, at least 2 of them with a row.
        inputs: (n, p).

    Returns:
        (m,). Cost: O(n p min(n, p)).

    Example:
        >>> best_scores(np.array([0, 0, 1, 1, 2, 2]), 3, np.array([[0.0], [0], [9], [9], [0], [0]])).round(2).tolist()
        [-0.71, 1.41, -0.71]
    """
    said = codes >= 0
    sizes = np.bincount(codes[said], minlength=count).astype(np.float64)
    centred = inputs - inputs.mean(axis=0)
    spread = centred.std(axis=0)
    left, singular, _ = np.linalg.svd(centred / np.where(spread > 0, spread, 1.0), full_matrices=False)
    left = left[:, singular > singular[0] * max(inputs.shape) * np.finfo(np.float64).eps]
    sums = np.zeros((count, left.shape[1]))
    np.add.at(sums, codes[said], left[said])
    return scores_of_sums(sums, sizes)


def scores_of_sums(sums: NDArray[np.float64], sizes: NDArray[np.float64]) -> NDArray[np.float64]:
    """`best_scores` from what each class sums up to.

    Args:
        sums: (m, r) D^T U, with U an orthonormal basis of the centred inputs, in any rotation.
        sizes: (m,) rows of each class.

    Returns:
        (m,).
    """
    root = np.sqrt(sizes)
    # in t = sqrt(sizes) * s the variance is |t|^2; orthogonal to sqrt(sizes) means centred
    mean = np.outer(root, root) / sizes.sum()
    scaled = sums / root[:, None]
    scaled -= mean @ scaled
    vectors, captured, _ = np.linalg.svd(scaled, full_matrices=False)
    if captured[0] < 1e-7:  # a canonical correlation; from second moments its rounding is the root of float64's
        scores = np.arange(len(sizes), dtype=np.float64)
        return np.asarray(scores - (sizes @ scores) / sizes.sum())
    scores = vectors[:, 0] / root
    scores /= np.sqrt((sizes @ scores**2) / sizes.sum())
    rise = scores[-1] - scores[0]
    if abs(rise) < 1e-9:
        rise = scores[np.abs(scores).argmax()]
    return np.asarray(scores * np.sign(rise))
