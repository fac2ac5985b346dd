"""Classes without an order as one number each: the scores that the inputs predict best."""

import numpy as np
from numpy.typing import NDArray

from ...core.numbers import Array

__all__ = ["FEW_ROWS", "best_scores", "scores_of_sums"]

FEW_ROWS = 10
"""A class of fewer rows does not count for the scores."""


def best_scores(codes: NDArray[np.intp], count: int, inputs: Array) -> Array:
    r"""One score a class, so that a linear model of the inputs (n, p) predicts the scores best: (m,).

    With D (n, m) the 0/1 columns of the classes and P the projection on the centred inputs,

    .. math:: \max_s \frac{\|P D s\|^2}{\|D s\|^2} \quad \text{with } D s \text{ centred},

    the first canonical variate of classes and inputs (Fisher's discriminant; Hastie, Tibshirani and Buja, "Flexible
    discriminant analysis by optimal scoring", JASA 1994). Scores have mean 0 and variance 1 over the rows; the last
    class scores more than the first. If the inputs say nothing about the classes, the scores are 0, 1, 2, ...

    `codes` are the class of each row, -1 for rows that do not count and score the mean, 0; of the `count` classes at
    least two must have a row. Cost: O(n p min(n, p)).

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


def scores_of_sums(sums: Array, sizes: Array) -> Array:
    """`best_scores` from what each class of so many rows sums up to.

    `sums` is D^T U, (m, r), with U an orthonormal basis of the centred inputs, in any rotation.
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
